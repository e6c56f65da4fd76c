// SPDX-License-Identifier: Apache-2.0

//go:build linux

package dhcpserver

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ears are what a server has heard, by its own lock, which guards the rest of the server as well.
type ears struct {
	mu sync.Mutex
	// heard are the kinds of messages, in words.
	heard []string
}

// Set changes the server.
func (e *ears) Set(change func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change()
}

// Told returns what the server has heard, and forgets it.
func (e *ears) Told() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	told := e.heard
	e.heard = nil
	return told
}

// Heard reports whether the server has heard a message since it last told.
func (e *ears) Heard(message string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Contains(e.heard, message)
}

// Await waits until the server hears a message.
func (e *ears) Await(t *testing.T, want string) {
	t.Helper()
	require.Eventually(t, func() bool { return e.Heard(want) }, time.Minute, 20*time.Millisecond, "the server hears "+want)
}

// serve has a listener answer until the test ends.
func serve(t *testing.T, listener interface {
	Serve() error
	Close() error
}) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = listener.Serve()
	}()
	t.Cleanup(func() {
		assert.NoError(t, listener.Close())
		<-ended
	})
}
