// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"net/netip"
	"testing"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// reachable is a node whose address is on a VLAN of a bond of eth0, with a pod's veth and eth1 on bridges beside it.
const reachable = `
interfaces:
- {name: eth0, type: ethernet, state: up, controller: bond0}
- {name: eth1, type: ethernet, state: up, controller: br1}
- {name: eth2, type: ethernet, state: up}
- {name: bond0, type: bond, state: up, link-aggregation: {mode: active-backup, port: [eth0]}}
- {name: br1, type: linux-bridge, state: up, bridge: {port: [{name: eth1}]}}
- name: bond0.100
  type: vlan
  state: up
  vlan: {base-iface: bond0, id: 100}
  ipv4: {enabled: true, address: [{ip: 198.51.100.7, prefix-length: 24}]}
routes:
  running: [{destination: 0.0.0.0/0, next-hop-address: 203.0.113.1, next-hop-interface: eth2}]
`

func TestTheOwnPathOfANodeIsKnown(t *testing.T) {
	own := []netip.Addr{netip.MustParseAddr("198.51.100.7")}
	tests := map[string]struct {
		desired   string
		addresses []netip.Addr
		want      string
	}{
		"the link with its address":        {"interfaces: [{name: bond0.100, mtu: 1500}]", own, "bond0.100"},
		"what that stands on":              {"interfaces: [{name: bond0, mtu: 1500}]", own, "bond0"},
		"a port below it":                  {"interfaces: [{name: eth0, mtu: 1500}]", own, "eth0"},
		"the default route":                {"interfaces: [{name: eth2, mtu: 1500}]", own, "eth2"},
		"a bridge beside it":               {"interfaces: [{name: br1, mtu: 1500}, {name: eth1}]", own, ""},
		"a link that is to be ignored":     {"interfaces: [{name: eth0, state: ignore}]", own, ""},
		"the address of nobody we know of": {"interfaces: [{name: bond0, mtu: 1500}]", nil, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, ownPath(parse(t, reachable), parse(t, test.desired), test.addresses))
		})
	}
}

func TestAnEnactmentSaysWhatARebootMeans(t *testing.T) {
	desired := parse(t, "interfaces: [{name: eth2, mtu: 1500}]")
	for name, test := range map[string]struct {
		restored func() (bool, error)
		want     bool
	}{
		"no unit":         {func() (bool, error) { return false, nil }, true},
		"a unit":          {func() (bool, error) { return true, nil }, false},
		"nobody is asked": {nil, false},
		"it is not known": {func() (bool, error) { return false, errNoMemory }, false},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeeper(t, kernel.NewModel(parse(t, reachable)), t.TempDir())
			a := &Agent{keeper: k, cluster: &cluster{}, options: Options{RestoredAtBoot: test.restored, Log: logr.Discard()}}
			note := a.bootNote(desired)
			assert.Equal(t, test.want, note != "", note)
			if test.want {
				assert.Contains(t, note, "the node reaches its network through eth2")
			}
			assert.Empty(t, a.bootNote(netstate.State{}))
		})
	}
}
