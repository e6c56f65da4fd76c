// SPDX-License-Identifier: Apache-2.0

package managers

import (
	"fmt"
	"math"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

func TestProfilesOfKubernetesNMStateAreRecognised(t *testing.T) {
	type setting = map[string]dbus.Variant
	text := func(words ...string) setting {
		s := setting{}
		for n := 0; n < len(words); n += 2 {
			s[words[n]] = dbus.MakeVariant(words[n+1])
		}
		return s
	}
	number := func(s setting, word string, value int32) setting {
		s[word] = dbus.MakeVariant(value)
		return s
	}
	bridge := text("id", "br1", "interface-name", "br1")
	number(bridge, "autoconnect-slaves", 1)
	described := map[string]string{"nmstate.interface.description": "VMs"}
	tests := map[string]struct {
		settings map[string]setting
		want     bool
	}{
		"a bridge":        {map[string]setting{"connection": bridge}, true},
		"a port":          {map[string]setting{"connection": text("id", "eth1", "interface-name", "eth1", "master", "br1")}, true},
		"a described NIC": {map[string]setting{"connection": text("id", "eth1", "interface-name", "eth1"), "user": {"data": dbus.MakeVariant(described)}}, true},
		"a port, as NetworkManager calls it since 1.53": {map[string]setting{
			"connection": text("id", "eth1", "interface-name", "eth1", "controller", "br1"),
		}, true},
		"a bond, as NetworkManager calls it since 1.46": {map[string]setting{
			"connection": number(text("id", "bond0", "interface-name", "bond0"), "autoconnect-ports", 1),
		}, true},
		"a NIC that leases an IPv4 address": {map[string]setting{
			"connection": text("id", "eth1", "interface-name", "eth1"),
			"ipv4":       number(text("method", "auto", "dhcp-client-id", "mac"), "dhcp-timeout", math.MaxInt32),
		}, true},
		"a VLAN that leases an IPv6 address": {map[string]setting{
			"connection": text("id", "eth1.100", "interface-name", "eth1.100"),
			"ipv6":       number(text("method", "auto", "dhcp-iaid", "mac"), "dhcp-timeout", math.MaxInt32),
		}, true},
		"a NIC that asks for as long as it takes": {map[string]setting{
			"connection": text("id", "eth1", "interface-name", "eth1"),
			"ipv4":       number(text("method", "auto"), "dhcp-timeout", math.MaxInt32),
		}, false},
		"a NIC that asks as its MAC, with a name of people's": {map[string]setting{
			"connection": text("id", "uplink", "interface-name", "eth1"),
			"ipv4":       number(text("method", "auto", "dhcp-client-id", "mac"), "dhcp-timeout", math.MaxInt32),
		}, false},
		"one profile for many NICs": {map[string]setting{
			"connection": number(text("id", "eth"), "multi-connect", 3),
			"ipv4":       number(text("method", "auto", "dhcp-client-id", "mac"), "dhcp-timeout", math.MaxInt32),
		}, false},
		"a profile made by hand": {map[string]setting{"connection": text("id", "ethernet-eth1", "interface-name", "eth1", "master", "br1")}, false},
		"a NIC by its name":      {map[string]setting{"connection": text("id", "eth1", "interface-name", "eth1")}, false},
		"any NIC":                {map[string]setting{"connection": text("id", "Wired connection 2")}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { assert.Equal(t, test.want, leftByNMState(test.settings)) })
	}
}

// legacyNM returns a NetworkManager with two links whose profiles kubernetes-nmstate left.
func legacyNM() *fakeNM {
	nm := &fakeNM{
		devices:  map[dbus.ObjectPath]map[string]dbus.Variant{},
		active:   map[dbus.ObjectPath]map[string]dbus.Variant{},
		profiles: map[dbus.ObjectPath]map[string]map[string]dbus.Variant{},
	}
	for n, link := range []string{"br1", "eth1"} {
		at := func(kind string) dbus.ObjectPath { return dbus.ObjectPath(fmt.Sprintf("/%s/%d", kind, n)) }
		nm.devices[at("device")] = device(link, map[string]any{"ActiveConnection": at("active")})
		nm.active[at("active")] = map[string]dbus.Variant{"Id": dbus.MakeVariant(link), "Uuid": dbus.MakeVariant("u-" + link)}
		nm.profiles[at("profile")] = map[string]map[string]dbus.Variant{"connection": {
			"id": dbus.MakeVariant(link), "interface-name": dbus.MakeVariant(link), "uuid": dbus.MakeVariant("u-" + link),
			"autoconnect-slaves": dbus.MakeVariant(int32(1)),
		}}
	}
	return nm
}

func TestProfilesMayGoMeanwhile(t *testing.T) {
	links := netstate.State{Interfaces: []netstate.Interface{{Name: "br1"}, {Name: "eth1"}}}
	nm := legacyNM()
	m := fakeBus(t, map[string]busProgram{nmName: nm.answer})
	state, err := m.Read(links)
	require.NoError(t, err)
	assert.True(t, state.Interfaces[0].Legacy && state.Interfaces[1].Legacy)

	nm.before = goes(nm, nmSettings+".Connection.GetSettings")
	state, err = m.Read(links)
	require.NoError(t, err)
	assert.False(t, state.Interfaces[0].Legacy, "it has none any more")
	assert.True(t, state.Interfaces[1].Legacy)

	for _, at := range []string{"GetSettings", "Delete"} {
		*nm = *legacyNM()
		nm.before = goes(nm, nmSettings+".Connection."+at)
		names, err := m.RemoveProfiles([]string{"br1", "eth1"})
		require.NoError(t, err, at)
		assert.Equal(t, []string{"eth1"}, names, "somebody else removed the other")
		assert.Empty(t, nm.profiles)
	}
}

// goes has the profile of br1 go just before a method of it is called.
func goes(nm *fakeNM, method string) func(busCall) {
	return func(call busCall) {
		if call.method == method && call.path == "/profile/0" {
			delete(nm.profiles, call.path)
		}
	}
}
