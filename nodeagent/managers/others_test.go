// SPDX-License-Identifier: Apache-2.0

package managers

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

func TestProgramsWithoutASwitchAreNamed(t *testing.T) {
	tests := map[string]struct {
		runs  netstate.Manager
		files map[string]string
		want  map[string]netstate.Manager
	}{
		"ifupdown has what its file and those it sources configure": {netstate.Ifupdown, map[string]string{
			interfacesFile: "# eth9\nsource interfaces.d/*\nauto lo eth1\niface lo inet loopback\n" +
				"iface eth1 inet dhcp\n  hostname x\n",
			"/etc/network/interfaces.d/50-cloud-init": "source /etc/network/interfaces\niface eth2 inet6 auto\n",
		}, map[string]netstate.Manager{"eth1": netstate.Ifupdown, "eth2": netstate.Ifupdown}},
		"ifupdown without a file has nothing": {netstate.Ifupdown, nil, map[string]netstate.Manager{}},
		"a file of ifupdown says nothing while it does not run": {"", map[string]string{
			interfacesFile: "iface eth1 inet dhcp\n"}, map[string]netstate.Manager{}},
		"wicked has what there is a file of": {netstate.Wicked,
			map[string]string{ifcfgFolder + "/ifcfg-eth1": "", ifcfgFolder + "/ifcfg-lo": ""},
			map[string]netstate.Manager{"eth1": netstate.Wicked}},
		"connman has every card": {netstate.Connman, nil,
			map[string]netstate.Manager{"eth1": netstate.Connman, "eth2": netstate.Connman}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for path, text := range test.files {
				require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, path)), 0o755))
				require.NoError(t, os.WriteFile(filepath.Join(root, path), []byte(text), 0o600))
			}
			programs := (&Bus{Root: root}).switchless()
			for n, p := range programs {
				programs[n].runs = func() (bool, error) { return p.manager == test.runs, nil }
			}
			state := netstate.State{Interfaces: []netstate.Interface{
				{Name: "lo", Type: "loopback"}, {Name: "eth0", Type: netstate.TypeEthernet, Manager: netstate.Networkd},
				{Name: "eth1", Type: netstate.TypeEthernet}, {Name: "eth2", Type: netstate.TypeEthernet},
				{Name: "br1", Type: netstate.TypeBridge},
			}}
			require.NoError(t, mark(state, programs))
			found := map[string]netstate.Manager{}
			for _, i := range state.Interfaces {
				if i.Manager != "" && i.Name != "eth0" {
					found[i.Name] = i.Manager
				}
			}
			assert.Equal(t, test.want, found)
			assert.Equal(t, netstate.Networkd, state.Interfaces[1].Manager, "who is told has it")
		})
	}
}

func TestAProgramThatCannotBeAskedAboutIsAnError(t *testing.T) {
	err := mark(netstate.State{}, []Switchless{{manager: netstate.Wicked, runs: func() (bool, error) {
		return false, errors.New("the bus hangs")
	}}})
	require.EqualError(t, err, "find out whether wicked runs: the bus hangs")
}
