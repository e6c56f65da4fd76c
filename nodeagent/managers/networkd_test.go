// SPDX-License-Identifier: Apache-2.0

package managers

import (
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
