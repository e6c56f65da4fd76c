// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A drained is a server behind a Drain, and a client that keeps its connections.
type drained struct {
	*httptest.Server
	connections atomic.Int64
	began       chan struct{} // has an element once a request is being answered
	mayAnswer   chan struct{} // closed when requests may be answered
	client      *http.Client
}

func serveDrained(t *testing.T, d *Drain) *drained {
	s := &drained{began: make(chan struct{}, 1), mayAnswer: make(chan struct{})}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.began <- struct{}{}:
		default:
		}
		<-s.mayAnswer
		_, _ = io.Copy(w, r.Body)
	})
	s.Server = httptest.NewUnstartedServer(d.Wrap(handler))
	s.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		s.connections.Add(1)
		return d.ConnContext(ctx)
	}
	s.Start()
	t.Cleanup(s.Close)
	s.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	t.Cleanup(s.client.CloseIdleConnections)
	return s
}

// post sends a body that cannot be sent again, so that nothing is tried twice behind our back.
func (s *drained) post(ctx context.Context, text string) (closed bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, io.NopCloser(&onceReader{text: text}))
	if err != nil {
		return false, err
	}
	request.ContentLength = int64(len(text))
	response, err := s.client.Do(request)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && string(body) != text {
		err = fmt.Errorf("got %q, want %q", body, text)
	}
	return response.Close, err
}

type onceReader struct{ text string }

// Read implements io.Reader.
func (r *onceReader) Read(p []byte) (int, error) {
	if r.text == "" {
		return 0, io.EOF
	}
	n := copy(p, r.text)
	r.text = r.text[n:]
	return n, nil
}

func TestDrainClosesConnectionsWithTheirNextAnswer(t *testing.T) {
	var d Drain
	s := serveDrained(t, &d)
	close(s.mayAnswer)
	for range 3 {
		closed, err := s.post(t.Context(), "before")
		require.NoError(t, err)
		assert.False(t, closed)
	}
	assert.EqualValues(t, 1, s.connections.Load(), "the connection is kept")
	assert.False(t, d.Draining())

	d.Begin()

	assert.True(t, d.Draining())
	for range 2 {
		closed, err := s.post(t.Context(), "after")
		require.NoError(t, err)
		assert.True(t, closed)
	}
	assert.EqualValues(t, 2, s.connections.Load(), "every request has a new connection")
}

func TestDrainLetsRequestsUnderWayBeAnswered(t *testing.T) {
	var d Drain
	s := serveDrained(t, &d)
	answered := make(chan error, 1)
	var closed bool
	go func() {
		var err error
		closed, err = s.post(t.Context(), "under way")
		answered <- err
	}()
	<-s.began

	d.Begin()
	close(s.mayAnswer)

	require.NoError(t, <-answered)
	assert.True(t, closed, "another request would be sent over the connection")
}

func TestDrainClosesConnectionsThatAreOld(t *testing.T) {
	for name, c := range map[string]struct {
		maxAge time.Duration
		closed bool
	}{
		"no limit":               {maxAge: 0},
		"younger than the limit": {maxAge: time.Hour},
		"older than the limit":   {maxAge: time.Nanosecond, closed: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := serveDrained(t, &Drain{MaxAge: c.maxAge})
			close(s.mayAnswer)
			for range 3 {
				closed, err := s.post(t.Context(), "hello")
				require.NoError(t, err)
				assert.Equal(t, c.closed, closed)
			}
			want := int64(1)
			if c.closed {
				want = 3
			}
			assert.Equal(t, want, s.connections.Load())
		})
	}
}

func TestNoRequestIsLostWhileClientsHammer(t *testing.T) {
	for name, d := range map[string]*Drain{
		"connections are made to grow old": {MaxAge: 2 * time.Millisecond},
		"a drain begins":                   {},
	} {
		t.Run(name, func(t *testing.T) {
			const clients, each, half = 32, 40, 20
			s := serveDrained(t, d)
			close(s.mayAnswer)
			var halfway, all sync.WaitGroup
			halfway.Add(clients)
			failures := make(chan error, clients*each)
			var closed atomic.Int64
			for c := range clients {
				all.Go(func() {
					for i := range each {
						if i == half {
							halfway.Done()
						}
						last, err := s.post(t.Context(), fmt.Sprint(c, " ", i))
						if err != nil {
							failures <- err
						}
						if last {
							closed.Add(1)
						}
					}
				})
			}
			halfway.Wait()
			if d.MaxAge == 0 {
				d.Begin()
			}
			all.Wait()
			close(failures)
			for err := range failures {
				assert.NoError(t, err)
			}
			assert.NotZero(t, closed.Load(), "nothing was drained")
		})
	}
}

// A pipeListener has connections that exist in memory, so that time can pass for them at once.
type pipeListener struct {
	accepted chan net.Conn
	closed   chan struct{}
}

// Accept implements net.Listener.
func (l pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accepted:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l pipeListener) Close() error {
	close(l.closed)
	return nil
}

// Addr implements net.Listener.
func (pipeListener) Addr() net.Addr { return &net.UnixAddr{} }

// servePipes returns a server of a handler, and what connects to it.
func servePipes(t *testing.T, handler http.HandlerFunc, d *Drain) (server *http.Server, dial func() net.Conn) {
	listener := pipeListener{accepted: make(chan net.Conn), closed: make(chan struct{})}
	server = NewServer(handler, d)
	go func() { _ = server.Serve(listener) }() // until it is closed
	t.Cleanup(func() { _ = server.Close() })
	return server, func() net.Conn {
		client, accepted := net.Pipe()
		t.Cleanup(func() { _ = client.Close() })
		listener.accepted <- accepted
		return client
	}
}

