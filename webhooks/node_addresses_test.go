// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/bridgehead-dev/bridgehead/api/nmstate/v1beta1"
	"github.com/bridgehead-dev/bridgehead/macpool"
)

func stateOf(t *testing.T, node, state string) *v1beta1.NodeNetworkState {
	t.Helper()
	s := &v1beta1.NodeNetworkState{}
	s.Name = node
	s.Status.CurrentState = &runtime.RawExtension{Raw: asJSON(t, state)}
	return s
}

func TestAddressesOfNodes(t *testing.T) {
	nic, tap := macpool.MAC{0x52, 0x54, 0, 0, 0, 1}, macpool.MAC{0x52, 0x54, 0, 0, 0, 2}
	const state = `{interfaces: [
  {name: eth0, type: ethernet, mac-address: "52:54:00:00:00:01"}, {name: br0, type: linux-bridge, mac-address: "52:54:00:00:00:01"},
  {name: veth1, type: veth, mac-address: "52:54:00:00:00:02"}, {name: lo, type: loopback, mac-address: "00:00:00:00:00:00"}]}`
	var n NodeAddresses
	calls := 0
	n.store.changed = func() { calls++ }
	assert.False(t, n.Ready(), "it is not known yet what no pool may lend")
	require.NoError(t, n.store.Replace([]any{stateOf(t, "node01", state)}, ""))
	assert.True(t, n.Ready())
	assert.Equal(t, "node01", n.Node(nic))
	assert.Empty(t, n.Node(tap), "the other end of a pod's interface is not the node's")
	assert.Equal(t, []macpool.MAC{nic}, n.all())
	require.NoError(t, n.store.Update(stateOf(t, "node01", state)))
	assert.Equal(t, 1, calls, "a report that says the same changes nothing")
	require.NoError(t, n.store.Update(stateOf(t, "node02", state)))
	assert.Equal(t, 2, calls)
	require.NoError(t, n.store.Delete(stateOf(t, "node01", state)))
	assert.Equal(t, "node02", n.Node(nic))
	require.NoError(t, n.store.Update(stateOf(t, "node02", `{interfaces: []}`)))
	assert.Empty(t, n.all())
}

func TestWhichAddressesAreANodes(t *testing.T) {
	for name, c := range map[string]struct {
		face string
		want []string
	}{
		"a NIC":                        {`{type: ethernet, mac-address: "52:54:00:00:00:01"}`, []string{"52:54:00:00:00:01"}},
		"a NIC in a bond, and its own": {`{type: ethernet, mac-address: "52:54:00:00:00:01", permanent-mac-address: "52:54:00:00:00:02"}`, []string{"52:54:00:00:00:01", "52:54:00:00:00:02"}},
		"in capitals":                  {`{type: vlan, mac-address: "52:54:00:00:00:0A"}`, []string{"52:54:00:00:00:0a"}},
		"a macvlan on the host":        {`{type: mac-vlan, mac-address: "52:54:00:00:00:01"}`, []string{"52:54:00:00:00:01"}},
		"a VXLAN":                      {`{type: vxlan, mac-address: "52:54:00:00:00:01"}`, []string{"52:54:00:00:00:01"}},
		"the end of a pod's veth":      {`{type: veth, mac-address: "52:54:00:00:00:01"}`, nil},
		"the tap of a VM":              {`{type: tun, mac-address: "52:54:00:00:00:01"}`, nil},
		"the loopback":                 {`{type: loopback, mac-address: "00:00:00:00:00:00"}`, nil},
		"InfiniBand":                   {`{type: infiniband, mac-address: "80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:31:78:f1"}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, addressesOfNode(stateOf(t, "node01", "{interfaces: ["+c.face+"]}")))
		})
	}
}

func TestAnAddressThatANodeHasIsWarnedOf(t *testing.T) {
	nodes := map[macpool.MAC]string{{2, 0, 0, 0, 0, 1}: "node01"}
	l := Lending{NodeOf: func(m macpool.MAC) string { return nodes[m] }}
	var verdict Verdict
	l.warnOfNodes(order{asking: []nic{
		{name: "a", text: "02:00:00:00:00:01", mac: macpool.MAC{2, 0, 0, 0, 0, 1}},
		{name: "b", text: "02:00:00:00:00:02", mac: macpool.MAC{2, 0, 0, 0, 0, 2}},
		{name: "c"},
	}}, &verdict)
	require.Len(t, verdict.Warnings, 1)
	assert.Contains(t, verdict.Warnings[0], "interface a: 02:00:00:00:00:01 is the address of a NIC of node node01")
}
