// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// A gate forwards TCP connections to one address while it is open. Shut, it takes none and cuts those there are, so
// that whoever is behind it is partitioned from the address.
type gate struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	shut  bool
	conns map[net.Conn]bool
	ended sync.WaitGroup
}

func newGate(target string) (*gate, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for a node: %w", err)
	}
	g := &gate{listener: listener, target: target, conns: map[net.Conn]bool{}}
	g.ended.Go(g.accept)
	return g, nil
}

// port returns where it listens on the loopback interface.
func (g *gate) port() int { return g.listener.Addr().(*net.TCPAddr).Port }

// setShut shuts the gate or opens it.
func (g *gate) setShut(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
	if shut {
		g.cut()
	}
}

// cut closes every connection. The mutex is held.
func (g *gate) cut() {
	for conn := range g.conns {
		_ = conn.Close()
	}
}

func (g *gate) close() error {
	err := g.listener.Close()
	g.setShut(true)
	g.ended.Wait()
	return err
}

func (g *gate) accept() {
	for {
		conn, err := g.listener.Accept()
		if err != nil {
			return
		}
		g.ended.Go(func() { g.forward(conn) })
	}
}

// forward copies both ways until either side is done.
func (g *gate) forward(conn net.Conn) {
	defer conn.Close()
	if !g.keep(conn) {
		return
	}
	defer g.drop(conn)
	target, err := net.Dial("tcp", g.target)
	if err != nil || !g.keep(target) {
		return // the node sees a connection that is closed, as it should
	}
	defer target.Close()
	defer g.drop(target)
	var copies sync.WaitGroup
	copies.Go(func() { pump(target, conn) })
	copies.Go(func() { pump(conn, target) })
	copies.Wait()
}

// pump copies until the source ends, and then lets both sides know.
func pump(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil && !errors.Is(err, net.ErrClosed) {
		_ = from.Close()
	}
	_ = to.Close()
}

// keep notes a connection; it says no if the gate is shut.
func (g *gate) keep(conn net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		return false
	}
	g.conns[conn] = true
	return true
}

func (g *gate) drop(conn net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, conn)
}
