// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
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
	go func() {
		_, err := s.post(t.Context(), "under way")
		answered <- err
	}()
	<-s.began

	d.Begin()
	close(s.mayAnswer)

	require.NoError(t, <-answered)
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
