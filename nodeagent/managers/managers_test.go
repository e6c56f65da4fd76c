// SPDX-License-Identifier: Apache-2.0

package managers

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// A model plays a manager: it does what it is told and writes that down, and reads its files when it is told to.
type model struct {
	files   Files
	manager netstate.Manager
	devices map[string]Device
	told    *[]string
	fails   bool
	// ends has it end when it is asked next, and ended says that it has.
	ends, ended bool
	// deaf has it pay no heed to what its files say.
	deaf bool
}

func (m *model) tell(text string) error {
	if err := m.end(); err != nil {
		return err
	}
	*m.told = append(*m.told, text)
	if m.fails {
		return errors.New("it hangs")
	}
	return nil
}

// end fails like a call to a program that has just ended.
func (m *model) end() error {
	if m.ended = m.ends; m.ended {
		return errors.New("the name has no owner")
	}
	return nil
}

func (m *model) Devices(map[string]bool) (map[string]Device, error) { return m.devices, m.end() }

func (m *model) Release(link string) error {
	m.devices[link] = Device{ID: m.devices[link].ID}
	return m.tell("release " + link)
}

func (m *model) Take(link, uuid string) error {
	m.devices[link] = Device{Managed: true}
	return m.tell(strings.TrimSpace("take " + link + " " + uuid))
}

func (m *model) RemoveProfiles(links []string) ([]string, error) {
	var names []string
	for _, link := range links {
		if m.devices[link].Legacy {
			names = append(names, link)
		}
	}
	return names, nil
}

func (m *model) Reload() error {
	kept, _, _ := m.files.unmanaged()
	if m.manager == netstate.Networkd {
		kept, _ = m.files.networks()
	}
	for _, link := range kept {
		if m.manager == netstate.NetworkManager && m.devices[link].Managed {
			return m.tell("reload takes down " + link)
		}
		if !m.deaf {
			m.devices[link] = Device{ID: m.devices[link].ID}
		}
	}
	return m.tell("reload without " + strings.Join(kept, " "))
}

// node returns the managers of a node on which one of them runs and manages eth1 and eth2, and what it is told.
func node(t *testing.T, runs netstate.Manager) (*Managers, *model) {
	m := &Managers{Files: Files{Root: t.TempDir()}}
	program := &model{files: m.Files, manager: runs, told: &[]string{},
		devices: map[string]Device{"eth1": {Managed: true, Profile: "Wired", UUID: "u1"}, "eth2": {Managed: true}}}
	if runs == netstate.Networkd {
		program.devices["eth1"] = Device{Managed: true, Profile: "Wired"}
	}
	find := func(which netstate.Manager) func() (Program, error) {
		return func() (Program, error) {
			if which != runs {
				return nil, nil
			}
			return program, nil
		}
	}
	m.NetworkManager, m.Networkd = find(netstate.NetworkManager), find(netstate.Networkd)
	return m, program
}

func TestADeviceThatWasGivenBackIsJudged(t *testing.T) {
	const device, active = dbus.ObjectPath("/device"), dbus.ObjectPath("/active")
	tests := map[string]struct {
		state, flags uint32
		profile      string
		ago          time.Duration
		want         nmNext
	}{
		"it is being configured by the profile it had":       {state: 70, profile: "its", want: nmDone},
		"it is configured by it":                             {state: nmActivated, profile: "its", want: nmDone},
		"NetworkManager has chosen another profile":          {state: 70, profile: "another", want: nmActivate},
		"it is only shown, since it has addresses":           {state: nmActivated, flags: nmExternal, want: nmActivate},
		"NetworkManager has chosen none":                     {state: nmDisconnected, want: nmActivate},
		"whether it has a carrier is not known yet":          {state: nmUnavailable, want: nmWait},
		"it has no carrier":                                  {state: nmUnavailable, ago: carrierWait, want: nmDone},
		"it could not be configured and is to be once again": {state: 120, ago: carrierWait, want: nmActivate},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tree := nmTree{
				device: {nmDevice: {
					"State": dbus.MakeVariant(test.state), "ActiveConnection": dbus.MakeVariant(active),
				}},
				active: {nmActive: {
					"StateFlags": dbus.MakeVariant(test.flags), "Uuid": dbus.MakeVariant(test.profile),
				}},
			}
			assert.Equal(t, test.want, tree.next(device, "its", test.ago))
			if test.profile == "another" {
				assert.Equal(t, nmDone, tree.next(device, "", test.ago), "it had none")
			}
		})
	}
}