// dialPipe returns a connection to a server of a handler.
func dialPipe(t *testing.T, handler http.HandlerFunc) net.Conn {
	_, dial := servePipes(t, handler, &Drain{})
	return dial()
}

// kept is how long the API server keeps a connection that it does not use. atMost is longer.
const kept, atMost = 90 * time.Second, 100 * time.Second

func TestAReplicaEndsOnceTheAPIServerHasClosedWhatItDoesNotUse(t *testing.T) {
	const delay = 5 * time.Second
	for name, c := range map[string]struct {
		connections int
		act         func(*testing.T, []net.Conn) // from when the drain began
		after       time.Duration
		left        int
	}{
		"nobody is connected": {after: delay},
		"all are closed within the delay": {connections: 2, after: delay, act: func(t *testing.T, all []net.Conn) {
			closeAll(t, all)
		}},
		"all are closed as they are not used": {connections: 2, after: kept, act: func(t *testing.T, all []net.Conn) {
			<-time.After(kept)
			closeAll(t, all)
		}},
		"one is used late, the last time": {connections: 2, after: kept, act: func(t *testing.T, all []net.Conn) {
			<-time.After(delay + time.Second)
			closeAll(t, all[:1])
			<-time.After(kept - delay - time.Second)
			assert.True(t, ask(t, all[1]).Close)
		}},
		"one is kept": {connections: 2, after: atMost, left: 1, act: func(t *testing.T, all []net.Conn) {
			closeAll(t, all[:1])
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &Drain{}
				_, dial := servePipes(t, func(http.ResponseWriter, *http.Request) {}, d)
				var all []net.Conn
				for i := range c.connections {
					all = append(all, dial())
					if i > 0 {
						assert.False(t, ask(t, all[i]).Close)
					}
				}
				if c.act != nil {
					go c.act(t, all)
				}
				began := time.Now()
				assert.Equal(t, c.left, d.End(delay, atMost))
				assert.InDelta(t, c.after, time.Since(began), float64(time.Second))
			})
		})
	}
}

func closeAll(t *testing.T, connections []net.Conn) {
	for _, c := range connections {
		assert.NoError(t, c.Close())
	}
}

// ask sends a request over a connection.
func ask(t *testing.T, c net.Conn) *http.Response {
	_, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: bridgehead\r\nContent-Length: 0\r\n\r\n")
	assert.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if !assert.NoError(t, err) {
		return &http.Response{}
	}
	return response
}

func TestNoRequestIsLostWhenAReplicaEndsWhoseConnectionsArePartlyIdle(t *testing.T) {
	const delay, routed = 5 * time.Second, 2 * time.Second
	synctest.Test(t, func(t *testing.T) {
		var answered [2]atomic.Int64
		var ended atomic.Bool
		d := &Drain{}
		handler := func(replica int) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				answered[replica].Add(1)
				<-time.After(10 * time.Millisecond)
				_, _ = io.Copy(w, r.Body)
			}
		}
		old, toOld := servePipes(t, handler(0), d)
		_, toNew := servePipes(t, handler(1), &Drain{})
		transport := &http.Transport{
			MaxIdleConnsPerHost: 100, IdleConnTimeout: kept,
			DialContext: func(context.Context, string, string) (net.Conn, error) {
				if ended.Load() {
					return toNew(), nil
				}
				return toOld(), nil
			},
		}
		t.Cleanup(transport.CloseIdleConnections)
		client := &drained{Server: &httptest.Server{URL: "http://bridgehead"}, client: &http.Client{Transport: transport}}
		burst := func(n int) {
			var all sync.WaitGroup
			for i := range n {
				all.Go(func() {
					_, err := client.post(t.Context(), fmt.Sprint(i))
					assert.NoError(t, err)
				})
			}
			all.Wait()
		}
		burst(30)
		time.AfterFunc(routed, func() { ended.Store(true) })
		closed := make(chan error, 1)
		go func() {
			assert.Zero(t, d.End(delay, atMost))
			closed <- old.Shutdown(t.Context())
		}()
		for second := range 120 {
			burst(1 + second*second%17)
			<-time.After(time.Second)
		}
		require.NoError(t, <-closed)
		assert.Greater(t, answered[0].Load(), int64(30), "the old replica answered while it ended")
		assert.NotZero(t, answered[1].Load())
	})
}

func TestTheServerDoesNotCloseWhatTheAPIServerMayStillUse(t *testing.T) {
	for name, used := range map[string]bool{"that was used": true, "that was dialled and never used": false} {
		t.Run("a connection "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := dialPipe(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
				answers := bufio.NewReader(client)
				post := func(text string) {
					t.Helper()
					_, err := fmt.Fprintf(client, "POST / HTTP/1.1\r\nHost: bridgehead\r\nContent-Length: %d\r\n\r\n", len(text))
					require.NoError(t, err)
					<-time.After(time.Second)
					_, err = io.WriteString(client, text)
					require.NoError(t, err)
					response, err := http.ReadResponse(answers, nil)
					require.NoError(t, err)
					body, err := io.ReadAll(response.Body)
					require.NoError(t, err)
					require.Equal(t, text, string(body))
				}
				if used {
					post("first")
				}

				<-time.After(kept)

				post("later")
			})
		})
	}
}

func TestARequestWhoseBodyDoesNotComeIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read := make(chan error, 1)
		client := dialPipe(t, func(_ http.ResponseWriter, r *http.Request) {
			_, err := io.ReadAll(r.Body)
			read <- err
		})

		_, err := io.WriteString(client, "POST / HTTP/1.1\r\nHost: bridgehead\r\nContent-Length: 5\r\n\r\nhel")

		require.NoError(t, err)
		require.ErrorIs(t, <-read, os.ErrDeadlineExceeded)
	})
}
