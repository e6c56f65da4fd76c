// SPDX-License-Identifier: Apache-2.0

package managers

import (
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// takeOver returns the step that takes a link over from NetworkManager.
func takeOver(link string) netstate.Step {
	return netstate.Step{Kind: netstate.StepManager, Link: link, From: netstate.Value{Manager: netstate.NetworkManager}}
}

func TestAMissingDeviceIsStale(t *testing.T) {
	tests := map[string]struct {
		has map[dbus.ObjectPath]map[string]dbus.Variant
		// goesAt is the call at which the device goes.
		goesAt string
	}{
		"it never was there":  {nil, ""},
		"before it is set":    {map[dbus.ObjectPath]map[string]dbus.Variant{"/1": device("eth1", nil)}, properties + ".Set"},
		"while it is awaited": {map[dbus.ObjectPath]map[string]dbus.Variant{"/1": device("eth1", nil)}, properties + ".GetAll"},
		"between two looks":   {map[dbus.ObjectPath]map[string]dbus.Variant{"/1": device("eth1", nil)}, "second"},
		"another is there":    {map[dbus.ObjectPath]map[string]dbus.Variant{"/1": device("eth10", nil)}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			nm, looks := &fakeNM{devices: test.has}, 0
			nm.before = func(call busCall) {
				if call.method == nmObjects {
					looks++
				}
				if call.method == test.goesAt || test.goesAt == "second" && looks == 2 {
					delete(nm.devices, "/1")
				}
			}
			m := fakeBus(t, map[string]busProgram{nmName: nm.answer})
			err := m.Do(takeOver("eth1"))
			var stale *kernel.StaleError
			require.ErrorAs(t, err, &stale, "it is planned again")
			require.ErrorContains(t, err, "eth1: the node changed since the plan was made: NetworkManager has no such device")
			require.ErrorAs(t, m.Do(takeOver("eth1").Inverse()), &stale, "an undo passes it over")
			require.NoError(t, m.Hold(nil), "nothing is to be given back")
			assert.NoFileExists(t, m.Files.at(releasedFile))
		})
	}
}

func TestALinkMayGoWhileItIsHeld(t *testing.T) {
	nm := &fakeNM{devices: map[dbus.ObjectPath]map[string]dbus.Variant{
		"/1": device("eth1", nil), "/2": device("eth2", nil),
	}}
	m := fakeBus(t, map[string]busProgram{nmName: nm.answer})
	nm.before = func(call busCall) {
		if call.method == properties+".Set" && call.path == "/1" {
			delete(nm.devices, "/1")
		}
	}
	require.NoError(t, m.Hold([]string{"eth1", "eth2"}))
	assert.False(t, value[bool](nm.devices["/2"], "Managed"), "the others are held")
	nm.devices["/1"] = device("eth1", nil)
	nm.before = nil
	require.NoError(t, m.Hold([]string{"eth1", "eth2"}))
	assert.False(t, value[bool](nm.devices["/1"], "Managed"), "it is held when it comes")

	nm.before = func(call busCall) {
		if call.method == properties+".Set" {
			delete(nm.devices, call.path)
		}
	}
	require.NoError(t, m.Hold(nil), "one that goes while it is given back needs no more")
	assert.NoFileExists(t, m.Files.at(releasedFile))
}

func TestWhatNetworkManagerRefusesIsAnError(t *testing.T) {
	m := fakeBus(t, map[string]busProgram{nmName: func(busCall) ([]any, *dbus.Error) {
		return nil, &dbus.Error{Name: "org.freedesktop.DBus.Error.AccessDenied"}
	}})
	_, err := m.Read(netstate.State{})
	require.ErrorContains(t, err, "ask NetworkManager which links it manages: ")
	require.ErrorContains(t, err, "AccessDenied")
	var stale *kernel.StaleError
	err = m.Do(takeOver("eth1"))
	require.Error(t, err)
	assert.NotErrorAs(t, err, &stale)
}

func TestTheDeviceOfALinkIsTheRealOne(t *testing.T) {
	active := dbus.ObjectPath("/active")
	devices := map[string]map[string]dbus.Variant{
		"the link's":          device("br1", map[string]any{"ActiveConnection": active}),
		"a profile's":         device("br1", map[string]any{"Real": false, "DeviceType": uint32(13)}),
		"Open vSwitch's port": device("br1", map[string]any{"DeviceType": nmOVSPort}),
		"its bridge":          device("br1", map[string]any{"DeviceType": nmOVSBridge}),
	}
	tree := nmTree{active: {nmActive: {"Uuid": dbus.MakeVariant("u1"), "Id": dbus.MakeVariant("Wired")}}}
	for name, values := range devices {
		tree[dbus.ObjectPath(name)] = map[string]map[string]dbus.Variant{nmDevice: values}
	}
	for range 20 {
		require.Equal(t, map[string]Device{
			"br1": {Managed: true, Shown: true, Profile: "Wired", UUID: "u1", ID: "the link's"},
		}, tree.devices(), "whichever comes first")
	}
	delete(tree, "the link's")
	require.Equal(t, dbus.ObjectPath("a profile's"), tree.paths()["br1"])
}

func TestALinkThatIsBackIsGivenBack(t *testing.T) {
	nm, looks := &fakeNM{devices: map[dbus.ObjectPath]map[string]dbus.Variant{}}, 0
	nm.before = func(call busCall) {
		if looks++; call.method == nmObjects && looks == 3 {
			nm.devices["/1"] = device("br1", map[string]any{"Managed": false, "State": nmActivated})
		}
	}
	m := fakeBus(t, map[string]busProgram{nmName: nm.answer})
	require.NoError(t, m.Files.writeReleased(map[string]letGo{"br1": {}}))
	require.NoError(t, m.Do(takeOver("br1").Inverse()))
	assert.True(t, value[bool](nm.devices["/1"], "Managed"))
}
