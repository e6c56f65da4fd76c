// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const workloads = `
interfaces:
- {name: br0, type: linux-bridge, bridge: {port: [{name: eth1}, {name: tap0}, {name: vethpod}]}}
- {name: br1, type: linux-bridge, bridge: {port: [{name: tap1}]}}
- {name: br2, type: linux-bridge, bridge: {port: []}}
- {name: eth1, type: ethernet, controller: br0}
- {name: tap0, type: tun, state: ignore, controller: br0}
- {name: tap1, type: tun, state: ignore, controller: br1}
- {name: vethpod, type: veth, state: ignore, controller: br0}
- {name: vethours, type: veth, state: up, veth: {peer: vethours1}}
- {name: vethours1, type: veth, state: up, veth: {peer: vethours}}
routes:
  running:
  - {destination: 10.244.1.5/32, next-hop-interface: vethpod}
  - {destination: 10.0.0.0/8, next-hop-interface: eth1}
`

func TestReportedLeavesOutTheVethsOfPodsAndTheirRoutes(t *testing.T) {
	state := parse(t, workloads)
	reported := state.Reported()
	var names []string
	for _, i := range reported.Interfaces {
		names = append(names, i.Name)
	}
	want := []string{"br0", "br1", "br2", "eth1", "tap0", "tap1", "vethours", "vethours1"}
	assert.Equal(t, want, names)
	require.Len(t, reported.Routes.Running, 1)
	assert.Equal(t, "eth1", reported.Routes.Running[0].NextHopInterface)
	assert.Len(t, state.Interfaces, 9, "the state itself stays as it is")
	assert.Len(t, state.Routes.Running, 2, "the state itself stays as it is")
}

func TestUplinksAreThePortsThatAreNotForeign(t *testing.T) {
	state := parse(t, workloads)
	assert.Equal(t, map[string][]string{"br0": {"eth1"}}, state.Uplinks())
	state = Own(state, parse(t, `interfaces: [{name: br1, type: linux-bridge, bridge: {port: [{name: tap1}]}}]`))
	assert.Equal(t, map[string][]string{"br0": {"eth1"}, "br1": {"tap1"}}, state.Uplinks())
}
