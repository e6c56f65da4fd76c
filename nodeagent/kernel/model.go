// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"sync"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// A Model is a node in memory: a kernel, its DHCP clients, which get no leases, and its resolver. It refuses what the
// kernel refuses, as far as plans can run into it, so that what passes on a Model is worth trying on a Kernel. Make one
// with NewModel.
type Model struct {
	mu    sync.Mutex // guards state
	state netstate.State
}

// NewModel returns a model that is in a state. The state must be a current one: every key that applies is
// set, as Read returns it.
func NewModel(current netstate.State) *Model { return &Model{state: current} }

// Read returns the state.
func (m *Model) Read() (netstate.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state, nil
}

// Do carries out one step whole or not at all.
func (m *Model) Do(step netstate.Step) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.state.Refused(step); r != nil {
		return &RefusedError{Operation: step.String(), Errno: r.Errno, Reason: r.Reason}
	}
	after, err := m.state.Apply(step)
	if err != nil {
		return err
	}
	m.state = after
	return nil
}
