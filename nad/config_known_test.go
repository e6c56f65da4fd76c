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

		`{"type":"macvlan","master":"0123456789abcde","cniVersion":"1.0.0"}`:                      nil,
		`{"type":"ovs","bridge":"0123456789abcdef","cniVersion":"1.0.0"}`:                         {`bridge is "0123456789abcdef": it is longer than the 15 characters`},
		`{"type":"macvlan","master":"enP32807p1s0f0np0","cniVersion":"1.0.0"}`:                    nil,
		`{"cniVersion":"1.0.0","type":"host-device","device":"` + strings.Repeat("x", 128) + `"}`: {"it is longer than the 127 characters"},
		`{"type":"ovs","bridge":"br1","vlan":4095,"cniVersion":"1.0.0"}`:                          {"vlan is 4095: want 0 to 4094"},
		`{"type":"vlan","master":"eth1","vlanId":4094,"mtu":1500,"ipam":{"type":"dhcp"}}`:         nil,
		`{"type":"vlan","master":"eth1","vlanId":5,"ipam":{}}`:                                    {"line 1, column 1: ipam.type is missing: most releases of the vlan plugin fail without addresses: write ipam"},
		`{"type":"ipvlan","master":"eth1"}`:                                                       {"most releases of the ipvlan plugin fail without addresses"},
		`{"plugins":[{"type":"x"},{"type":"ipvlan","master":"eth1"}]}`:                            nil,
		`{"type":"sriov","link_state":"up"}`:                                                      {`link_state is "up": sriov takes auto, enable, disable`},
		`{"type":"sriov","trust":"on","spoofchk":"off"}`:                                          nil,
		`{"type":"sriov","trust":"true"}`:                                                         {`trust is "true": sriov takes on, off`},
		`{"type":"sriov","spoofchk":"yes"}`:                                                       {`spoofchk is "yes": sriov takes on, off`},
		`{"type":"sriov","vlanProto":"802.1q"}`:                                                   {"vlanProto: later releases of the plugin fail with it where there is no vlan: leave it out"},
		`{"type":"sriov","vlan":5,"vlanProto":"802.1q"}`:                                          nil,
		`{"type":"sriov","vlan":5,"vlanProto":"802.1x"}`:                                          {`vlanProto is "802.1x": sriov takes 802.1Q, 802.1ad`},
		`{"type":"sriov","vlan":0,"vlanProto":"802.1AD"}`:                                         {"later releases of the plugin fail with 802.1ad and vlan 0"},
		`{"type":"sriov","vlanQoS":0}`:                                                            {"vlanQoS: later releases of the plugin fail with it where there is no vlan: leave it out"},
		`{"type":"sriov","vlan":0,"vlanQoS":0,"link_state":"auto"}`:                               nil,
		`{"type":"sriov","vlan":5,"vlanQoS":7}`:                                                   nil,
		`{"type":"macvlan","mtu":null,"cniVersion":"1.0.0"}`:                                      nil,
		`{"type":"macvlan","bridge":"eth1","cniVersion":"1.0.0"}`:                                 {"did you mean master?"},
		`{"type":"macvlan","macAddr":"x","cniVersion":"1.0.0"}`:                                   {"did you mean mac?"},
		`{"type":"host-device","interface":"eth1","cniVersion":"1.0.0"}`:                          {"did you mean device?"},
		`{"type":"host-device","pciAddress":"x","cniVersion":"1.0.0"}`:                            {"did you mean pciBusID?"},
		`{"plugins":[{"type":"x"},{"type":"bandwidth","rate":5,"ingresRate":5}]}`:                 {"plugins[1].ingresRate means nothing to the bandwidth plugin: did you mean ingressRate?"},
		`{"plugins":[{"type":"x"},{"type":"portmap","backend":"ipvs"}]}`:                          {`plugins[1].backend is "ipvs": portmap takes iptables, nftables`},
		`{"plugins":[{"type":"x"},{"type":"firewall","backend":"nftables"}]}`:                     {`plugins[1].backend is "nftables": firewall takes iptables, firewalld`},
		`{"plugins":[{"type":"x"},{"type":"firewall","ingressPolicy":"closed"}]}`:                 {`plugins[1].ingressPolicy is "closed": firewall takes open, same-bridge, isolated`},
		`{"type":"ovs","trunk":[{"id":1},{"minID":5}],"cniVersion":"1.0.0"}`:                      {"line 1, column 33: trunk[1] has no VLAN"},
		`{"type":"ovs","vlan":5000,"trunk":[{"id":4095}],"cniVersion":"1.0.0"}`:                   {"vlan is 5000: want 0 to 4094"},
		`{"cniVersion":"1.2.0","cniVersions":["0.9","1.0.0"],"plugins":[{"type":"x"}]}`:           {`line 1, column 15: cniVersion is "1.2.0", which no plugin knows yet: it counts for nothing beside cniVersions`},
		`{"cniVersion":"2","cniVersions":["1.0.0"],"plugins":[{"type":"x"}]}`:                     {`cniVersion is "2", which no plugin knows yet`},
		`{"type":"bridge","VLAN":5,"vlan":null,"cniVersion":"1.0.0"}`:                             nil,
		`{"type":"bridge","vlan":null,"VLAN":5,"cniVersion":"1.0.0"}`:                             nil,
		`{"type":"bridge","vlan":5,"vlan":null,"cniVersion":"1.0.0"}`:                             {"vlan is written again further on, which is what counts"},
		`{"type":"bridge","args":{"cni":{"mac":"","MAC":"x"}},"cniVersion":"1.0.0"}`:              {"cni.mac is written before, which is what counts"},
		`{"type":"bridge","vlanTrunk":[{"id":5,"ID":6}],"cniVersion":"1.0.0"}`:                    {"vlanTrunk.id is written before, which is what counts"},
		`{"type":"ptp","ipam":{"type":"static","addresses":[],"Addresses":[]}}`:                   {"ipam.addresses is written before, which is what counts"},
		`{"type":"ours","labels":{"a":1,"A":2}}`:                                                  nil,
		`{"plugins":[{"type":"x"},{"type":"tuning","sysctl":{"net.a":"1","net.A":"2"}}]}`:         nil,
		`{"plugins":[{"type":"x"},{"type":"tuning","sysctls":{}}]}`:                               {"did you mean sysctl?"},
		`{"plugins":[{"type":"x"},{"type":"cnv-tuning","promiscuous":true}]}`:                     {"did you mean promisc?"},
		`{"plugins":[{"type":"x"},{"type":"tuning","macAddress":"x"}]}`:                           {"did you mean mac?"},

		`{"type":"ours","ipam":{"type":"hostlocal"}}`:                                            {`line 1, column 31: ipam.type is "hostlocal", which is not a plugin that we know: did you mean host-local?`},
		`{"type":"ours","ipam":{"type":"DHCP"}}`:                                                 {"did you mean dhcp?"},
		`{"type":"ours","ipam":{"type":"calico-ipam","range":"a"}}`:                              nil,
		`{"type":"ours","ipam":{"type":"static","address":"a"}}`:                                 {"ipam.address means nothing to the static plugin: did you mean addresses?"},
		`{"type":"ours","ipam":{"type":"host-local","range":"10.0.0.0/24"}}`:                     {"did you mean subnet?"},
		`{"type":"ours","ipam":{"type":"host-local","range_start":"10.0.0.1"}}`:                  {"did you mean rangeStart?"},
		`{"type":"ours","ipam":{"type":"host-local","DataDir":"/a","Ranges":[]}}`:                nil,
		`{"type":"bridge","promiscuous":true,"cniVersion":"1.0.0"}`:                              {"did you mean promiscMode?"},
		`{"type":"host-device","master":"eth1","cniVersion":"1.0.0"}`:                            {"did you mean device?"},
		`{"type":"sriov","vlans":[]}`:                                                            {"did you mean vlan_trunk?"},
		`{"plugins":[{"type":"x"},{"type":"tuning","txQueueLen":5}]}`:                            {"did you mean txQLen?"},
		`{"plugins":[{"type":"x"},{"type":"tuning","disabled":true}]}`:                           nil,
		`{"type":"host-device","device":"eth1","useInterfaceNetwork":true,"cniVersion":"1.0.0"}`: nil,
		`{"type":"sriov","interface":"eth1"}`:                                                    nil,
		`{"plugins":[{"type":"x"},{"type":"tuning","routes":[]}]}`:                               nil,

		`{"type":"bridge","subnet":"10.0.0.0/24","cniVersion":"1.0.0"}`:          {"subnet means nothing to the bridge plugin: write it into ipam"},
		`{"type":"bridge","gateway":"10.0.0.1","cniVersion":"1.0.0"}`:            {"gateway means nothing to the bridge plugin: write it into ipam"},
		`{"type":"bridge","gateway":true,"cniVersion":"1.0.0"}`:                  {"did you mean isGateway?"},
		`{"type":"bridge","ipam":{"VLAN":5,"type":"x"},"cniVersion":"1.0.0"}`:    {"ipam.VLAN means nothing: it is an option of the bridge plugin: write it beside ipam"},
		`{"type":"bridge","ipam":{"ipam":{}},"cniVersion":"1.0.0"}`:              {"ipam.ipam is a level too many: write what is in it into ipam"},
		`{"type":"ours","ipam":{"vlan":5},"vlan":"5"}`:                           nil,
		`{"type":"ovs","ipam":{"configuration_path":"/a"},"cniVersion":"1.0.0"}`: nil,
		`{"type":"sriov","ipam":{"logLevel":"debug"}}`:                           nil,
		`{"type":"bridge","vlan":5,"VLAN":6,"cniVersion":"1.0.0"}`:               {"line 1, column 34: vlan is written before, which is what counts: remove one"},
		`{"type":"bridge","VLAN":5,"vlan":6,"cniVersion":"1.0.0"}`:               {"line 1, column 25: vlan is written again further on, which is what counts"},
		`{"type":"bridge","vlan":5,"vlan":6,"cniVersion":"1.0.0"}`:               {"line 1, column 25: vlan is written again further on"},
		`{"type":"ptp","bridge":"br0","ipam":{"type":"dhcp"}}`:                   {"bridge means nothing to the ptp plugin"},
		`{"type":"ptp","masquerade":true,"ipam":{"type":"dhcp"}}`:                {"masquerade means nothing to the ptp plugin: did you mean ipMasq?"},
		`{"plugins":[{"type":"x"},{"type":"sbr","tables":5}]}`:                   {"tables means nothing to the sbr plugin: did you mean table?"},
		`{"plugins":[{"type":"x"},{"type":"sbr","vlan":5}]}`:                     {"vlan means nothing to the sbr plugin: frames leave untagged"},
		`{"plugins":[{"type":"x"},{"type":"vrf","vrfname":"a","vrf":"b"}]}`:      {"vrf means nothing to the vrf plugin: did you mean vrfname?"},
		`{"plugins":[{"type":"x"},{"type":"vrf","VRFName":"a","Table":5}]}`:      nil,
		`{"cniversion":"1.0.0","plugins":[{"type":"x"}]}`:                        {"cniversion means nothing beside plugins: write cniVersion"},
		`{"plugins":[{"type":"x"}],"plugins":[{"type":"y"}]}`:                    {"plugins is written again further on, which is what counts: remove one"},
		`{"plugins":[{"type":"x"}],"Plugins":[]}`:                                {"Plugins means nothing beside plugins: write plugins"},
		`{"cniVersoin":"1.0.0","plugins":[{"type":"x"}]}`:                        {"cniVersoin means nothing beside plugins: write cniVersion"},
		`{"type":"ours","ipam":{"type":"a","type":"b"}}`:                         {"line 1, column 31: ipam.type is written again further on"},
		`{"type":"ours","ipam":{"type":"a","Type":"b"}}`:                         {"line 1, column 42: ipam.type is written before, which is what counts: remove one"},
		`{"type":"ours","a":[{"b":1,"b":2}]}`:                                    {"a.b is written again further on"},

		`{"type":"bridge","bridge":"br0\u200b","cniVersion":"1.0.0"}`:                       {`line 1, column 27: "br0\u200b" has an invisible character (U+200B): remove it`},
		`{"type":"bridge","bridge":"\u201cbr0\u201d","cniVersion":"1.0.0"}`:                 {"has a typographic quote (U+201C): remove it"},
		`{"type":"macvlan","master":"'eth1'","cniVersion":"1.0.0"}`:                         {"has quotes around it: remove them"},
		`{"type":"bridge","vlan\u00a0":5,"cniVersion":"1.0.0"}`:                             {`the name "vlan\u00a0" has a no-break space (U+00A0) at its beginning or end: remove it`},
		`{"type":"macvlan","mode":"\u202fvepa","cniVersion":"1.0.0"}`:                       {`mode is`, `"\u202fvepa" has a no-break space (U+202F) at its beginning or end: remove it`},
		`{"type":"bridge","note":"a\u00a0b","cniVersion":"1.0.0"}`:                          {`note means nothing`, `has a no-break space (U+00A0): write an ordinary space in its place`},
		`{"vlan\u00a0":5,"plugins":[{"type":"x"}]}`:                                         {`the name "vlan\u00a0" has a no-break space (U+00A0)`},
		`{"type":"bridge","bridge":"<bridge>","cniVersion":"1.0.0"}`:                        {`line 1, column 27: "<bridge>" is a placeholder that nothing filled in: write its value`},
		`{"type":"host-device","device":"$DEVICE","cniVersion":"1.0.0"}`:                    {`"$DEVICE" is a placeholder`},
		`{"type":"macvlan","master":"${MASTER}","cniVersion":"1.0.0"}`:                      {`"${MASTER}" is a placeholder`},
		`{"type":"ours","a":"{{ .Values.a }}/24"}`:                                          {`is a placeholder`},
		`{"type":"ours","a":"a<b>","b":"$","c":"5$"}`:                                       nil,
		`{"type":"ours","a":"nodes' \u201cinner\u201d."}`:                                   nil,
		`{"type":"bridge","bridge":"br0"}`:                                                  {`line 1, column 1: cniVersion: below 0.3.0, or where none is written, the bridge plugin fails without ipam: write "cniVersion": "0.3.1" or a higher one`},
		`{"cniVersion":"0.2.0","plugins":[{"type":"macvlan","ipam":{}},{"type":"tuning"}]}`: {"line 1, column 34: cniVersion: below 0.3.0, or where none is written, the macvlan plugin fails"},
		`{"cniVersion":"","cniVersions":["1.0.0"],"type":"host-device","device":"eth1"}`:    {"the host-device plugin fails without ipam"},
		`{"plugins":[{"cniVersion":"0.3.1","type":"bridge","bridge":"br0"}]}`:               {`write "cniVersion": "0.3.1" or a higher one beside plugins`},
		`{"cniVersion":"0.1.0","type":"ovs","bridge":"br1"}`:                                {"the ovs plugin fails without ipam"},
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

