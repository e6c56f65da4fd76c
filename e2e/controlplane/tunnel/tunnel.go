// SPDX-License-Identifier: Apache-2.0

// Package tunnel is HTTP CONNECT, both ends: the API server's connections enter the cluster through it, first at a
// proxy beside the API server, then at one in each node.
package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
)

// ErrUnknown says that nothing has the address that was asked for. A client sees 502, and 503 for every other error.
var ErrUnknown = errors.New("nothing has this address")

// Serve answers one CONNECT: it dials the target ("10.96.0.1:443") and copies both ways until both directions have
// ended, or the request's context has. Why it refuses is in the body; the API server quotes the status line only.
func Serve(w http.ResponseWriter, r *http.Request, dial func(ctx context.Context, target string) (net.Conn, error)) {
	if r.Method != http.MethodConnect {
		http.Error(w, "this is a proxy: use CONNECT", http.StatusMethodNotAllowed)
		return
	}
	if _, _, err := net.SplitHostPort(r.RequestURI); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	backend, err := dial(r.Context(), r.RequestURI)
	if err != nil {
		code := http.StatusServiceUnavailable
		if errors.Is(err, ErrUnknown) {
			code = http.StatusBadGateway
		}
		http.Error(w, err.Error(), code)
		return
	}
	defer func() { _ = backend.Close() }()
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer func() { _ = client.Close() }()
	if _, err := io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	// Only what is read already comes from the server's buffer: its reader would end the context at the client's end of
	// file, and with it the other direction.
	early := io.LimitReader(buffered, int64(buffered.Reader.Buffered()))
	splice(r.Context(), client, io.MultiReader(early, client), backend)
}

// splice copies both ways until both directions have ended or ctx has. from is what is read of client.
func splice(ctx context.Context, client net.Conn, from io.Reader, backend net.Conn) {
	stop := context.AfterFunc(ctx, func() { closeBoth(client, backend) })
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		pour(backend, from, client)
	}()
	pour(client, backend, backend)
	<-done
}

// pour copies one direction. An end of file is passed on as such, the other direction may go on; after
// an error neither can.
func pour(to net.Conn, from io.Reader, source net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		closeBoth(to, source)
		return
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // fails only if the connection is gone already
	}
}

// closeBoth ends both directions of both connections.
func closeBoth(a, b net.Conn) {
	_ = errors.Join(a.Close(), b.Close()) // of use only as the end of what is blocked on them
}

// Dial connects to a target through a proxy ("127.0.0.1:6000"). ctx bounds the dial only.
func Dial(ctx context.Context, proxy, target string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", proxy)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	through, err := handshake(conn, target)
	if !stop() {
		err = errors.Join(err, context.Cause(ctx))
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("through %s: %w", proxy, err)
	}
	return through, nil
}
