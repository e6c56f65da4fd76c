// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// A forgetful node does not take steps back, so that what is left has to be planned: the state at the time of the
// undo is all there is.
type forgetful struct {
	kernel.Node
	forgets bool
}

// Do implements kernel.Node.
func (f *forgetful) Do(step netstate.Step) error {
	if f.forgets {
		return &kernel.StaleError{Operation: "undo", Difference: "the node has changed"}
	}
	return f.Node.Do(step)
}

// Read implements kernel.Node. It is asked before what is left is carried out, which then works again.
func (f *forgetful) Read() (netstate.State, error) {
	f.forgets = false
	return f.Node.Read()
}

// What a policy may not say, a node can be all the same: the way back to it is not refused.
func TestWhatAPolicyMayNotSayIsUndoneByThePlan(t *testing.T) {
	const nics = `
interfaces:
- {name: eth1, type: ethernet, state: up, mtu: 1500, mac-address: "02:00:00:00:00:01"}
- {name: eth2, type: ethernet, state: up, mtu: 1500, mac-address: "02:00:00:00:00:02"}
`
	tests := map[string]struct{ before, policy string }{
		"a bond that takes the MAC of its active port": {
			before: `
interfaces:
- {name: eth1, type: ethernet, state: up, mtu: 1500, mac-address: "02:00:00:00:00:01", controller: bond0}
- {name: eth2, type: ethernet, state: up, mtu: 1500, mac-address: "02:00:00:00:00:02", controller: bond0}
- {name: bond0, type: bond, state: up, mtu: 1500, mac-address: "02:00:00:00:00:01",
   link-aggregation: {mode: active-backup, options: {fail_over_mac: active, miimon: 100}, port: [eth1, eth2]}}`,
			policy: `interfaces: [{name: bond0, state: absent}]`,
		},
		"a VLAN of id 0": {
			before: nics + `- {name: eth1.0, type: vlan, state: up, mtu: 1500, vlan: {base-iface: eth1, id: 0}}`,
			policy: `interfaces: [{name: eth1.0, state: absent}]`,
		},
		"a priority beside a spanning tree that is off": {
			before: nics + `- {name: br0, type: linux-bridge, state: up, mtu: 1500,
   bridge: {options: {stp: {enabled: false, priority: 7}}}}`,
			policy: `interfaces: [{name: br0, state: absent}]`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			model := kernel.NewModel(parse(t, test.before))
			before, err := model.Read()
			require.NoError(t, err)
			node := &forgetful{Node: model}
			k := startKeeper(t, node, t.TempDir())
			k.Probe = func(context.Context) func(context.Context) error {
				return func(context.Context) error {
					node.forgets = true
					return errors.New("no answer")
				}
			}
			err = k.Apply(t.Context(), wish(t, "p", test.policy))
			var lost *LostError
			require.ErrorAs(t, err, &lost)
			assert.NotContains(t, err.Error(), "neither applied nor undone")
			assert.Nil(t, pending(t, k), "the journal is free for other policies")
			assertState(t, before, model, "undone")
		})
	}
}
