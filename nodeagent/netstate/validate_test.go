package netstate

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

func TestValidate(t *testing.T) {
	vlan := func(v string) string {
		return `interfaces: [{name: br0, type: linux-bridge, state: up, bridge: {port: [{name: eth1, vlan: ` + v + `}]}}]`
	}
	bond := func(mode, options string) string {
		return `interfaces: [{name: bond0, type: bond, link-aggregation: {mode: ` + mode + `, port: [eth1], options: ` + options + `}}]`
	}
	const port = "interfaces[0].bridge.port[0].vlan"
	const options = "interfaces[0].link-aggregation.options"
	tests := map[string]struct {
		state string
		want  []string
	}{
		"the story's policy is fine":                  {`interfaces: [{name: br0, type: linux-bridge, state: up, bridge: {options: {stp: {enabled: false}}, port: [{name: eth1}]}}]`, nil},
		"a name has at most 15 bytes":                 {`interfaces: [{name: abcdefghijklmnop}]`, []string{"interfaces[0].name: Invalid value: \"abcdefghijklmnop\": is 16 bytes long"}},
		"a name has no slash and no blank":            {`interfaces: [{name: a/b}, {name: a b}, {name: ..}]`, []string{"interfaces[0].name", "interfaces[1].name", "interfaces[2].name"}},
		"a name is needed, even to be absent":         {`interfaces: [{type: dummy}, {state: absent}]`, []string{"interfaces[0].name: Required", "interfaces[1].name: Required"}},
		"a name occurs once":                          {`interfaces: [{name: a}, {name: a}]`, []string{"interfaces[1].name: Duplicate"}},
		"a state is one of four":                      {`interfaces: [{name: a, state: on}]`, []string{"interfaces[0].state: Unsupported value"}},
		"loopback stays":                              {`interfaces: [{name: lo, state: absent}]`, []string{"interfaces[0].state: Forbidden"}},
		"a part goes with its type":                   {`interfaces: [{name: a, type: dummy, vlan: {id: 1}}]`, []string{"interfaces[0].vlan: Forbidden: goes with type vlan"}},
		"anything is fine beside absent and ignore":   {`interfaces: [{name: a, state: absent}, {name: b, state: ignore, mtu: 1}]`, nil},
		"a MAC is not for a group":                    {`interfaces: [{name: a, mac-address: 01:00:00:00:00:01}, {name: b, mac-address: 00:00:00:00:00:00}]`, []string{"interfaces[0].mac-address", "interfaces[1].mac-address"}},
		"STP times have ranges":                       {`interfaces: [{name: a, bridge: {options: {stp: {forward-delay: 1, hello-time: 11, max-age: 41}}}}]`, []string{"stp.forward-delay: Invalid value: 1: is not in the range of 2 to 30", "stp.hello-time", "stp.max-age"}},
		"a word is one of the known":                  {`interfaces: [{name: a, bridge: {options: {multicast-router: maybe, vlan-protocol: 802.1x}}}]`, []string{"multicast-router: Unsupported value", "vlan-protocol: Unsupported value"}},
		"a hash size is a power of two":               {`interfaces: [{name: a, bridge: {options: {hash-max: 5}}}]`, []string{"hash-max: Invalid value: 5: must be a power of two"}},
		"reserved groups are not forwarded":           {`interfaces: [{name: a, bridge: {options: {group-forward-mask: 1}}}]`, []string{"group-forward-mask: Invalid value"}},
		"a group address is a reserved one":           {`interfaces: [{name: a, bridge: {options: {group-addr: 01:80:C2:00:00:02}}}]`, []string{"group-addr: Invalid value"}},
		"a default PVID needs filtering":              {`interfaces: [{name: a, type: linux-bridge, state: up, bridge: {options: {vlan-default-pvid: 5}, port: [{name: b, vlan: {}}]}}]`, []string{"vlan-default-pvid: Invalid value: 5: has an effect only when a port has a vlan"}},
		"a default PVID with the default trunk":       {`interfaces: [{name: a, type: linux-bridge, state: up, bridge: {options: {vlan-default-pvid: 5}, port: [{name: b}]}}]`, nil},
		"a trunk with a tag needs enable-native":      {vlan(`{mode: trunk, tag: 5, trunk-tags: []}`), []string{port + ".tag: Forbidden: cannot be used in trunk mode without enable-native"}},
		"a native VLAN needs a tag":                   {vlan(`{mode: trunk, enable-native: true, trunk-tags: []}`), []string{port + ".tag: Required"}},
		"a trunk needs the key trunk-tags":            {vlan(`{mode: trunk}`), []string{port + ".trunk-tags: Required value: trunk mode cannot have empty trunk-tags"}},
		"an access port has neither native nor trunk": {vlan(`{mode: access, tag: 5, enable-native: true, trunk-tags: [{id: 7}]}`), []string{port + ".enable-native: Forbidden", port + ".trunk-tags: Forbidden"}},
		"an access port needs a tag":                  {vlan(`{mode: access}`), []string{port + ".tag: Required"}},
		"VLANs go from 1 to 4094":                     {vlan(`{mode: trunk, trunk-tags: [{id: 0}, {id-range: {min: 4000, max: 4095}}]}`), []string{"trunk-tags[0].id: Invalid value: 0", "trunk-tags[1].id-range.max: Invalid value: 4095"}},
		"min is not above max":                        {vlan(`{mode: trunk, trunk-tags: [{id-range: {min: 9, max: 2}}]}`), []string{"trunk-tags[0].id-range: Invalid value: \"id-range=[9,2]\": min is above max"}},
		"tags do not overlap":                         {vlan(`{mode: trunk, trunk-tags: [{id: 5}, {id-range: {min: 2, max: 9}}, {id: 5}]}`), []string{"trunk-tags[1]: Invalid value: \"id-range=[2,9]\": is overlapping with other tag id=5", "trunk-tags[2]"}},
		"a tag is one or a range":                     {vlan(`{mode: trunk, trunk-tags: [{}, {id: 1, id-range: {min: 2, max: 3}}]}`), []string{"trunk-tags[0]: Invalid value: needs either", "trunk-tags[1]: Invalid value: needs either"}},
		"a port is listed once":                       {`interfaces: [{name: a, type: linux-bridge, bridge: {port: [{name: b}, {name: b}]}}]`, []string{"interfaces[0].bridge.port[1].name: Duplicate value: \"b\""}},
		"a controller is not its own port":            {`interfaces: [{name: a, type: linux-bridge, bridge: {port: [{name: a}]}}]`, []string{"interfaces[0].bridge.port[0].name: Invalid value: \"a\": is the interface itself"}},
		"a port has one controller":                   {`interfaces: [{name: a, type: linux-bridge, bridge: {port: [{name: c}]}}, {name: b, type: bond, link-aggregation: {port: [c]}}]`, []string{"interfaces[1].link-aggregation.port[0]: Invalid value: \"c\": is overbooked by two controllers: b, a"}},
		"a bridge is not a port of a bridge":          {`interfaces: [{name: a, type: linux-bridge, bridge: {port: [{name: b}]}}, {name: b, type: linux-bridge}]`, []string{"interfaces[0].bridge.port[0]: Invalid value: \"b\": is a linux-bridge"}},
		"a port is not absent":                        {`interfaces: [{name: a, type: linux-bridge, bridge: {port: [{name: b}]}}, {name: b, state: absent}]`, []string{"interfaces[0].bridge.port[0]: Invalid value: \"b\": is wanted absent"}},
		"controller key and port list agree":          {`interfaces: [{name: a, type: linux-bridge, bridge: {port: []}}, {name: b, controller: a}]`, []string{"interfaces[1].controller: Invalid value: \"a\": b is not in the port list of a"}},
		"a listed port does not ask to be detached":   {`interfaces: [{name: a, type: linux-bridge, bridge: {port: [{name: b}]}}, {name: b, controller: ""}]`, []string{"interfaces[1].controller: Invalid value: \"\": b is still listed as a port of a"}},
		"a controller key names the one that lists":   {`interfaces: [{name: a, type: linux-bridge, bridge: {port: [{name: b}]}}, {name: b, controller: c}]`, []string{"interfaces[1].controller: Invalid value: \"c\": b is listed as a port of a"}},
		"a controller is not absent":                  {`interfaces: [{name: a, state: absent}, {name: b, controller: a}]`, []string{"interfaces[1].controller: Invalid value: \"a\": is wanted absent"}},
		"a port has no address":                       {`interfaces: [{name: a, type: linux-bridge, bridge: {port: [{name: b}]}}, {name: b, ipv4: {enabled: true}, ipv6: {enabled: true}}]`, []string{"interfaces[1].ipv4: Forbidden: b is a port of a", "interfaces[1].ipv6: Forbidden"}},
		"a port of a vrf has":                         {`interfaces: [{name: a, type: vrf, vrf: {port: [b], route-table-id: 5}}, {name: b, ipv4: {enabled: true, dhcp: true}}]`, nil},
		"links do not stand on each other in a ring":  {`interfaces: [{name: a, type: linux-bridge, bridge: {port: [{name: b}]}}, {name: b, type: vlan, vlan: {base-iface: a, id: 1}}]`, []string{"interfaces[0].name: Invalid value: \"a\": stands on itself: a → b → a"}},
		"a base is not absent":                        {`interfaces: [{name: a, type: bond, state: absent}, {name: b, type: vlan, vlan: {base-iface: a, id: 1}}]`, []string{"interfaces[1].vlan.base-iface: Invalid value: \"a\": b cannot be up as a is wanted absent"}},
		"a base is not down":                          {`interfaces: [{name: a, state: down}, {name: b, type: vlan, vlan: {base-iface: a, id: 1}}]`, []string{"interfaces[1].vlan.base-iface: Invalid value: \"a\": b cannot be up while a is wanted down"}},
		"a VLAN is no larger than its base":           {`interfaces: [{name: a, mtu: 1500}, {name: b, type: vlan, mtu: 9000, vlan: {base-iface: a, id: 1}}]`, []string{"interfaces[1].mtu: Invalid value: 9000: is above the MTU of a, 1500"}},
		"IPv6 needs an MTU of 1280":                   {`interfaces: [{name: a, mtu: 1000, ipv6: {enabled: true}}]`, []string{"interfaces[0].mtu: Invalid value: 1000: must be at least 1280"}},
		"vlan and vxlan ids have ranges":              {`interfaces: [{name: a, type: vlan, vlan: {base-iface: e, id: 4095}}, {name: b, type: vxlan, vxlan: {id: 16777216}}]`, []string{"interfaces[0].vlan.id: Invalid value: 4095", "interfaces[1].vxlan.id: Invalid value: 16777216"}},
		"a vrf table is not 0":                        {`interfaces: [{name: a, type: vrf, vrf: {route-table-id: 0}}]`, []string{"interfaces[0].vrf.route-table-id"}},
		"miimon and arp_interval exclude each other":  {bond("active-backup", `{miimon: 100, arp_interval: 100, arp_ip_target: 192.0.2.1}`), []string{options + ".arp_interval: Forbidden"}},
		"arp_interval needs targets":                  {bond("active-backup", `{arp_interval: 100}`), []string{options + ".arp_ip_target: Required"}},
		"targets are IPv4 addresses":                  {bond("active-backup", `{arp_ip_target: "192.0.2.1,x"}`), []string{options + `.arp_ip_target: Invalid value: "x"`}},
		"updelay needs miimon":                        {bond("active-backup", `{miimon: 0, updelay: 5}`), []string{options + ".updelay: Forbidden"}},
		"LACP options need LACP":                      {bond("active-backup", `{lacp_rate: fast, ad_select: stable}`), []string{options + ".lacp_rate: Forbidden: has no effect in mode active-backup"}},
		"a primary is a port":                         {bond("active-backup", `{primary: eth9}`), []string{options + `.primary: Invalid value: "eth9"`}},
		"queue ids are unique":                        {`interfaces: [{name: a, type: bond, link-aggregation: {mode: 0, port: [b, c], ports-config: [{name: b, queue-id: 1}, {name: c, queue-id: 1}, {name: d}]}}]`, []string{"ports-config[1].queue-id: Duplicate", "ports-config[2].name: Invalid value"}},
		"an active MAC is not a given one":            {`interfaces: [{name: a, type: bond, mac-address: 52:55:00:00:00:01, link-aggregation: {mode: active-backup, options: {fail_over_mac: active}}}]`, []string{options + ".fail_over_mac: Forbidden"}},
		"an actor is not a group":                     {bond("802.3ad", `{ad_actor_system: 01:00:5E:00:00:01}`), []string{options + ".ad_actor_system"}},
		"an address has the right version and length": {`interfaces: [{name: a, ipv4: {address: [{ip: "2001:db8::1", prefix-length: 64}, {ip: 192.0.2.1, prefix-length: 33}, {ip: 192.0.2.1}]}}]`, []string{"address[0].ip: Invalid value", "address[0].prefix-length: Invalid value: 64", "address[1].prefix-length: Invalid value: 33", "address[2].prefix-length: Required"}},
		"nothing counts beside enabled: false":        {`interfaces: [{name: a, ipv4: {enabled: false, address: [{ip: "::1"}]}}]`, nil},
		"an identifier other than the name":           {`interfaces: [{name: a, identifier: mac-address}]`, []string{"interfaces[0].identifier: Unsupported value"}},
		"LLDP is not run":                             {`interfaces: [{name: a, lldp: {enabled: true}}]`, []string{"interfaces[0].lldp.enabled: Forbidden"}},
		"a route has a destination and an interface":  {`routes: {config: [{}]}`, []string{"routes.config[0].destination: Required", "routes.config[0].next-hop-interface: Required"}},
		"a route has one IP version":                  {`routes: {config: [{destination: 192.0.2.0/24, next-hop-interface: a, next-hop-address: "2001:db8::1"}]}`, []string{"routes.config[0].next-hop-address: Invalid value"}},
		"0.0.0.0/8 is no destination":                 {`routes: {config: [{destination: 0.0.0.0/8, next-hop-interface: a}]}`, []string{"use the default gateway 0.0.0.0/0 instead"}},
		"a blackhole leads nowhere":                   {`routes: {config: [{destination: 192.0.2.0/24, route-type: blackhole, next-hop-interface: a}, {destination: 192.0.2.0/24, route-type: prohibit}]}`, []string{"routes.config[0]: Forbidden: a blackhole route cannot have a next hop"}},
		"a route needs its interface up with an IP":   {`{interfaces: [{name: a, state: down}, {name: b, ipv4: {enabled: false}}], routes: {config: [{destination: 192.0.2.0/24, next-hop-interface: a}, {destination: 192.0.2.0/24, next-hop-interface: b}]}}`, []string{"routes.config[0].next-hop-interface: Invalid value: \"a\": is wanted down", "routes.config[1].next-hop-interface: Invalid value: \"b\": has IPv4 disabled"}},
		"a rule has one IP version":                   {`route-rules: {config: [{ip-from: 192.0.2.0/24, ip-to: "2001:db8::/32"}, {priority: 5}, {ip-from: 192.0.2.0/24, family: ipv6}]}`, []string{"config[0].ip-to", "config[1].family: Required", "config[2].family: Invalid value"}},
		"a resolver is an address":                    {`dns-resolver: {config: {server: [8.8.8.8, "fe80::1%eth1", example.com], search: ["a b"]}}`, []string{"dns-resolver.config.server[2]: Invalid value", "dns-resolver.config.search[0]: Invalid value"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			errs := Validate(parse(t, test.state), nil)
			if len(errs) != len(test.want) {
				t.Fatalf("got %d errors, want %d: %v", len(errs), len(test.want), errs.ToAggregate())
			}
			for _, want := range test.want {
				if !slices.ContainsFunc(errs, func(e *field.Error) bool { return strings.Contains(e.Error(), want) }) {
					t.Errorf("got  %v\nwant %s", errs.ToAggregate(), want)
				}
			}
		})
	}
}

