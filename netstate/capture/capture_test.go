// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

const eth1 = `{name: eth1, type: ethernet, state: up, mac-address: "52:54:00:F6:80:01", lldp: {enabled: false},
  ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.5, prefix-length: 24}]}}`

// A node with its default route through eth1, whose address is static.
const node = `
interfaces:
- {name: eth0, type: ethernet, state: up, mac-address: "52:54:00:F6:80:00", mtu: 1500}
- ` + eth1 + `
- {name: br9, type: linux-bridge, state: down, bridge: {port: [{name: eth9}]}}
routes:
  running:
  - {destination: 0.0.0.0/0, next-hop-interface: eth1, next-hop-address: 192.0.2.1, table-id: 254}
  - {destination: 198.51.100.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.9, table-id: 254}
  - {destination: 203.0.113.0/24, next-hop-interface: eth0, next-hop-address: 10.0.0.1, table-id: 254}
dns-resolver:
  running: {server: [192.0.2.53]}
`

func read(t testing.TB, text string) any {
	t.Helper()
	var v any
	require.NoError(t, yaml.Unmarshal([]byte(text), &v))
	return v
}

func resolve(t testing.TB, current any, found map[string]any, expressions map[string]string) (map[string]any, error) {
	t.Helper()
	program, problems := Parse(expressions, field.NewPath("spec", "capture"))
	require.Empty(t, problems)
	return program.Resolve(current, found)
}

func TestExpressionsFind(t *testing.T) {
	for name, c := range map[string]struct{ expression, want string }{
		"a part of the state by its path": {
			`dns-resolver.running`, `{dns-resolver: {running: {server: [192.0.2.53]}}}`},
		"entries of a list that have a value": {
			`routes.running.destination=="0.0.0.0/0"`,
			`{routes: {running: [{destination: 0.0.0.0/0, next-hop-interface: eth1, next-hop-address: 192.0.2.1, table-id: 254}]}}`},
		"entries by a number": {
			`interfaces.mtu==1500`,
			`{interfaces: [{name: eth0, type: ethernet, state: up, mac-address: "52:54:00:F6:80:00", mtu: 1500}]}`},
		"entries by a boolean, deep inside": {
			`interfaces.lldp.enabled == false`, `{interfaces: [` + eth1 + `]}`},
		"entries by what a list inside them has": {
			`interfaces.bridge.port.name=="eth9"`,
			`{interfaces: [{name: br9, type: linux-bridge, state: down, bridge: {port: [{name: eth9}]}}]}`},
		"a MAC in either case": {
			`interfaces.mac-address=="52:54:00:f6:80:00"`,
			`{interfaces: [{name: eth0, type: ethernet, state: up, mac-address: "52:54:00:F6:80:00", mtu: 1500}]}`},
		"a text in single quotes, in a block scalar": {
			"interfaces.mtu=='1500'\n",
			`{interfaces: [{name: eth0, type: ethernet, state: up, mac-address: "52:54:00:F6:80:00", mtu: 1500}]}`},
		"a word without quotes": {
			`interfaces.name == br9`,
			`{interfaces: [{name: br9, type: linux-bridge, state: down, bridge: {port: [{name: eth9}]}}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := resolve(t, read(t, node), nil, map[string]string{"it": c.expression})
			require.NoError(t, err)
			assert.Equal(t, read(t, c.want), found["it"])
		})
	}
}

// As some write it, who know captures from templates: a path that goes on into the capture.
func TestAPathLeadsIntoACapture(t *testing.T) {
	found, err := resolve(t, read(t, node), nil, map[string]string{
		"ethernets": `interfaces.type=="ethernet"`,
		"up":        `capture.ethernets.interfaces.state=="up"`,
		"second":    `capture.up.interfaces.mac-address=='52:54:00:f6:80:01'`,
		"lldp":      `capture.second.interfaces.lldp.enabled:=true`,
		"all":       `capture.second.interfaces`,
	})
	require.NoError(t, err)
	assert.Len(t, found["up"].(map[string]any)["interfaces"], 2)
	assert.Equal(t, read(t, `{interfaces: [`+eth1+`]}`), found["second"])
	assert.Equal(t, found["second"], found["all"])
	lldp, err := path{"interfaces", "0", "lldp", "enabled"}.get(found["lldp"])
	require.NoError(t, err)
	assert.Equal(t, true, lldp)
}

func TestExpressionsReplace(t *testing.T) {
	found, err := resolve(t, read(t, node), nil, map[string]string{
		"gw":        `routes.running.destination=="0.0.0.0/0"`,
		"moved":     `capture.gw | routes.running.next-hop-interface:="br1"`,
		"shortened": `capture.gw | routes.running.next-hop-address:=null`,
		"ethernets": `interfaces.name=="eth1"`,
		"lldp":      `capture.ethernets | interfaces.lldp.enabled:=true`,
	})
	require.NoError(t, err)
	assert.Equal(t, read(t, `{routes: {running: [{destination: 0.0.0.0/0, next-hop-interface: br1, next-hop-address: 192.0.2.1, table-id: 254}]}}`), found["moved"])
	assert.Equal(t, read(t, `{routes: {running: [{destination: 0.0.0.0/0, next-hop-interface: eth1, table-id: 254}]}}`), found["shortened"])
	lldp, err := path{"interfaces", "0", "lldp", "enabled"}.get(found["lldp"])
	require.NoError(t, err)
	assert.Equal(t, true, lldp)
	was, err := path{"interfaces", "0", "lldp", "enabled"}.get(found["ethernets"])
	require.NoError(t, err)
	assert.Equal(t, false, was, "what was captured before is not changed")
}

// The policy that everybody writes: a bridge takes the place of the NIC that the default route goes through.
func TestABridgeTakesThePlaceOfTheDefaultInterfaceTwice(t *testing.T) {
	expressions := map[string]string{
		"default-gw":        `routes.running.destination=="0.0.0.0/0"`,
		"base-iface":        `interfaces.name==capture.default-gw.routes.running.0.next-hop-interface`,
		"base-iface-routes": `routes.running.next-hop-interface==capture.base-iface.interfaces.0.name`,
		"bridge-routes":     `capture.base-iface-routes | routes.running.next-hop-interface:="br1"`,
	}
	desired := read(t, `
interfaces:
- name: br1
  type: linux-bridge
  state: up
  description: "in place of {{ capture.base-iface.interfaces.0.name }}"
  mac-address: "{{ capture.base-iface.interfaces.0.mac-address }}"
  ipv4: "{{ capture.base-iface.interfaces.0.ipv4 }}"
  bridge: {port: [{name: "{{ capture.base-iface.interfaces.0.name }}"}]}
routes: {config: "{{ capture.bridge-routes.routes.running }}"}
`)
	want := read(t, `
interfaces:
- name: br1
  type: linux-bridge
  state: up
  description: in place of eth1
  mac-address: "52:54:00:F6:80:01"
  ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.5, prefix-length: 24}]}
  bridge: {port: [{name: eth1}]}