func TestWhatPluginsCannotReadIsRefused(t *testing.T) {
	for source, problem := range map[string]string{
		`{"type":"sriov","trust":true}`:                                                `line 1, column 25: trust: want "on" or "off"`,
		`{"type":"sriov","spoofchk":true}`:                                             `spoofchk: want "on" or "off"`,
		`{"type":"bandwidth","ingressRate":1,"ingressBurst":1}`:                        `line 1, column 9: type: bandwidth makes no interface: write it behind a plugin that does, as in {"plugins": [{"type": "bridge", ...}, {"type": "bandwidth", ...}]}`,
		`{"plugins":[{"type":"vrf","vrfname":"a"}]}`:                                   "plugins[0].type: vrf makes no interface",
		`{"cniVersion":"0.3.1","plugins":[{"type":"x"},{"type":"firewall"}]}`:          "line 1, column 55: plugins[1].type: firewall does not know cniVersion 0.3.1: write 0.4.0 or a higher one",
		`{"cniVersion":"0.3.0","plugins":[{"type":"x"},{"type":"vrf","vrfname":"a"}]}`: "plugins[1].type: vrf does not know cniVersion 0.3.0: write 0.3.1",
		`{"cniVersion":"0.2.0","plugins":[{"type":"x"},{"type":"bandwidth"}]}`:         "plugins[1].type: bandwidth does not know cniVersion 0.2.0: write 0.3.0",
		`{"type":"cnv-tuning","prevResult":null}`:                                      "type: cnv-tuning makes no interface",
		`{"type":"portmap"}`:  "type: portmap makes no interface",
		`{"type":"firewall"}`: "type: firewall makes no interface",
		`{"type":"sbr"}`:      "type: sbr makes no interface",
		`{"plugins":[{"type":"x"},{"type":"bandwidth","ingressRate":1}]}`:                                    "plugins[1].ingressBurst is missing: the plugin fails with a rate and no burst, in bits",
		`{"plugins":[{"type":"x"},{"type":"bandwidth","egressRate":0,"egressBurst":5}]}`:                     "plugins[1].egressRate is missing",
		`{"plugins":[{"type":"x"},{"type":"bandwidth","runtimeConfig":{"bandwidth":{"ingressBurst":5}}}]}`:   "plugins[1].runtimeConfig.bandwidth.ingressRate is missing",
		`{"plugins":[{"type":"x"},{"type":"bandwidth","ingressRate":1,"ingressBurst":34359738360}]}`:         "plugins[1].ingressBurst is 34359738360: want at most 34359738359 bits",
		`{"plugins":[{"type":"x"},{"type":"bandwidth","egressRate":"10M","egressBurst":1}]}`:                 "plugins[1].egressRate: want a whole number, not a string",
		`{"plugins":[{"type":"x"},{"type":"bandwidth","egressRate":-1}]}`:                                    "plugins[1].egressRate: want a whole number that is not negative",
		`{"plugins":[{"type":"x"},{"type":"portmap","snat":"true"}]}`:                                        "plugins[1].snat: want true or false, not a string: remove the quotes",
		`{"plugins":[{"type":"x"},{"type":"portmap","conditionsV4":"-d 10.0.0.0/8"}]}`:                       "plugins[1].conditionsV4: want a list, not a string",
		`{"plugins":[{"type":"x"},{"type":"portmap","runtimeConfig":{"portMappings":[{"hostPort":"80"}]}}]}`: "plugins[1].runtimeConfig.portMappings[0].hostPort: want a whole number",
		`{"plugins":[{"type":"x"},{"type":"portmap","markMasqBit":32}]}`:                                     "plugins[1].markMasqBit is 32: want 0 to 31",
		`{"plugins":[{"type":"x"},{"type":"portmap","markMasqBit":0,"externalSetMarkChain":""}]}`:            "plugins[1].markMasqBit and externalSetMarkChain exclude each other",
		`{"plugins":[{"type":"x"},{"type":"firewall","ingressPolicy":["open"]}]}`:                            "plugins[1].ingressPolicy: want a string, not a list",
		`{"plugins":[{"type":"x"},{"type":"sbr","gateways":"10.0.0.1"}]}`:                                    "plugins[1].gateways: want a list, not a string",
		`{"type":"ovs","trunk":[null],"cniVersion":"1.0.0"}`:                                                 "trunk[0] is null",
		`{"type":"ovs","trunk":[{"minID":10,"maxID":9}],"cniVersion":"1.0.0"}`:                               "trunk[0]: minID 10 is above maxID 9",
		`{"type":"ovs","trunk":[{"minID":1,"maxID":4096}],"cniVersion":"1.0.0"}`:                             "trunk[0]: want VLANs from 1 to 4094",
		`{"type":"ovs","trunk":[{"id":1},{"id":5000}],"cniVersion":"1.0.0"}`:                                 "line 1, column 33: trunk[1]: want VLANs from 1 to 4094",
		`{"plugins":[{"type":"ovs","trunk":[{"minID":10},{"minID":0,"maxID":9}]}],"cniVersion":"1.0.0"}`:     `plugins[0].trunk has no VLAN, with which the plugin fails: want [{"id": 100}, {"minID": 200, "maxID": 210}]`,
		`{"type":"ovs","vlan":4096,"cniVersion":"1.0.0"}`:                                                    "vlan is 4096: want 0 to 4094",
		`{"type":"bridge","ipam":{"type":"host-local"},"cniVersion":"1.0.0"}`:                                `line 1, column 25: ipam.subnet is missing: it is the network that host-local takes addresses from, such as "10.0.0.0/24"`,
		`{"type":"macvlan","ipam":{"type":"host-local","ranges":[],"subnet":null},"cniVersion":"1.0.0"}`:     "ipam.subnet is missing",
		`{"type":"ptp","ipam":{"type":"host-local","rangeStart":"10.0.0.1"}}`:                                "ipam.subnet is missing",
		`{"type":"ptp","ipam":{"type":"host-local","range":"10.0.0.0/24"}}`:                                  `ipam.range means nothing to the host-local plugin: write "subnet"`,
		`{"type":"ptp","ipam":{"type":"host-local","subnets":"10.0.0.0/24"}}`:                                `ipam.subnets means nothing to the host-local plugin: write "subnet"`,
		`{"type":"ptp"}`: `line 1, column 1: ipam.type is missing: all releases of the ptp plugin fail without addresses: write ipam, as in "ipam": {"type": "host-local"`,
		`{"plugins":[{"type":"dummy","ipam":{}}]}`:                                                             "line 1, column 13: plugins[0].ipam.type is missing: all releases of the dummy plugin",
		`{"type":"sriov","vlan":5,"vlanQoS":8}`:                                                                "line 1, column 36: vlanQoS is 8: want 0 to 7",
		`{"type":"sriov","vlanQoS":3}`:                                                                         "vlanQoS is 3: the plugin fails with a priority and no vlan",
		`{"type":"sriov","vlan":0,"vlanQoS":3}`:                                                                "vlanQoS is 3: the plugin fails with a priority and no vlan",
		`{"plugins":[{"type":"x"},{"type":"tuning","sysctl":{"net.a":"1","kernel.b":"1"}}]}`:                   `line 1, column 76: plugins[1].sysctl: "kernel.b" is no sysctl of a network, whose names begin with net`,
		`{"plugins":[{"type":"x"},{"type":"cnv-tuning","sysctl":{},"args":{"cni":{"sysctl":{"vm.a":"1"}}}}]}`:  `args.cni.sysctl: "vm.a" is no sysctl of a network`,
		`{"type":"ptp","ipam":{"type":"host-local","ranges":[[]]}}`:                                            `ipam.ranges[0] is empty: want [{"subnet": "10.0.0.0/24"}]`,
		`{"type":"bridge","vlan":"5","VLAN":6,"cniVersion":"1.0.0"}`:                                           "vlan: want a whole number, not a string",
		`{"plugins":[{"type":"","Type":"bridge"}]}`:                                                            `plugins[0].type: want the name of a plugin`,
		`{"type":"macvlan","mtu":"9000","cniVersion":"1.0.0"}`:                                                 "line 1, column 25: mtu: want a whole number, not a string: remove the quotes",
		`{"type":"macvlan","bcqueuelen":-1,"cniVersion":"1.0.0"}`:                                              "bcqueuelen: want a whole number that is not negative, not -1",
		`{"type":"macvlan","master":["eth1"],"cniVersion":"1.0.0"}`:                                            "master: want a string, not a list",
		`{"type":"ipvlan","MODE":3}`:                                                                           "MODE: want a string, not a number",
		`{"type":"vlan","master":"eth1","vlanId":"5"}`:                                                         "vlanId: want a whole number, not a string: remove the quotes",
		`{"type":"vlan","master":"eth1","vlanId":4095}`:                                                        "vlanId is 4095: want 0 to 4094",
		`{"type":"vlan","vlanId":5}`:                                                                           "line 1, column 1: master is missing: it is the interface of the node that the VLAN is on",
		`{"plugins":[{"type":"vlan","master":""}]}`:                                                            "line 1, column 13: plugins[0].master is missing",
		`{"type":"vlan","master":null}`:                                                                        "master is missing",
		`{"type":"ovs","vlan":1.5,"cniVersion":"1.0.0"}`:                                                       "vlan: want a whole number, not 1.5",
		`{"type":"ovs","vlan":-1,"cniVersion":"1.0.0"}`:                                                        "vlan: want a whole number that is not negative, not -1",
		`{"type":"ovs","mtu":1.5e999,"cniVersion":"1.0.0"}`:                                                    "mtu: want a whole number, not 1.5e999",
		`{"type":"ovs","trunk":{},"cniVersion":"1.0.0"}`:                                                       `trunk: want [{"id": 100}, {"minID": 200, "maxID": 210}]`,
		`{"type":"ovs","trunk":[100],"cniVersion":"1.0.0"}`:                                                    `trunk[0]: want {"id": 100} or {"minID": 200, "maxID": 210}`,
		`{"type":"ovs","trunk":[{"id":1},{"id":"2"}],"cniVersion":"1.0.0"}`:                                    "line 1, column 39: trunk[1].id: want a whole number, not a string: remove the quotes",
		`{"type":"ovs","trunk":[{"minID":1.5}],"cniVersion":"1.0.0"}`:                                          "trunk[0].minID: want a whole number, not 1.5",
		`{"type":"ovs","ofport_request":"1","cniVersion":"1.0.0"}`:                                             "ofport_request: want a whole number",
		`{"type":"sriov","vlan":4095}`:                                                                         "vlan is 4095: want 0 to 4094",
		`{"type":"sriov","vlan":"five"}`:                                                                       "vlan: want a whole number, not a string",
		`{"type":"sriov","vlan_trunk":[1,2]}`:                                                                  "vlan_trunk: want a string, not a list",
		`{"type":"tap","multiQueue":"true"}`:                                                                   "multiQueue: want true or false, not a string: remove the quotes",
		`{"type":"tap","args":[]}`:                                                                             "args: want an object, not a list",
		`{"type":"host-device","device":5,"cniVersion":"1.0.0"}`:                                               "device: want a string, not a number",
		`{"type":"host-device","runtimeConfig":{"deviceID":5},"cniVersion":"1.0.0"}`:                           "runtimeConfig.deviceID: want a string",
		`{"plugins":[{"type":"x"},{"type":"tuning","sysctl":{"net.b":1,"net.c":"1"}}]}`:                        "sysctl.net.b: want a string, not a number",
		`{"plugins":[{"type":"x"},{"type":"tuning","sysctl":["a.b=1"]}]}`:                                      "sysctl: want an object, not a list",
		`{"plugins":[{"type":"x"},{"type":"tuning","args":{"cni":{"promisc":"true"}}}]}`:                       "args.cni.promisc: want true or false",
		`{"plugins":[{"type":"x"},{"type":"tuning","args":{"cni":{"sysctl":{"net.b":"1"}}}}]}`:                 "args.cni.sysctl: the plugin fails unless there is a sysctl beside args",
		`{"type":"bridge","args":{"cni":[]},"cniVersion":"1.0.0"}`:                                             "args.cni: want an object, not a list",
		`{"type":"bridge","args":{"cni":{"mac":5}},"cniVersion":"1.0.0"}`:                                      "args.cni.mac: want a string, not a number",
		`{"type":"bridge","runtimeConfig":{"mac":["a"]},"cniVersion":"1.0.0"}`:                                 "runtimeConfig.mac: want a string, not a list",
		`{"plugins":[{"type":"x"},{"type":"vrf","table":5}]}`:                                                  "line 1, column 26: plugins[1].vrfname is missing: it is the name of the VRF in the pod",
		`{"plugins":[{"type":"x"},{"type":"vrf","vrfname":""}]}`:                                               "vrfname is missing",
		`{"type":"bridge","ipMasqBackend":true,"cniVersion":"1.0.0"}`:                                          "ipMasqBackend: want a string",
		`{"type":"bridge","vlanTrunk":[{"id":-1}],"cniVersion":"1.0.0"}`:                                       "vlanTrunk[0].id: want a whole number that is not negative",
		`{"type":"ptp","ipMasq":"yes","ipam":{"type":"dhcp"}}`:                                                 "ipMasq: want true or false",
		`{"plugins":[{"type":"x"},{"type":"sbr","table":"5"}]}`:                                                "plugins[1].table: want a whole number",
		`{"plugins":[{"type":"x"},{"type":"vrf","vrfname":5}]}`:                                                "plugins[1].vrfname: want a string",
		`{"type":"ours","ipam":{"type":"static"},"args":{"cni":{"ips":[1]}}}`:                                  "args.cni.ips[0]: want a string, not a number",
		`{"type":"ours","ipam":{"type":"host-local"},"args":{"cni":{"ips":"1.2.3.4"}}}`:                        "args.cni.ips: want a list, not a string",
		`{"type":"bridge","ipam":{"type":"host-local","subnet":"10.0.0.0/24"},"args":[],"cniVersion":"1.0.0"}`: "args: want an object, not a list",
		`{"type":"ours","ipam":{"type":"static","addresses":[{"address":"10.0.0.1"}]}}`:                        `ipam.addresses[0].address is "10.0.0.1": want an address with a prefix length, such as 10.0.0.0/24`,
		`{"type":"ours","ipam":{"type":"static"},"args":{"cni":{"ips":["10.0.0.1"]}}}`:                         `args.cni.ips[0] is "10.0.0.1": want an address with a prefix length`,
		`{"type":"ours","ipam":{"type":"static","addresses":["10.0.0.1/24"]}}`:                                 "ipam.addresses[0]: want an object, not a string",
		`{"type":"ours","ipam":{"type":"static","addresses":[{"address":"10.0.0.1/24","gateway":"10.0.0"}]}}`:  `ipam.addresses[0].gateway is "10.0.0": want an address such as 10.0.0.1`,
		`{"type":"ours","ipam":{"type":"static","routes":{"dst":"0.0.0.0/0"}}}`:                                "ipam.routes: want a list, not an object",
		`{"type":"ours","ipam":{"type":"host-local","subnet":"10.0.0.0"}}`:                                     `ipam.subnet is "10.0.0.0": want an address with a prefix length, such as 10.0.0.0/24`,
		`{"type":"ours","ipam":{"type":"host-local","routes":[{"dst":"0/0"}]}}`:                                `ipam.routes[0].dst is "0/0": want an address with a prefix length`,
		`{"type":"ours","ipam":{"type":"host-local","ranges":[{"subnet":"10.0.0.0/24"}]}}`:                     `ipam.ranges[0]: want a list in the list, [[{"subnet": "10.0.0.0/24"}]]`,
		`{"type":"ours","ipam":{"type":"dhcp","provide":[{"option":12}]}}`:                                     "ipam.provide[0].option: want a string, not a number",
	} {
		t.Run(source, func(t *testing.T) {
			_, problems := ParseConfig(source)
			require.Len(t, problems, 1)
			assert.Contains(t, problems[0].Error(), problem)
		})
	}
}

