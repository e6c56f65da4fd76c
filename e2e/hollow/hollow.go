// SPDX-License-Identifier: Apache-2.0

// Package hollow makes nodes that exist in memory only: the agent's code on a model of a kernel, for tests and figures
// that are about the API and not about the kernel.
package hollow

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bridgehead-dev/bridgehead/e2e/suite"
	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// A Network is the network of a node in memory. It tells whoever watches of the steps that are done.
type Network struct {
	*kernel.Model
	changes chan kernel.Change
}

// New returns the network of a node with a few NICs and nothing configured.
func New() (*Network, error) {
	root, err := suite.Root()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(root, "netstate/testdata/states/01-bare.yaml"))
	if err != nil {
		return nil, fmt.Errorf("read the state of a bare node: %w", err)
	}
	state, problems := netstate.Parse(text)
	if err := problems.ToAggregate(); err != nil {
		return nil, fmt.Errorf("read the state of a bare node: %w", err)
	}
	return &Network{Model: kernel.NewModel(state), changes: make(chan kernel.Change, 1)}, nil
}

// Watch implements nodeagent.Network.
func (n *Network) Watch(context.Context) (<-chan kernel.Change, error) { return n.changes, nil }

// Do implements kernel.Node.
func (n *Network) Do(step netstate.Step) error {
	err := n.Model.Do(step)
	select {
	case n.changes <- kernel.Change{Overrun: true}:
	default:
	}
	return err
}
