// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A Drain asks clients to reconnect, so that they find another replica. The zero Drain lets connections be.
type Drain struct {
	// MaxAge is how old a connection may become: the API server keeps connections open and would send all requests to
	// the replica that was there first. Zero means for ever.
	MaxAge time.Duration

	draining atomic.Bool

	mu   sync.Mutex    // guards what follows
	open int           // connections that there are
	none chan struct{} // closed when there are none; nil while nobody waits for that
}

const (
	// idleTimeout is longer than the API server keeps a connection that it does not use, 90 s (SetTransportDefaults of
	// k8s.io/apimachinery), so that it is the client that closes: what it sends while the server does is lost, and fails
	// whatever was to be admitted.
	idleTimeout = 2 * time.Minute
	// DrainTimeout is how long a drain waits for clients to close connections that they do not use. All of those 90 s
	// would have a node wait as long for a replica to go; what was not used for so long hardly is at the very moment.
	DrainTimeout = 30 * time.Second
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
		ConnState:         func(_ net.Conn, s http.ConnState) { d.ConnState(s) },
		ReadHeaderTimeout: idleTimeout,
		IdleTimeout:       idleTimeout,
	}
}

type connectedAt struct{}

// Begin has every connection closed with the answer to its next request, or to the one that is being answered.
func (d *Drain) Begin() { d.draining.Store(true) }

// End begins, and returns when a server may be closed without losing a request: after a delay, until which clients find
// others for new connections, and once no connection is left. Clients close those that they do not use: only they know
// that no request is on its way. After atMost it returns how many are open all the same.
func (d *Drain) End(delay, atMost time.Duration) (open int) {
	d.Begin()
	<-time.After(delay)
	select {
	case <-d.left():
	case <-time.After(atMost - delay):
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open
}

// left returns a channel that is closed when there is no connection. One can wait for that at a time.
func (d *Drain) left() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	none := make(chan struct{})
	d.none = none
	d.tellLocked()
	return none
}

func (d *Drain) tellLocked() {
	if d.open == 0 && d.none != nil {
		close(d.none)
		d.none = nil
	}
}

// ConnState counts connections. It is to be http.Server.ConnState.
func (d *Drain) ConnState(s http.ConnState) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch s {
	case http.StateNew:
		d.open++
	case http.StateClosed, http.StateHijacked:
		d.open--
		d.tellLocked()
	case http.StateActive, http.StateIdle:
	}
}

// ConnContext notes when a connection was made. It is to be http.Server.ConnContext.
func (d *Drain) ConnContext(ctx context.Context) context.Context {
	return context.WithValue(ctx, connectedAt{}, time.Now())
}

// Wrap closes connections that are due with the answer to the request, which is the one moment when no other request
// can be lost. Whether they are is looked at when the answer begins.
func (d *Drain) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		made, known := r.Context().Value(connectedAt{}).(time.Time)
		a := answer{ResponseWriter: w, last: func() bool {
			return d.draining.Load() || known && d.MaxAge > 0 && time.Since(made) > d.MaxAge
		}}
		next.ServeHTTP(a, r)
		a.mark() // should nothing have been written
	})
}

// An answer says whether it is the last one of its connection.
type answer struct {
	http.ResponseWriter
	last func() bool
}

// mark has the server close the connection after the answer, if that has not begun.
func (a answer) mark() {
	if a.last() {
		a.Header().Set("Connection", "close")
	}
}

// WriteHeader implements http.ResponseWriter.
func (a answer) WriteHeader(code int) {
	a.mark()
	a.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (a answer) Write(p []byte) (int, error) {
	a.mark()
	return a.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (a answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Draining reports whether Begin was called.
func (d *Drain) Draining() bool { return d.draining.Load() }