routes:
  config:
  - {destination: 0.0.0.0/0, next-hop-interface: br1, next-hop-address: 192.0.2.1, table-id: 254}
  - {destination: 198.51.100.0/24, next-hop-interface: br1, next-hop-address: 192.0.2.9, table-id: 254}
`)
	assert.Contains(t, Templates(desired, field.NewPath("d")), "d.interfaces[0].bridge.port[0].name")
	found, err := resolve(t, read(t, node), nil, expressions)
	require.NoError(t, err)
	rendered, err := Render(desired, found)
	require.NoError(t, err)
	assert.Equal(t, want, rendered)

	// By now the route goes through br1. What was captured is on disk meanwhile, as JSON.
	text, err := json.Marshal(found)
	require.NoError(t, err)
	var kept map[string]any
	require.NoError(t, json.Unmarshal(text, &kept))
	later := read(t, `{interfaces: [{name: br1}], routes: {running: [{destination: 0.0.0.0/0, next-hop-interface: br1}]}}`)
	found, err = resolve(t, later, kept, expressions)
	require.NoError(t, err)
	rendered, err = Render(desired, found)
	require.NoError(t, err)
	assert.Equal(t, want, rendered)
}

func TestProblemsShowTheirPlace(t *testing.T) {
	for name, c := range map[string]struct{ expression, want string }{
		"an unknown part of the state": {`interface.name=="eth0"`,
			"a path begins with one of interfaces, routes, route-rules, dns-resolver\n    interface.name==\"eth0\"\n    ^"},
		"a quotation without end": {`interfaces.name=="eth0`,
			"the closing quote is missing\n    interfaces.name==\"eth0\n                     ^"},
		"a value is missing":     {`interfaces.name==`, "a value is missing here\n    interfaces.name==\n                     ^"},
		"a single equals sign":   {`interfaces.name="eth0"`, "expected == or := here, or the end\n    interfaces.name=\"eth0\"\n                   ^"},
		"a name is missing":      {`interfaces..name`, "a name is missing here\n    interfaces..name\n               ^"},
		"nothing at all":         {``, "a name is missing here\n    \n    ^"},
		"two operators":          {`interfaces.name==a==b`, "expected the end here: an expression has one | and one == or := at most\n    interfaces.name==a==b\n                      ^"},
		"a short reference":      {`interfaces.name==capture.x`, "a reference is written capture.<name>.<path>\n    interfaces.name==capture.x\n                     ^"},
		"no capture before pipe": {`interfaces | interfaces.name==a`, "only a capture can stand before |: write capture.<name> | <path> ...\n    interfaces | interfaces.name==a\n    ^"},
		"nothing done":           {`capture.it | interfaces.name`, "an operation is missing here: == <value> or := <value>\n    capture.it | interfaces.name\n                                ^"},
		"a capture as a path":    {`capture.it`, "to look into a capture, write capture.<name> | <path> == <value>\n    capture.it\n    ^"},
		"an unknown capture":     {`interfaces.name==capture.other.interfaces.0.name`, `there is no capture "other"; there are it`},
		"itself":                 {`capture.it | interfaces.name=="a"`, "captures refer to each other in a cycle: it → it"},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := Parse(map[string]string{"it": c.expression}, field.NewPath("spec", "capture"))
			require.Len(t, problems, 1)
			assert.Equal(t, "spec.capture[it]", problems[0].Field)
			assert.Equal(t, c.want, problems[0].Detail)
		})
	}
}

