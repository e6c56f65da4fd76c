// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/bridgehead-dev/bridgehead/webhooks"
)

// probes serves /healthz, and /readyz, whose body says what the replica waits for. It goes on while the replica
// drains.
func (r *replica) probes() everywhere {
	return func(ctx context.Context) error {
		mux := http.NewServeMux()
		mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
		mux.HandleFunc("/readyz", r.readyz())
		server := &http.Server{Addr: r.options.ProbeAddress, Handler: mux, ReadTimeout: 10 * time.Second,
			BaseContext: func(net.Listener) context.Context { return ctx }}
		failed := make(chan error, 1)
		go func() { failed <- server.ListenAndServe() }()
		select {
		case err := <-failed:
			return fmt.Errorf("serve probes: %w", err)
		case <-ctx.Done():
			return server.Close()
		}
	}
}

func (r *replica) readyz() http.HandlerFunc {
	return func(w http.ResponseWriter, request *http.Request) {
		var waiting []string
		for _, check := range []struct {
			ok  bool
			not string
		}{
			{r.feed.Synced(), "the blocks of the ledger are being read"},
			{r.sources.NADs.Ready(), "the networks that pods name are being read"},
			{r.sources.Bridges.Ready(), "the bridges of nodes and policies are being read"},
			{r.claims.Ready(), "the key in Secret " + webhooks.ClaimSecretName + " is not read yet"},
			{!r.drain.Draining(), "this replica is shutting down"},
		} {
			if !check.ok {
				waiting = append(waiting, check.not)
			}
		}
		for _, check := range []error{
			r.lease.Check(), r.source.Check(), r.gate.Check(), r.neighbours.Check(request.Context()),
		} {
			if check != nil {
				waiting = append(waiting, check.Error())
			}
		}
		if len(waiting) > 0 {
			http.Error(w, strings.Join(waiting, "\n"), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	}
}
