// SPDX-License-Identifier: Apache-2.0

package managers

import (
	"fmt"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// fakeNetworkd answers as systemd-networkd with some links does: by name, what asking each for its state comes to, an
// error of D-Bus or the state.
func fakeNetworkd(links map[string]string) busProgram {
	return func(call busCall) ([]any, *dbus.Error) {
		switch call.method {
		case networkdManager + ".ListLinks":
			var listed []networkdListed
			for name := range links {
				listed = append(listed, networkdListed{Index: 2, Name: name, Path: dbus.ObjectPath("/" + name)})
			}
			return []any{listed}, nil
		case networkdManager + ".Reload":
			return nil, nil
		case properties + ".GetAll":
			state := links[string(call.path[1:])]
			if _, says := knownStates()[state]; !says {
				return nil, &dbus.Error{Name: state}
			}
			return []any{map[string]dbus.Variant{"AdministrativeState": dbus.MakeVariant(state)}}, nil
		}
		return nil, &dbus.Error{Name: "org.freedesktop.DBus.Error.UnknownMethod"}
	}
}

// knownStates are those of org.freedesktop.network1(5), and whether networkd configures such a link.
func knownStates() map[string]bool {
	return map[string]bool{
		"pending": true, "initialized": true, "configuring": true, "configured": true, "failed": true, "linger": true,
		"unmanaged": false,
	}
}

func TestNetworkdHasTheLinksThatItConfigures(t *testing.T) {
	for state, managed := range knownStates() {
		m := fakeBus(t, map[string]busProgram{networkdName: fakeNetworkd(map[string]string{
			"eth1": state, "gone": "org.freedesktop.DBus.Error.UnknownObject",
		})})
		read, err := m.Read(netstate.State{Interfaces: []netstate.Interface{{Name: "eth1"}, {Name: "gone"}}})
		require.NoError(t, err)
		assert.Equal(t, managed, read.Interfaces[0].Manager == netstate.Networkd, state)
		assert.Empty(t, read.Interfaces[1].Manager, "it went meanwhile")
	}
}

func TestALinkOfWhichNetworkdDoesNotTellIsAnError(t *testing.T) {
	m := fakeBus(t, map[string]busProgram{networkdName: fakeNetworkd(map[string]string{
		"eth1": "org.freedesktop.DBus.Error.AccessDenied",
	})})
	_, err := m.Read(netstate.State{Interfaces: []netstate.Interface{{Name: "eth1"}}})
	require.ErrorContains(t, err, "ask systemd-networkd which links it manages: eth1: ")
	require.ErrorContains(t, err, "AccessDenied", "it is not taken for one without a manager")
}

func TestNetworkdIsAskedForNoLinksOfPods(t *testing.T) {
	links := map[string]string{"eth1": "configured", "veth1": "configured", "br1": "unmanaged"}
	state := netstate.State{Interfaces: []netstate.Interface{
		{Name: "eth1", Type: netstate.TypeEthernet}, {Name: "br1", Type: netstate.TypeBridge},
		{Name: "veth1", Type: netstate.TypeVeth, Veth: &netstate.Veth{Peer: "veth2"}},
	}}
	for n := range 300 {
		name := fmt.Sprintf("veth%08x", n)
		links[name] = "unmanaged"
		state.Interfaces = append(state.Interfaces,
			netstate.Interface{Name: name, Type: netstate.TypeVeth, State: netstate.StateIgnore})
	}
	var calls []string
	answer := fakeNetworkd(links)
	m := fakeBus(t, map[string]busProgram{networkdName: func(call busCall) ([]any, *dbus.Error) {
		calls = append(calls, string(call.path)+" "+call.method)
		return answer(call)
	}})
	read, err := m.Read(state)
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{
		networkdPath + " " + networkdManager + ".ListLinks", "/eth1 " + properties + ".GetAll",
		"/veth1 " + properties + ".GetAll", "/br1 " + properties + ".GetAll",
	}, calls)
	assert.Equal(t, netstate.Networkd, read.Interfaces[0].Manager)
	assert.Equal(t, netstate.Networkd, read.Interfaces[2].Manager, "both ends are the node's")

	calls, links["eth1"] = nil, "unmanaged"
	require.NoError(t, m.Do(netstate.Step{
		Kind: netstate.StepManager, Link: "eth1", From: netstate.Value{Manager: netstate.Networkd},
	}))
	assert.Equal(t, []string{
		networkdPath + " " + networkdManager + ".Reload", networkdPath + " " + networkdManager + ".ListLinks",
		"/eth1 " + properties + ".GetAll",
	}, calls, "a link that is taken over is the only one")
}
