// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// A Drain asks clients to reconnect, so that they find another replica. The zero Drain lets connections be.
type Drain struct {
	// MaxAge is how old a connection may become: the API server keeps connections open and would send all requests to
	// the replica that was there first. Zero means for ever.
	MaxAge time.Duration

	draining atomic.Bool
}

const (
	// idleTimeout is longer than the API server keeps a connection that it does not use, 90 s (SetTransportDefaults of
	// k8s.io/apimachinery), so that it is the client that closes: what it sends while the server does is lost, and fails
	// whatever was to be admitted.
	idleTimeout = 2 * time.Minute
	// bodyTimeout is longer than the time-out of the webhooks in the manifests.
	bodyTimeout = 10 * time.Second
)

// NewServer returns a server of webhooks whose connections are drained by d. A connection that is new may be idle, too:
// clients dial one, find that another has become free, and keep it for later. So there is no other time-out for it, and
// that of a request begins once its headers were read.
func NewServer(handler http.Handler, d *Drain) *http.Server {
	limited := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)) // fails if the client is gone
		handler.ServeHTTP(w, r)
	})
	return &http.Server{
		Handler:           d.Wrap(limited),
		ConnContext:       func(ctx context.Context, _ net.Conn) context.Context { return d.ConnContext(ctx) },
		ReadHeaderTimeout: idleTimeout,
		IdleTimeout:       idleTimeout,
	}
}

type connectedAt struct{}

// Begin has every connection closed with the answer to its next request.
func (d *Drain) Begin() { d.draining.Store(true) }

// ConnContext notes when a connection was made. It is to be http.Server.ConnContext.
func (d *Drain) ConnContext(ctx context.Context) context.Context {
	return context.WithValue(ctx, connectedAt{}, time.Now())
}

// Wrap closes connections that are due with the answer to the request, which is the one moment when no other request
// can be lost.
func (d *Drain) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		made, known := r.Context().Value(connectedAt{}).(time.Time)
		if d.draining.Load() || known && d.MaxAge > 0 && time.Since(made) > d.MaxAge {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// Draining reports whether Begin was called.
func (d *Drain) Draining() bool { return d.draining.Load() }
