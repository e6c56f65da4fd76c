// SPDX-License-Identifier: Apache-2.0

//go:build guest

package host_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
)

// Links without a permanent MAC have that of their bond while they are its ports. A policy that finds them by the one
// they had finds them still.
func TestPortsOfABondAreFoundByTheMACThatTheyHadBefore(t *testing.T) {
	run(t, `
		ip link add nic1 address 02:00:00:00:00:d1 type dummy
		ip link add nic2 address 02:00:00:00:00:d2 type dummy
		ip link set nic1 up
		ip link set nic2 up`)
	t.Cleanup(func() { clear(t, "bond9", "nic1", "nic2") })
	a := start(t, shortDir(t))
	before, err := a.host.Read()
	require.NoError(t, err)
	require.NoError(t, a.Apply(t.Context(), record(t, "p", 1, `interfaces:
- {name: first, type: dummy, identifier: mac-address, mac-address: "02:00:00:00:00:d1", state: up}
- {name: second, type: dummy, identifier: mac-address, mac-address: "02:00:00:00:00:d2", state: up}
- {name: bond9, type: bond, state: up, link-aggregation: {mode: balance-rr, port: [first, second]}}`)))
	shown := run(t, "ip -o link show master bond9")
	for _, port := range []string{"nic1: ", "nic2: ", "link/ether 02:00:00:00:00:d1"} {
		assert.Contains(t, shown, port)
	}
	assert.NotContains(t, shown, "link/ether 02:00:00:00:00:d2", "a bond gives its ports its own MAC")
	healed, _ := a.Heal()
	assert.Empty(t, healed)
	require.NoError(t, a.Revert(t.Context(), "p"))
	a.sameAs(t, before, "reverted")
	assert.Contains(t, run(t, "ip -o link show nic2"), "link/ether 02:00:00:00:00:d2")
}

// A policy that finds a NIC by the MAC of a capture keeps it, and gives it back, whatever it is called by then.
func TestANICIsFoundByItsMACOnceItIsCalledOtherwise(t *testing.T) {
	run(t, `
		ip link add nic1 address 02:00:00:00:00:d1 mtu 1450 type dummy
		ip link set nic1 up
		ip addr add 192.0.2.9/24 dev nic1`)
	t.Cleanup(func() { clear(t, "br9", "nic1", "nic9") })
	way := &way{agent: start(t, shortDir(t))}
	var spec nmstate.PolicySpec
	require.NoError(t, yaml.UnmarshalStrict([]byte(`
capture: {nic: interfaces.ipv4.address.ip=="192.0.2.9"}
desiredState:
  interfaces:
  - {name: uplink, type: dummy, identifier: mac-address, state: up, mtu: 1400,
     mac-address: "{{ capture.nic.interfaces.0.mac-address }}"}
  - {name: br9, type: linux-bridge, state: up, bridge: {port: [{name: uplink}]},
     ipv4: "{{ capture.nic.interfaces.0.ipv4 }}"}
`), &spec))
	require.NoError(t, way.apply(t, "p", spec))
	assert.Contains(t, run(t, "ip -o link show master br9"), "nic1: ")
	assert.Contains(t, run(t, "ip -o -4 addr show br9"), "192.0.2.9/24")

	run(t, "ip link set nic1 down\nip link set nic1 name nic9\nip link set nic9 up")
	healed, _ := way.Heal()
	assert.Empty(t, healed, "another name is no drift")
	run(t, "ip link set nic9 nomaster")
	healed, _ = way.Heal()
	assert.Len(t, healed, 1)
	assert.Contains(t, run(t, "ip -o link show master br9"), "nic9: ")

	require.NoError(t, way.Revert(t.Context(), "p"))
	assert.NotContains(t, run(t, "ip -o link show"), "br9")
	assert.Contains(t, run(t, "ip -o link show nic9"), "mtu 1450")
	assert.Contains(t, run(t, "ip -o -4 addr show nic9"), "192.0.2.9/24")
}
