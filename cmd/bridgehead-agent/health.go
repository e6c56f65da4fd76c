// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/go-logr/logr"
)

// A healthy is what can be asked how it is; *nodeagent.Agent is one.
type healthy interface {
	// Alive returns why the process should be ended and restarted, or nil.
	Alive() error
	// Ready returns why the process does not do its work, or nil.
	Ready() error
}

// serveHealth answers at /livez and /readyz until ctx is done.
func serveHealth(ctx context.Context, address string, agent healthy, log logr.Logger) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("serve health (--health-bind-address): %w", err)
	}
	server := &http.Server{Handler: newHealthHandler(agent), ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() { log.Info("Health ended", "reason", server.Serve(listener).Error()) }()
	return nil
}

// newHealthHandler answers 200, or 503 with the reason, which kubelet shows in the events of the pod.
func newHealthHandler(agent healthy) http.Handler {
	mux := http.NewServeMux()
	for path, check := range map[string]func() error{"GET /livez": agent.Alive, "GET /readyz": agent.Ready} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			if err := check(); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
			_, _ = w.Write([]byte("ok\n")) // who asked may be gone
		})
	}
	return mux
}
