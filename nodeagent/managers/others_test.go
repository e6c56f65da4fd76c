// SPDX-License-Identifier: Apache-2.0

package managers

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr/funcr"
	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// fakeSystemd answers as systemd with one active unit does.
func fakeSystemd(unit string) busProgram {
	return func(call busCall) ([]any, *dbus.Error) {
		switch {
		case call.method == properties+".GetAll":
			return []any{map[string]dbus.Variant{"ActiveState": dbus.MakeVariant("active")}}, nil
		case call.args[0] == unit:
			return []any{dbus.ObjectPath("/unit")}, nil
		}
		return nil, &dbus.Error{Name: noUnit}
	}
}

// write writes files below a root, by path.
func write(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for path, text := range files {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, path)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(root, path), []byte(text), 0o600))
	}
}

// cards returns a node with cards, a bridge and nobody who manages them.
func cards() netstate.State {
	return netstate.State{Interfaces: []netstate.Interface{
		{Name: "lo", Type: "loopback"}, {Name: "eth1", Type: netstate.TypeEthernet},
		{Name: "eth2", Type: netstate.TypeEthernet}, {Name: "br1", Type: netstate.TypeBridge},
	}}
}

func TestProgramsWithoutASwitchAreNamed(t *testing.T) {
	type files map[string]string
	type named map[string]netstate.Manager
	silent := func(busCall) ([]any, *dbus.Error) { return nil, nil }
	ifupdown := named{"eth1": netstate.Ifupdown, "eth2": netstate.Ifupdown}
	runs := map[string]busProgram{systemdName: fakeSystemd("networking.service")}
	tests := map[string]struct {
		runs  map[string]busProgram
		files files
		want  named
	}{
		"ifupdown has what its file and those it sources configure": {runs, files{
			interfacesFile: "# eth9\nsource interfaces.d/*\nauto lo eth1\niface lo inet loopback\n" +
				"iface eth1 inet dhcp\n  hostname x\n",
			"/etc/network/interfaces.d/50-cloud-init": "source /etc/network/interfaces\niface eth2 inet6 auto\n",
		}, ifupdown},
		"ifupdown without a file has nothing": {runs, nil, named{}},
		"ifupdown of a host with OpenRC": {nil, files{
			"/etc/runlevels/boot/networking": "", interfacesFile: "iface eth1\n\tuse dhcp\niface eth2 inet dhcp\n",
		}, ifupdown},
		"a file of ifupdown says nothing while it does not run": {
			map[string]busProgram{systemdName: fakeSystemd("dbus.service")},
			files{interfacesFile: "iface eth1 inet dhcp\n"}, named{}},
		"wicked has what there is a file of": {map[string]busProgram{wickedName: silent},
			files{ifcfgFolder + "/ifcfg-eth1": "", ifcfgFolder + "/ifcfg-lo": ""}, named{"eth1": netstate.Wicked}},
		"connman has every card": {map[string]busProgram{connmanName: silent}, nil,
			named{"eth1": netstate.Connman, "eth2": netstate.Connman}},
		"connman leaves cards alone whose names begin so": {map[string]busProgram{connmanName: silent},
			files{connmanFile: "[General]\nNetworkInterfaceBlacklist = veth,eth1\n"}, named{"eth2": netstate.Connman}},
		"dhcpcd has every card": {map[string]busProgram{systemdName: fakeSystemd("dhcpcd.service")}, nil,
			named{"eth1": netstate.Dhcpcd, "eth2": netstate.Dhcpcd}},
		"dhcpcd leaves cards alone": {nil, files{
			"/etc/runlevels/default/dhcpcd": "", dhcpcdFile: "hostname\n\ndenyinterfaces veth*, eth[13]\n",
		}, named{"eth2": netstate.Dhcpcd}},
		"dhcpcd has the cards it is to have": {nil, files{
			"/etc/runlevels/default/dhcpcd": "", dhcpcdFile: "allowinterfaces eth2 eth3\n",
		}, named{"eth2": netstate.Dhcpcd}},
		"netifrc has the links that have a service": {nil, files{
			"/etc/runlevels/boot/net.lo": "", "/etc/runlevels/default/net.eth1": "", "/etc/runlevels/default/net.br1": "",
		}, named{"eth1": netstate.Netifrc, "br1": netstate.Netifrc}},
		"Talos has every card": {nil, files{osRelease: "NAME=\"Talos\"\nID=talos\nVERSION_ID=v1.9.0\n"},
			named{"eth1": netstate.Talos, "eth2": netstate.Talos}},
		"others have none": {nil, files{osRelease: "ID=debian\nHOME_URL=https://talos.example.org\n"}, named{}},
	}
	for name, test := range tests {
		m := fakeBus(t, test.runs) // a folder with the name of the row is too long for a socket
		t.Run(name, func(t *testing.T) {
			write(t, m.Files.Root, test.files)
			state, err := m.Read(cards())
			require.NoError(t, err)
			found := named{}
			for _, i := range state.Interfaces {
				if i.Manager != "" {
					found[i.Name] = i.Manager
				}
			}
			assert.Equal(t, test.want, found)
		})
	}
}

func TestWhoCanBeToldHasTheLink(t *testing.T) {
	m := fakeBus(t, map[string]busProgram{
		systemdName:  fakeSystemd("networking.service"),
		networkdName: fakeNetworkd(map[string]string{"eth1": "configured", "eth2": "unmanaged"}),
	})
	write(t, m.Files.Root, map[string]string{interfacesFile: "iface eth1 inet dhcp\niface eth2 inet dhcp\n"})
	state, err := m.Read(cards())
	require.NoError(t, err)
	assert.Equal(t, netstate.Networkd, state.Interfaces[1].Manager)
	assert.Equal(t, netstate.Ifupdown, state.Interfaces[2].Manager)
}

func TestWhatIsNotKnownOfProgramsWithoutASwitchIsLoggedOnce(t *testing.T) {
	broken := func(busCall) ([]any, *dbus.Error) {
		return nil, &dbus.Error{Name: "org.freedesktop.DBus.Error.NoReply"}
	}
	m := fakeBus(t, map[string]busProgram{systemdName: broken})
	var logged []string
	m.Log = funcr.New(func(_, args string) { logged = append(logged, args) }, funcr.Options{})
	write(t, m.Files.Root, map[string]string{"/etc/runlevels/default/net.eth1": "", connmanFile + "/folder": ""})
	for range 2 {
		state, err := m.Read(cards())
		require.NoError(t, err, "what is only named keeps nothing from being read")
		assert.Equal(t, netstate.Netifrc, state.Interfaces[1].Manager, "the others are known")
	}
	require.Len(t, logged, 1)
	assert.Contains(t, logged[0], "find out whether ifupdown runs: ask systemd for networking.service: ")
	assert.Contains(t, logged[0], "find out whether dhcpcd runs: ask systemd for dhcpcd.service: ")
	assert.NotContains(t, logged[0], "connman", "it does not run")
}
