// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"
)

// probes serves /healthz, and /readyz, whose body says what the replica waits for. It goes on while the replica
// drains.
func (r *replica) probes() everywhere {
	return func(ctx context.Context) error {
		mux := http.NewServeMux()
		mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
		mux.HandleFunc("/readyz", r.readyz())
		server := &http.Server{Addr: r.options.ProbeAddress, Handler: mux, ReadTimeout: requestTimeout,
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
	var imported atomic.Bool
	return func(w http.ResponseWriter, request *http.Request) {
		_, leased := r.tenure.Replica()
		var waiting []string
		for _, check := range []struct {
			ok  bool
			not string
		}{
			{r.source.Ready(), "the certificate is not loaded yet"},
			{r.feed.Synced(), "the blocks of the ledger are being read"},
			{r.sources.NADs.Ready(), "the networks that pods name are being read"},
			{r.sources.Bridges.Ready(), "the bridges of nodes and policies are being read"},
			{leased, "the Lease of this replica is not renewed"},
			{!r.drain.Draining(), "this replica is shutting down"},
		} {
			if !check.ok {
				waiting = append(waiting, check.not)
			}
		}
		// The import is looked for once: later ones are those of a janitor that took over from one that had imported.
		if len(waiting) == 0 && !imported.Load() {
			if err := r.checkImport(request.Context()); err != nil {
				waiting = append(waiting, err.Error())
			} else {
				imported.Store(true)
			}
		}
		if err := r.neighbours.Check(request.Context()); err != nil {
			waiting = append(waiting, err.Error())
		}
		if len(waiting) > 0 {
			http.Error(w, strings.Join(waiting, "\n"), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	}
}

// checkImport asks whether the janitor that is at work, in whichever replica, has imported every address in use.
func (r *replica) checkImport(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	var lease coordinationv1.Lease
	if err := r.direct.Get(
		ctx,
		types.NamespacedName{Namespace: r.options.Namespace, Name: janitorLease},
		&lease,
	); err != nil {
		return fmt.Errorf("look who imports: %w", err)
	}
	var pools v1alpha1.MACPoolList
	if err := r.direct.List(ctx, &pools); err != nil {
		return fmt.Errorf("look for pools: %w", err)
	}
	leader := ptr.Deref(lease.Spec.HolderIdentity, "")
	for _, pool := range pools.Items {
		if leader != "" && pool.Status.ImportedBy == leader {
			return nil
		}
	}
	return errors.New("the addresses of existing VMs are being imported")
}