func TestWhatPluginsCanReadIsLetIn(t *testing.T) {
	for _, source := range []string{
		`{"type":"bridge","bridge":"br0","ipam":{"type":"dhcp"}}`,
		`{"cniVersions":["1.0.0"],"plugins":[{"type":"bridge","bridge":"br0"}]}`,
		`{"cniVersion":"0.3.0","type":"macvlan","ipam":{}}`,
		`{"type":"tuning","prevResult":{"cniVersion":"1.0.0"}}`,
		`{"cniVersion":"0.4.0","plugins":[{"type":"x"},{"type":"firewall"}]}`,
		`{"cniVersion":"0.3.1","cniVersions":["1.0.0"],"plugins":[{"type":"x"},{"type":"firewall"}]}`,
		`{"cniVersion":"0.3.1","plugins":[{"type":"x"},{"type":"vrf","vrfname":"a"},{"type":"bandwidth"},{"type":"portmap"}]}`,
		`{"cniVersion":"0.1.0","plugins":[{"type":"x"},{"type":"sbr"},{"type":"tuning"},{"type":"portmap"}]}`,
		`{"plugins":[{"type":"x"},{"type":"bandwidth"},{"type":"portmap","snat":null,"markMasqBit":31},{"type":"firewall","backend":""}]}`,
		`{"plugins":[{"type":"x"},{"type":"bandwidth","ingressRate":1e6,"ingressBurst":34359738359,"egressRate":0,"egressBurst":null}]}`,
		`{"plugins":[{"type":"x"},{"type":"bandwidth","egressRate":0,"runtimeConfig":{"bandwidth":{"ingressRate":5}}}]}`,
		`{"type":"ovs","trunk":[{"minID":1,"maxID":4095},{"id":0}],"cniVersion":"1.0.0"}`,
		`{"type":"ovs","trunk":[],"vlan":4095,"cniVersion":"1.0.0"}`,
		`{"type":"ours","ipam":{"type":"host-local"}}`,
		`{"type":"calico","ipam":{"type":"host-local","subnet":"usePodCidr"}}`,
		`{"plugins":[{"type":"x"},{"type":"sbr","ipam":{"type":"host-local","subnet":5}}]}`,
		`{"type":"bridge","capabilities":{"ipRanges":true},"ipam":{"type":"host-local"},"cniVersion":"1.0.0"}`,
		`{"type":"bridge","runtimeConfig":{"ipRanges":[[{"subnet":"10.0.0.0/24"}]]},"ipam":{"type":"host-local"},"cniVersion":"1.0.0"}`,
		`{"type":"bridge","vlan":"x","vlan":5,"cniVersion":"1.0.0"}`,
		`{"type":"bridge","VLAN":"5","vlan":null,"VLAN":5,"cniVersion":"1.0.0"}`,
		`{"type":"ovs","bridge":"br1","vlan":100,"mtu":9000,"trunk":[{"id":42},{"minID":1000,"maxID":1010}],"cniVersion":"1.0.0"}`,
		`{"type":"sriov","vlan":0,"spoofchk":"off","min_tx_rate":null,"vlan_trunk":"2,4-6","runtimeConfig":{}}`,
		`{"type":"tap","multiQueue":true,"owner":0,"args":{"cni":{"x":[1]}}}`,
		`{"plugins":[{"type":"x"},{"type":"tuning","sysctl":{},"args":{"cni":{"sysctl":{"net.b":"1"}}}}]}`,
		`{"plugins":[{"type":"x"},{"type":"tuning","args":{"cni":{"sysctl":{}}}}]}`,
		`{"plugins":[{"type":"x"},{"type":"tuning","sysctl":{"net.b":"1"},"args":{"cni":{"sysctl":{},"mtu":null}}}]}`,
		`{"type":"host-device","device":"eth1","deviceID":5,"cniVersion":"1.0.0"}`,
		`{"type":"bridge","bridge":"br0","args":{"cni":{"ips":5}},"ipam":{"type":"whereabouts","range":5},"cniVersion":"1.0.0"}`,
		`{"type":"macvlan","ipam":{"type":"host-local","subnet":"fd00::/64","rangeStart":"","routes":[{"dst":"::/0","gw":"fd00::1"}],"ranges":[[{"subnet":"10.0.0.0/24"}]]},"cniVersion":"1.0.0"}`,
		`{"type":"macvlan","ipam":{"type":"static","addresses":[{"address":"10.0.0.1/24","gateway":"10.0.0.2"}],"dns":{"search":["a"]}},"args":{"cni":{"ips":["10.0.0.1/24"]}},"cniVersion":"1.0.0"}`,
		`{"type":"macvlan","ipam":{"type":"dhcp","provide":[{"option":"12","fromArg":"K8S_POD_NAME"}],"request":[{"skipDefault":true}]},"cniVersion":"1.0.0"}`,
	} {
		t.Run(source, func(t *testing.T) {
			_, problems := ParseConfig(source)
			assert.Empty(t, problems)
		})
	}
}