func TestStepsTakeLinksOverAndGiveThemBack(t *testing.T) {
	tests := map[string]struct {
		runs netstate.Manager
		told []string
	}{
		"NetworkManager":   {netstate.NetworkManager, []string{"release eth1", "take eth1 u1"}},
		"systemd-networkd": {netstate.Networkd, []string{"release eth1", "reload without "}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m, program := node(t, test.runs)
			before, err := m.Read(netstate.State{Interfaces: []netstate.Interface{{Name: "eth1"}, {Name: "eth9"}}})
			require.NoError(t, err)
			assert.Equal(t, test.runs, before.Interfaces[0].Manager)
			assert.Equal(t, "Wired", *before.Interfaces[0].ProfileName)
			assert.Empty(t, before.Interfaces[1].Manager)
			step := netstate.Step{Kind: netstate.StepManager, Link: "eth1", From: netstate.Value{Manager: test.runs}}
			require.NoError(t, m.Do(step))
			after, err := m.Read(before)
			require.NoError(t, err)
			assert.Empty(t, after.Interfaces[0].Manager, "what is said about a link is said again")
			require.NoError(t, m.Do(step.Inverse()))
			require.NoError(t, m.Hold(nil), "after the undo")
			assert.Equal(t, test.told, *program.told)
		})
	}
}

func TestNetworkManagersDevicesAreJudged(t *testing.T) {
	tests := map[string]struct {
		managed bool
		kind    uint32
		active  map[string]dbus.Variant
		want    Device
	}{
		"a NIC that is activated": {true, nmEthernet, map[string]dbus.Variant{"Id": dbus.MakeVariant("Wired")},
			Device{Managed: true, Shown: true, Profile: "Wired"}},
		"a NIC that waits for a carrier": {true, nmEthernet, nil, Device{Managed: true, Shown: true}},
		"a NIC that was let go":          {false, nmEthernet, nil, Device{}},
		"a bridge that NetworkManager made": {true, 13, map[string]dbus.Variant{"Id": dbus.MakeVariant("br0")},
			Device{Managed: true, Shown: true, Profile: "br0"}},
		"a bridge that it only shows": {true, 13, map[string]dbus.Variant{"StateFlags": dbus.MakeVariant(nmExternal | 1)}, Device{Shown: true}},
		"a bridge that is new":        {true, 13, nil, Device{Shown: true}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			device := map[string]dbus.Variant{
				"Managed":    dbus.MakeVariant(test.managed),
				"DeviceType": dbus.MakeVariant(test.kind),
				"Real":       dbus.MakeVariant(true),
			}
			assert.Equal(t, test.want, deviceOf(device, test.active))
			device["Real"] = dbus.MakeVariant(false)
			assert.False(t, deviceOf(device, test.active).Shown, "there is no link")
		})
	}
}

func TestALinkThatBothManagersHaveIsNetworkManagers(t *testing.T) {
	m, _ := node(t, netstate.NetworkManager)
	other, _ := node(t, netstate.Networkd)
	m.Networkd = other.Networkd
	for range 20 {
		state, err := m.Read(netstate.State{Interfaces: []netstate.Interface{{Name: "eth1"}}})
		require.NoError(t, err)
		require.Equal(t, netstate.NetworkManager, state.Interfaces[0].Manager, "whichever is asked first")
	}
}

func TestANodeWithoutABusHasNoManagers(t *testing.T) {
	m := New(t.TempDir(), logr.Discard())
	state, err := m.Read(netstate.State{Interfaces: []netstate.Interface{{Name: "eth0"}}})
	require.NoError(t, err)
	assert.Empty(t, state.Interfaces[0].Manager)
	require.NoError(t, m.Hold([]string{"eth0"}))
	text, err := os.ReadFile(m.Files.at(unmanagedFile))
	require.NoError(t, err)
	assert.Equal(t, formatUnmanaged([]string{"eth0"}), string(text))
}
