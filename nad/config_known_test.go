// SPDX-License-Identifier: Apache-2.0

package nad

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhatKnownPluginsCannotUse(t *testing.T) {
	for source, warnings := range map[string][]string{
		`{"type":"Bridge"}`:       {`type is "Bridge", which is not a plugin that we know: did you mean bridge?`},
		`{"type":"bridge "}`:      {"did you mean bridge?"},
		`{"type":"linux-bridge"}`: {"did you mean bridge?"},
		`{"type":"MACVLAN"}`:      {"did you mean macvlan?"},
		`{"type":"hostdevice"}`:   {"did you mean host-device?"},
		`{"type":"tunning"}`:      {"did you mean tuning?"},
		`{"type":"macvtap"}`:      nil,
		`{"type":"vxlan"}`:        nil,
		`{"type":"ib-sriov"}`:     nil,

		`{"type":"macvlan","mtu":"9000"}`:                                    {"line 1, column 25: mtu: want a whole number, not a string: remove the quotes"},
		`{"type":"macvlan","master":["eth1"]}`:                               {"master: want a string, not a list"},
		`{"type":"macvlan","master":"0123456789abcde"}`:                      nil,
		`{"type":"ovs","bridge":"0123456789abcdef"}`:                         {`bridge is "0123456789abcdef": it is longer than the 15 characters`},
		`{"type":"macvlan","master":"enP32807p1s0f0np0"}`:                    nil,
		`{"type":"host-device","device":"` + strings.Repeat("x", 128) + `"}`: {"it is longer than the 127 characters"},
		`{"type":"macvlan","mtu":null}`:                                      nil,
		`{"type":"macvlan","bridge":"eth1"}`:                                 {"did you mean master?"},
		`{"type":"macvlan","macAddr":"x"}`:                                   {"did you mean mac?"},
		`{"type":"vlan","vlanId":"5"}`:                                       {"vlanId: want a whole number, not a string: remove the quotes"},
		`{"type":"vlan","vlanId":4095}`:                                      {"vlanId is 4095: want 0 to 4094"},
		`{"type":"vlan","vlanId":4094}`:                                      nil,
		`{"type":"ovs","bridge":"br1","vlan":1.5}`:                           {"vlan is 1.5: want 0 to 4094"},
		`{"type":"ovs","bridge":"br1","trunk":{}}`:                           {"trunk: want a list, not an object"},
		`{"type":"sriov","spoofchk":true}`:                                   {"spoofchk: want a string, not a boolean"},
		`{"type":"sriov","vlan":"five"}`:                                     {"vlan: want a whole number, not a string"},
		`{"type":"tap","multiQueue":"true"}`:                                 {"multiQueue: want true or false, not a string: remove the quotes"},
		`{"type":"host-device","interface":"eth1"}`:                          {"did you mean device?"},
		`{"type":"host-device","pciAddress":"x"}`:                            {"did you mean pciBusID?"},
		`{"type":"tuning","sysctls":{}}`:                                     {"did you mean sysctl?"},
		`{"type":"cnv-tuning","promiscuous":true}`:                           {"did you mean promisc?"},
		`{"type":"tuning","macAddress":"x"}`:                                 {"did you mean mac?"},
		`{"type":"tuning","sysctl":{"a.b":1,"c":"1"}}`:                       {"sysctl: a.b is to be a string: write it in double quotes"},

		`{"type":"bridge","promiscuous":true}`:                              {"did you mean promiscMode?"},
		`{"type":"host-device","master":"eth1"}`:                            {"did you mean device?"},
		`{"type":"sriov","vlans":[]}`:                                       {"did you mean vlan_trunk?"},
		`{"type":"tuning","txQueueLen":5}`:                                  {"did you mean txQLen?"},
		`{"type":"tuning","disabled":true}`:                                 nil,
		`{"type":"host-device","device":"eth1","useInterfaceNetwork":true}`: nil,
		`{"type":"sriov","interface":"eth1"}`:                               nil,
		`{"type":"tuning","routes":[]}`:                                     nil,

		`{"type":"bridge","subnet":"10.0.0.0/24"}`:            {"subnet means nothing to the bridge plugin: write it into ipam"},
		`{"type":"bridge","gateway":"10.0.0.1"}`:              {"gateway means nothing to the bridge plugin: write it into ipam"},
		`{"type":"bridge","gateway":true}`:                    {"did you mean isGateway?"},
		`{"type":"bridge","ipam":{"VLAN":5,"type":"x"}}`:      {"ipam.VLAN means nothing: it is an option of the bridge plugin: write it beside ipam"},
		`{"type":"bridge","ipam":{"ipam":{}}}`:                {"ipam.ipam is a level too many: write what is in it into ipam"},
		`{"type":"ours","ipam":{"vlan":5},"vlan":"5"}`:        nil,
		`{"type":"ovs","ipam":{"configuration_path":"/a"}}`:   nil,
		`{"type":"sriov","ipam":{"logLevel":"debug"}}`:        nil,
		`{"type":"bridge","vlan":5,"VLAN":6}`:                 {"line 1, column 25: VLAN is written again further on"},
		`{"cniversion":"1.0.0","plugins":[{"type":"x"}]}`:     {"cniversion means nothing beside plugins: write cniVersion"},
		`{"plugins":[{"type":"x"}],"plugins":[{"type":"y"}]}`: {"plugins is written again further on, which is what counts: remove one"},
		`{"plugins":[{"type":"x"}],"Plugins":[]}`:             {"Plugins means nothing beside plugins: write plugins"},
		`{"cniVersoin":"1.0.0","plugins":[{"type":"x"}]}`:     {"cniVersoin means nothing beside plugins: write cniVersion"},
		`{"type":"ours","ipam":{"type":"a","type":"b"}}`:      {"line 1, column 31: ipam.type is written again further on"},
		`{"type":"ours","ipam":{"type":"a","Type":"b"}}`:      nil,
		`{"type":"ours","a":[{"b":1,"b":2}]}`:                 {"a.b is written again further on"},

		`{"type":"bridge","bridge":"br0\u200b"}`:          {`line 1, column 27: "br0\u200b" has an invisible character (U+200B): remove it`},
		`{"type":"bridge","bridge":"\u201cbr0\u201d"}`:    {"has a typographic quote (U+201C): remove it"},
		`{"type":"macvlan","master":"'eth1'"}`:            {"has quotes around it: remove them"},
		`{"type":"bridge","vlan\u00a0":5}`:                {`the name "vlan\u00a0" has a no-break space (U+00A0)`},
		`{"vlan\u00a0":5,"plugins":[{"type":"x"}]}`:       {`the name "vlan\u00a0" has a no-break space (U+00A0)`},
		`{"type":"bridge","bridge":"<bridge>"}`:           {`line 1, column 27: "<bridge>" is a placeholder that nothing filled in: write its value`},
		`{"type":"host-device","device":"$DEVICE"}`:       {`"$DEVICE" is a placeholder`},
		`{"type":"macvlan","master":"${MASTER}"}`:         {`"${MASTER}" is a placeholder`},
		`{"type":"ours","a":"{{ .Values.a }}/24"}`:        {`is a placeholder`},
		`{"type":"ours","a":"a<b>","b":"$","c":"5$"}`:     nil,
		`{"type":"ours","a":"nodes' \u201cinner\u201d."}`: nil,
	} {
		t.Run(source, func(t *testing.T) {
			config, problems := ParseConfig(source)
			require.Empty(t, problems)
			require.Len(t, config.Warnings, len(warnings), "%q", config.Warnings)
			for i, warning := range warnings {
				assert.Contains(t, config.Warnings[i], warning)
			}
		})
	}
}