func TestWhatCannotBeFoundIsAnError(t *testing.T) {
	for name, c := range map[string]struct{ expression, want string }{
		"no entry has the value":     {`interfaces.name=="eth7"`, `capture it (interfaces.name=="eth7"): nothing in the state matches`},
		"no such part":               {`routes.config`, "capture it (routes.config): routes.config is not there; there are running"},
		"a list without a number":    {`interfaces.name`, "capture it (interfaces.name): interfaces.name: write the number of one of 3 entries, from 0 on"},
		"a value that has no parts":  {`dns-resolver.running.server.0.x`, "capture it (dns-resolver.running.server.0.x): dns-resolver.running.server.0 is a value and has no parts"},
		"an entry that is not there": {`routes.running.7`, "capture it (routes.running.7): routes.running.7: write the number of one of 3 entries, from 0 on"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := resolve(t, read(t, node), nil, map[string]string{"it": c.expression})
			assert.EqualError(t, err, c.want)
		})
	}
}

func TestTemplatesAreChecked(t *testing.T) {
	program, problems := Parse(map[string]string{"it": `interfaces.name=="eth0"`}, field.NewPath("spec", "capture"))
	require.Empty(t, problems)
	at := field.NewPath("spec", "desiredState")
	for name, c := range map[string]struct{ text, want string }{
		"a capture that is not there": {"{{ capture.other.interfaces.0.name }}", `there is no capture "other" in spec.capture`},
		"no end":                      {"{{ capture.it.interfaces.0.name", "the template has no end"},
		"two of them":                 {"{{ capture.it.interfaces.0.name }}{{ capture.it.interfaces.0.name }}", "one template only"},
		"no path":                     {"{{ capture.it }}", "a template is written"},
	} {
		t.Run(name, func(t *testing.T) {
			problems := program.Check(map[string]any{"interfaces": []any{map[string]any{"name": c.text}}}, at)
			require.Len(t, problems, 1)
			assert.Equal(t, "spec.desiredState.interfaces[0].name", problems[0].Field)
			assert.Contains(t, problems[0].Detail, c.want)
			_, err := Render(c.text, map[string]any{"it": map[string]any{}})
			assert.Error(t, err)
		})
	}
	_, err := Render("mtu {{ capture.it.mtu }}", map[string]any{"it": map[string]any{"mtu": 1500.0}})
	assert.ErrorContains(t, err, "is not a string")
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{`interfaces.name=="eth0"`, `capture.a | routes.running.x:=null`, `interfaces.name==capture.a.b.0`, "\xff|==\""} {
		f.Add(seed)
	}
	current := read(f, node)
	f.Fuzz(func(t *testing.T, source string) {
		program, problems := Parse(map[string]string{"it": source}, field.NewPath("c"))
		if len(problems) > 0 {
			return
		}
		found, err := program.Resolve(current, nil)
		if err == nil && found["it"] == nil {
			t.Errorf("%q finds nothing, and says nothing", source)
		}
	})
}