func TestNoAbsurdGuessIsMade(t *testing.T) {
	for _, options := range []string{
		`"type":"bridge","enabled":true`, `"type":"bridge","disabled":true`, `"type":"macvlan","txqueuelen":5`,
		`"type":"macvlan","node":"a"`, `"type":"bridge","ttl":5`, `"type":"vlan","master":"eth1","ipam":{"type":"dhcp"},"vlans":[5]`,
		`"type":"bridge","device":"eth1"`,
	} {
		t.Run(options, func(t *testing.T) {
			config, problems := ParseConfig(`{"cniVersion":"1.0.0",` + options + "}")
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
		`{"cniVersion":"1.0.0","type":"bridge",` + strings.Repeat(`"vlanx":1,`, 1000) + `"a":1}`,
		`{"plugins":[` + strings.Repeat(`1,`, 1000) + `1]}`,
		`{"cniVersion":"1.0.0","type":"bridge","vlanTrunk":[` + strings.Repeat(`{},`, 1000) + `{}]}`,
	} {
		config, problems := ParseConfig(source)
		assert.Equal(t, maxTold, len(config.Warnings)+len(problems))
	}
	networks, problems := ParseNetworks(strings.Repeat("l2@'a',", 40)+"l2", "home", nil)
	assert.NotEmpty(t, problems)
	assert.Len(t, networks.Warnings, maxTold)
	networks, problems = ParseNetworks("["+strings.Repeat(`{"nam":1},`, 1000)+strings.Repeat("1,", 1000)+"1]", "home", nil)
	assert.Len(t, networks.Warnings, maxTold)
	assert.Len(t, problems, maxTold)
}
