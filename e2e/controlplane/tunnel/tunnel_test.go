// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newProxy serves CONNECT with a dialer.
func newProxy(t *testing.T, dial func(context.Context, string) (net.Conn, error)) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { Serve(w, r, dial) }))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func TestConnectionsPassThroughTwoProxies(t *testing.T) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = echo.Close() })
	go func() {
		conn, err := echo.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		text, _ := io.ReadAll(conn) // to the end of the client's direction, and only then answered
		fmt.Fprintf(conn, "you said %s", text)
	}()
	inner := newProxy(t, func(ctx context.Context, target string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", target)
	})
	outer := newProxy(t, func(ctx context.Context, target string) (net.Conn, error) { return Dial(ctx, inner, target) })
	conn, err := Dial(t.Context(), outer, echo.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "hello")
	require.NoError(t, err)
	require.NoError(t, conn.(interface{ CloseWrite() error }).CloseWrite())
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	assert.Equal(t, "you said hello", string(answer))
}

func TestRefusalsSayWhy(t *testing.T) {
	for name, c := range map[string]struct {
		target string
		err    error
		want   string
	}{
		"an address of nothing":   {"10.0.0.1:1", ErrUnknown, "502 Bad Gateway: nothing has this address"},
		"a backend that is down":  {"10.0.0.1:1", fmt.Errorf("it sleeps"), "503 Service Unavailable: it sleeps"},
		"a target without a port": {"10.0.0.1", nil, "400 Bad Request"},
	} {
		t.Run(name, func(t *testing.T) {
			proxy := newProxy(t, func(context.Context, string) (net.Conn, error) { return nil, c.err })
			_, err := Dial(t.Context(), proxy, c.target)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestADialEndsWithItsContext(t *testing.T) {
	asked := make(chan struct{})
	proxy := newProxy(t, func(ctx context.Context, _ string) (net.Conn, error) {
		close(asked)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	_, err := Dial(ctx, proxy, "10.0.0.1:1")
	require.ErrorIs(t, err, context.Canceled)
}