func TestPathsBeginWhereTheStateIs(t *testing.T) {
	at := field.NewPath("spec", "desiredState")
	errs := Validate(parse(t, `{interfaces: [{name: ""}], routes: {config: [{}]}}`), at)
	_, parseErrs := ParseAt(at, []byte(`{interfaces: [{foo: 1}], bar: 1}`))
	for _, err := range append(errs, parseErrs...) {
		if !strings.HasPrefix(err.Field, "spec.desiredState.") {
			t.Error(err)
		}
	}
	if len(errs) < 2 || len(parseErrs) != 2 {
		t.Errorf("got %v and %v", errs, parseErrs)
	}
}

func TestWarnings(t *testing.T) {
	tests := map[string]struct {
		state string
		want  []string
	}{
		"DHCPv6 is not run":              {`interfaces: [{name: a, ipv6: {enabled: true, dhcp: true}}]`, []string{"interfaces[0].ipv6.dhcp: no DHCPv6 client runs here: use autoconf or static addresses"}},
		"unless IPv6 is off":             {`interfaces: [{name: a, ipv6: {enabled: false, dhcp: true}}]`, nil},
		"nothing waits for addresses":    {`interfaces: [{name: a, wait-ip: ipv4}]`, []string{"interfaces[0].wait-ip: has no effect: nothing waits for an address"}},
		"a virtual link that is down":    {`interfaces: [{name: a, type: bond, state: down}, {name: b, type: ethernet, state: down}]`, []string{"interfaces[0].state: the link is kept and set down; use absent to remove it"}},
		"nothing said, nothing to warn":  {`interfaces: [{name: a, wait-ip: any}]`, nil},
		"what is absent needs no remark": {`interfaces: [{name: a, state: absent, wait-ip: ipv4}]`, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Warnings(parse(t, test.state), nil); !slices.Equal(got, test.want) {
				t.Errorf("got %q want %q", got, test.want)
			}
		})
	}
}