func TestNoAbsurdGuessIsMade(t *testing.T) {
	for _, options := range []string{
		`"type":"bridge","enabled":true`, `"type":"bridge","disabled":true`, `"type":"macvlan","txqueuelen":5`,
		`"type":"macvlan","node":"a"`, `"type":"vlan","vlans":[5]`, `"type":"bridge","device":"eth1"`,
	} {
		t.Run(options, func(t *testing.T) {
			config, problems := ParseConfig("{" + options + "}")
			require.Empty(t, problems)
			require.Len(t, config.Warnings, 1)
			assert.NotContains(t, config.Warnings[0], "did you mean")
		})
	}
}

func TestALongKeyIsComparedWithNoOption(t *testing.T) {
	known, _ := options("bridge")
	long := strings.Repeat("x", 1<<10)
	assert.Zero(t, testing.AllocsPerRun(1, func() { closest(long, known) }))
}

func TestOfOneTextNotEverythingIsTold(t *testing.T) {
	for _, source := range []string{
		`{"type":"bridge",` + strings.Repeat(`"vlanx":1,`, 1000) + `"a":1}`,
		`{"plugins":[` + strings.Repeat(`1,`, 1000) + `1]}`,
		`{"type":"bridge","vlanTrunk":[` + strings.Repeat(`{},`, 1000) + `{}]}`,
	} {
		config, problems := ParseConfig(source)
		assert.Equal(t, maxTold, len(config.Warnings)+len(problems))
	}
	networks, problems := ParseNetworks("["+strings.Repeat(`{"nam":1},`, 1000)+strings.Repeat("1,", 1000)+"1]", "home", nil)
	assert.Len(t, networks.Warnings, maxTold)
	assert.Len(t, problems, maxTold)
}
