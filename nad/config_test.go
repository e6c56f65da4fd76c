// SPDX-License-Identifier: Apache-2.0

package nad

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
	netv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func bridgeConfig(options string) string {
	return fmt.Sprintf(`{"cniVersion": "0.3.1", "type": "bridge"%s}`, options)
}

func TestConfigsThatAreRead(t *testing.T) {
	br0 := Plugin{Type: "bridge", Bridge: &Bridge{Name: "br0"}}
	for name, c := range map[string]struct {
		source string
		want   []Plugin
	}{
		"none: a file on the node has it": {source: ""},
		"one plugin":                      {bridgeConfig(`, "bridge": "br0"`), []Plugin{br0}},
		"a list":                          {`{"cniVersion": "1.0.0", "name": "l2", "plugins": [{"type": "bridge", "bridge": "br0"}, {"type": "tuning"}]}`, []Plugin{br0, {Type: "tuning"}}},
		"the bridge plugin of KubeVirt":   {`{"type": "cnv-bridge", "bridge": "br0", "cniVersion": "1.0.0"}`, []Plugin{{Type: "cnv-bridge", Bridge: &Bridge{Name: "br0"}}}},
		"a plugin that nobody knows":      {`{"type": "ours", "vlan": "as we like"}`, []Plugin{{Type: "ours"}}},
		"a type beside plugins":           {`{"type": "ours", "plugins": []}`, []Plugin{{Type: "ours"}}},
		"a VLAN":                          {bridgeConfig(`, "bridge": "br0", "vlan": 4094`), []Plugin{{Type: "bridge", Bridge: &Bridge{Name: "br0", VLAN: 4094}}}},
		"a trunk": {bridgeConfig(`, "bridge": "br0", "vlanTrunk": [{"id": 7}, {"minID": 10, "maxID": 12}]`),
			[]Plugin{{Type: "bridge", Bridge: &Bridge{Name: "br0", Trunk: []VLANRange{{7, 7}, {10, 12}}}}}},
		"a range of one VLAN": {bridgeConfig(`, "bridge": "br0", "vlanTrunk": [{"minID": 5, "maxID": 5}]`),
			[]Plugin{{Type: "bridge", Bridge: &Bridge{Name: "br0", Trunk: []VLANRange{{5, 5}}}}}},
		"a type in another case":         {`{"Type": "bridge", "bridge": "br0", "cniVersion": "1.0.0"}`, []Plugin{br0}},
		"a gateway that has no address":  {bridgeConfig(`, "bridge": "br0", "isGateway": true, "ipam": {}`), []Plugin{br0}},
		"what all plugins have":          {bridgeConfig(`, "bridge": "br0", "ipam": null, "capabilities": {"mac": true, "ips": null}, "dns": {"search": ["a"]}`), []Plugin{br0}},
		"a list that is not checked":     {`{"disableCheck": true, "disableGC": false, "plugins": [{"type": "ours"}]}`, []Plugin{{Type: "ours"}}},
		"a bridge that the plugin makes": {bridgeConfig(`, "bridge": "br0", "isGateway": true, "ipam": {"type": "host-local", "subnet": "10.0.0.0/24"}`), []Plugin{{Type: "bridge", IPAM: "host-local", Bridge: &Bridge{Name: "br0", Gateway: true}}}},
		"options of a newer plugin":      {bridgeConfig(`, "bridge": "br0", "newer": {"a": 1}`), []Plugin{br0}},
		"plugins of this list only":      {`{"loadOnlyInlinedPlugins": "True", "plugins": [{"type": "ours"}]}`, []Plugin{{Type: "ours"}}},
		"a type of a list that is null":  {`{"type": null, "plugins": [{"type": "ours"}]}`, []Plugin{{Type: "ours"}}},
		"no version of one plugin":       {`{"cniVersion": null, "type": "ours"}`, []Plugin{{Type: "ours"}}},
		"no version inside a list":       {`{"plugins": [{"cniVersion": null, "name": null, "type": "ours"}]}`, []Plugin{{Type: "ours"}}},
		"versions beside one plugin":     {`{"cniVersions": 1, "disableGC": "yes", "type": "ours"}`, []Plugin{{Type: "ours"}}},
		"a name once more that is null":  {`{"type": "bridge", "Type": null, "bridge": "br0", "Bridge": null, "cniVersion": "1.0.0"}`, []Plugin{br0}},
		"a bridge that is null":          {bridgeConfig(`, "bridge": null`), []Plugin{{Type: "bridge", Bridge: &Bridge{}}}},
		"numbers that libcni writes anew": {bridgeConfig(`, "bridge": "br0", "mtu": 1.5e3, "vlan": 5.0, "vlanTrunk": [{"id": 7.0}]`),
			[]Plugin{{Type: "bridge", Bridge: &Bridge{Name: "br0", VLAN: 5, Trunk: []VLANRange{{7, 7}}}}}},
		"numbers of other plugins":           {`{"plugins": [{"type": "macvlan", "mtu": 1500.0}, {"type": "sriov", "vlan": 1e2}], "cniVersion": "1.0.0"}`, []Plugin{{Type: "macvlan"}, {Type: "sriov"}}},
		"several versions":                   {`{"cniVersions": ["0.4.0", "1.1.0", "2"], "plugins": [{"type": "ours"}]}`, []Plugin{{Type: "ours"}}},
		"nulls, which say nothing":           {bridgeConfig(`, "bridge": "br0", "vlan": null, "vlanTrunk": null, "mtu": null`), []Plugin{br0}},
		"a type in two cases, of one plugin": {`{"type": "bridge", "Type": "ours"}`, []Plugin{{Type: "ours"}}},
		"a type in two cases, in a list":     {`{"plugins": [{"type": "bridge", "Type": "ours"}], "cniVersion": "1.0.0"}`, []Plugin{{Type: "bridge", Bridge: &Bridge{}}}},
		"a VLAN in two cases":                {bridgeConfig(`, "bridge": "br0", "vlan": 5, "VLAN": 6`), []Plugin{{Type: "bridge", Bridge: &Bridge{Name: "br0", VLAN: 5}}}},
		"options in the case of the plugin":  {bridgeConfig(`, "Bridge": "br0"`), []Plugin{br0}},
		"the largest MTU":                    {bridgeConfig(`, "bridge": "br0", "mtu": 65535`), []Plugin{br0}},
	} {
		t.Run(name, func(t *testing.T) {
			config, problems := ParseConfig(c.source)
			require.Empty(t, problems)
			assert.Equal(t, c.want, config.Plugins)
		})
	}
}

func TestConfigsThatArePointedAt(t *testing.T) {
	for name, c := range map[string]struct {
		source string
		want   []string
	}{
		"no JSON":                                {"cniVersion: 0.3.1", []string{`line 1, column 1: this is YAML: want JSON`}},
		"a list":                                 {"[]", []string{"want an object", "not a list"}},
		"nothing in it":                          {"{}", []string{"neither type (for one plugin) nor plugins"}},
		"plugins in another case":                {`{"Plugins": [{"type": "bridge"}]}`, []string{`line 1, column 13: "Plugins" is to be written "plugins"`}},
		"plugins with a letter too few":          {`{"plugin": [{"type": "bridge"}]}`, []string{`line 1, column 12: "plugin" is to be written "plugins"`}},
		"a key with an invisible mark":           {`{"type\u200b": "bridge"}`, []string{`line 1, column 16: the name "type\u200b" has an invisible character (U+200B): remove it`}},
		"a level too many":                       {`{"config": {"type": "bridge"}}`, []string{"line 1, column 12: config is a level too many"}},
		"two levels too many":                    {`{"spec": {"config": {"type": "bridge"}}}`, []string{"line 1, column 10: spec is a level too many"}},
		"a list without plugins":                 {`{"plugins": []}`, []string{"line 1, column 13: plugins is empty"}},
		"plugins that are an object":             {`{"plugins": {}}`, []string{"plugins: want a list", "not an object"}},
		"plugins that are null":                  {`{"plugins": null}`, []string{"plugins: want a list", "not a null"}},
		"a plugin without a type":                {"{\"plugins\": [{\"type\": \"a\"},\n {\"vlan\": 1}]}", []string{"line 2, column 2: plugins[1].type is missing"}},
		"a plugin that is a text":                {`{"plugins": ["bridge"]}`, []string{"plugins[0]: want an object", "not a string"}},
		"a type that is a number":                {`{"type": 5}`, []string{"line 1, column 10: type: want the name of a plugin"}},
		"a type that is a folder":                {`{"type": ".."}`, []string{"want the name of a plugin, not a path"}},
		"versions that are numbers":              {`{"cniVersions": ["1.0.0", 1], "plugins": [{"type": "a"}]}`, []string{`line 1, column 27: cniVersions[1]: want a string such as "1.0.0"`}},
		"versions that are none":                 {`{"cniVersions": ["v1.0.0"], "plugins": [{"type": "a"}]}`, []string{"cniVersions[0]: want a string such as"}},
		"versions that are no list":              {`{"cniVersions": "1.0.0", "plugins": [{"type": "a"}]}`, []string{`cniVersions: want a list, ["0.4.0", "1.0.0"], not a string`}},
		"versions that are null":                 {`{"cniVersions": null, "plugins": [{"type": "a"}]}`, []string{"cniVersions: want a list", "not a null"}},
		"no version of a list":                   {`{"cniVersion": null, "plugins": [{"type": "a"}]}`, []string{"line 1, column 16: cniVersion: want a string, not a null: leave it out"}},
		"a name that is null":                    {`{"name": null, "type": "a"}`, []string{"line 1, column 10: name: want a string, not a null: leave it out"}},
		"a name inside a list":                   {`{"plugins": [{"type": "a", "name": 5}]}`, []string{`plugins[0].name: want a string, not a number: write "5"`}},
		"a version inside a list":                {`{"plugins": [{"type": "a", "cniVersion": 1.0}]}`, []string{`plugins[0].cniVersion: want a string, not a number: write "1.0"`}},
		"ipam beside plugins":                    {`{"ipam": "dhcp", "plugins": [{"type": "a"}]}`, []string{"line 1, column 10: ipam: want an object, not a string"}},
		"capabilities beside plugins":            {`{"Capabilities": ["mac"], "plugins": [{"type": "a"}]}`, []string{"Capabilities: want an object, not a list"}},
		"a result that is a list":                {`{"type": "a", "prevResult": []}`, []string{"prevResult: want an object, not a list"}},
		"a bridge without a name":                {bridgeConfig(`, "bridge": ""`), []string{"bridge is empty: name it, or leave it out for cni0, which the plugin makes"}},
		"a name that is a number":                {`{"name": 5, "type": "a"}`, []string{"line 1, column 10: name: want a string"}},
		"a type that is a path":                  {`{"type": "../sh"}`, []string{"want the name of a plugin, not a path"}},
		"a version of one plugin beside others":  {`{"cniVersion": "1.2.0", "cniVersions": ["1.0.0"], "type": "a"}`, []string{`cniVersion is "1.2.0", which is not a version of CNI`}},
		"a version beside none that is known":    {`{"cniVersion": "1.2.0", "cniVersions": ["1.3.0"], "plugins": [{"type": "a"}]}`, []string{`cniVersion is "1.2.0", which is not a version of CNI`}},
		"a version in words beside others":       {`{"cniVersion": "1.2.0-rc", "cniVersions": ["1.0.0"], "plugins": [{"type": "a"}]}`, []string{`cniVersion is "1.2.0-rc", which is not a version of CNI`}},
		"a version that never was beside others": {`{"cniVersion": "0.3.2", "cniVersions": ["0.3.1"], "plugins": [{"type": "a"}]}`, []string{`cniVersion is "0.3.2", which is not a version of CNI`}},
		"a version that does not exist":          {`{"cniVersion": "0.3.2", "type": "a"}`, []string{`line 1, column 16: cniVersion is "0.3.2", which is not a version of CNI: want one of 0.1.0,`}},
		"a version that is a number":             {`{"cniVersion": 1, "type": "a"}`, []string{"cniVersion: want a string"}},
		"a name that is no name":                 {`{"name": "a b", "type": "a"}`, []string{`name is "a b"`}},
		"a bridge of sixteen letters":            {bridgeConfig(`, "bridge": "` + strings.Repeat("b", 16) + `"`), []string{"longer than the 15 characters"}},
		"a bridge with a slash":                  {bridgeConfig(`, "bridge": "a/b"`), []string{`bridge is "a/b": it is not an interface name`}},
		"a VLAN too high":                        {bridgeConfig(",\n\"vlan\": 4095"), []string{"line 2, column 9: vlan is 4095: want 0 to 4094"}},
		"a VLAN below zero":                      {bridgeConfig(`, "vlan": -1`), []string{"vlan is -1: want 0 to 4094"}},
		"a VLAN in quotes with a blank":          {bridgeConfig(`, "vlan": "100 "`), []string{"vlan: want a whole number, not a string: remove the quotes"}},
		"a VLAN in quotes":                       {bridgeConfig(`, "vlan": "100"`), []string{"vlan: want a whole number, not a string: remove the quotes"}},
		"a VLAN and a half":                      {bridgeConfig(`, "vlan": 1.5`), []string{"vlan: want a whole number, not 1.5"}},
		"a switch in quotes":                     {bridgeConfig(`, "isGateway": "true"`), []string{"isGateway: want true or false, not a string: remove the quotes"}},
		"a switch that is a word":                {bridgeConfig(`, "isGateway": "yes"`), []string{"isGateway: want true or false, not a string"}},
		"a bridge that is a list":                {bridgeConfig(`, "bridge": ["br0"]`), []string{"bridge: want a string, not a list"}},
		"a trunk of numbers":                     {bridgeConfig(`, "vlanTrunk": [100]`), []string{`vlanTrunk[0]: want {"id": 100} or {"minID": 200, "maxID": 210}`}},
		"half a range":                           {bridgeConfig(`, "vlanTrunk": [{"minID": 1}]`), []string{"vlanTrunk[0]: minID and maxID need each other"}},
		"a range that is reversed":               {bridgeConfig(`, "vlanTrunk": [{"id": 1}, {"minID": 9, "maxID": 8}]`), []string{"vlanTrunk[1]: minID 9 is above maxID 8"}},
		"a range of zero":                        {bridgeConfig(`, "vlanTrunk": [{"id": 0}]`), []string{"vlanTrunk[0]: want VLANs from 1 to 4094"}},
		"a range beyond":                         {bridgeConfig(`, "vlanTrunk": [{"minID": 1, "maxID": 4095}]`), []string{"vlanTrunk[0]: want VLANs from 1 to 4094"}},
		"an empty range":                         {bridgeConfig(`, "vlanTrunk": [{}]`), []string{`vlanTrunk[0]: want {"id": ...}`}},
		"a range that is null":                   {bridgeConfig(`, "vlanTrunk": [null]`), []string{"vlanTrunk[0]: is null"}},
		"hairpin and promiscuous":                {bridgeConfig(`, "hairpinMode": true, "promiscMode": true`), []string{"hairpinMode and promiscMode exclude each other"}},
		"an MTU too small":                       {bridgeConfig(`, "mtu": 67`), []string{"mtu is 67: want 68 to 65535"}},
		"an MTU too large":                       {bridgeConfig(`, "mtu": 65536`), []string{"mtu is 65536"}},
		"addresses on no interface":              {bridgeConfig(`, "disableContainerInterface": true, "ipam": {"type": "static"}`), []string{"disableContainerInterface excludes addresses"}},
		"ipam that is a word":                    {`{"type": "macvlan", "ipam": "dhcp"}`, []string{"line 1, column 29: ipam: want an object, not a string"}},
		"ipam of a bridge":                       {bridgeConfig(`, "ipam": [{"type": "static"}]`), []string{"ipam: want an object, not a list"}},
		"ipam of a number":                       {`{"plugins": [{"type": "ours", "ipam": {"type": 5}}]}`, []string{"plugins[0].ipam.type: want a string, not a number"}},
		"capabilities that are a list":           {`{"type": "sriov", "capabilities": ["mac", "ips"]}`, []string{"capabilities: want an object, not a list"}},
		"a capability in quotes":                 {`{"type": "ours", "capabilities": {"ips": "true"}}`, []string{"capabilities.ips: want true or false, not a string: remove the quotes"}},
		"a name server":                          {`{"type": "ours", "dns": "10.0.0.1"}`, []string{"dns: want an object, not a string"}},
		"name servers that are no list":          {`{"type": "ours", "dns": {"nameservers": "10.0.0.1"}}`, []string{"dns.nameservers: want a list, not a string"}},
		"search domains of numbers":              {`{"type": "ours", "dns": {"search": ["a", 1]}}`, []string{"dns.search[1]: want a string, not a number"}},
		"a check in other words":                 {`{"disableCheck": "yes", "plugins": [{"type": "ours"}]}`, []string{"line 1, column 18: disableCheck: want true or false, not a string"}},
		"a check in quotes":                      {`{"disableCheck": "True", "plugins": [{"type": "ours"}]}`, []string{"line 1, column 18: disableCheck: want true or false, not a string"}},
		"a check that is null":                   {`{"disableCheck": null, "plugins": [{"type": "ours"}]}`, []string{"disableCheck: want true or false, not a null"}},
		"a flag that is null":                    {`{"disableGC": null, "plugins": [{"type": "ours"}]}`, []string{"disableGC: want true or false, not a null"}},
		"a flag in other words":                  {`{"loadOnlyInlinedPlugins": "yes", "plugins": [{"type": "ours"}]}`, []string{"loadOnlyInlinedPlugins: want true or false, not a string"}},
		"no check by a number":                   {`{"disableGC": 1, "plugins": [{"type": "ours"}]}`, []string{"line 1, column 15: disableGC: want true or false, not a number"}},
		"every problem is told":                  {`{"cniVersion": "9", "plugins": [{"type": "bridge", "vlan": 5000, "mtu": 1}, {}]}`, []string{"cniVersion", "plugins[0].vlan", "plugins[0].mtu", "plugins[1].type"}},
		"the missing comma of the commonest": {"{\n    \"cniVersion\": \"0.3.1\"\n    \"name\": \"br0-l2\"\n}", []string{
			"spec.config: Invalid value: line 2, column 26: a comma is missing after \"0.3.1\"\n      \"cniVersion\": \"0.3.1\"\n                           ^"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := ParseConfig(c.source)
			require.NotEmpty(t, problems)
			for _, fragment := range c.want {
				assert.Contains(t, problems.ToAggregate().Error(), fragment)
			}
		})
	}
}

func TestResourcesThatNetworksWant(t *testing.T) {
	const key, other = ResourceAnnotation, "example.com/resources"
	for name, c := range map[string]struct {
		config      string
		annotations map[string]string
		want        []string
	}{
		"the bridge":                        {config: bridgeConfig(`, "bridge": "br0"`), want: []string{BridgePrefix + "br0"}},
		"the bridge of a list":              {config: `{"plugins": [{"type": "cnv-bridge", "bridge": "br0"}, {"type": "cnv-tuning"}]}`, want: []string{BridgePrefix + "br0"}},
		"what the annotation says":          {config: bridgeConfig(`, "bridge": "br0"`), annotations: map[string]string{key: "a.b/c"}, want: []string{"a.b/c"}},
		"what several annotations say":      {config: bridgeConfig(`, "bridge": "br0"`), annotations: map[string]string{key: "a.b/c", other: "a.b/d"}, want: []string{"a.b/c", "a.b/d"}},
		"an annotation that is empty":       {config: bridgeConfig(`, "bridge": "br0"`), annotations: map[string]string{key: ""}, want: []string{BridgePrefix + "br0"}},
		"nothing if so wished":              {config: bridgeConfig(`, "bridge": "br0"`), annotations: map[string]string{OwnResourceAnnotation: NoResource}},
		"an annotation in spite of a wish":  {config: bridgeConfig(`, "bridge": "br0"`), annotations: map[string]string{OwnResourceAnnotation: NoResource, key: "a.b/c"}, want: []string{"a.b/c"}},
		"not the plugin's own bridge":       {config: bridgeConfig(``)},
		"not cni0":                          {config: bridgeConfig(`, "bridge": "cni0"`)},
		"not docker0":                       {config: bridgeConfig(`, "bridge": "docker0"`)},
		"not one whose name makes none":     {config: bridgeConfig(`, "bridge": "br0_"`)},
		"not a bridge of libvirt":           {config: bridgeConfig(`, "bridge": "virbr0"`)},
		"not one that is made as a gateway": {config: bridgeConfig(`, "bridge": "br0", "isDefaultGateway": true, "ipam": {"type": "dhcp"}`)},
		"not another plugin's":              {config: `{"type": "macvlan", "bridge": "br0"}`},
		"not a file's on the node":          {},
		"not that of a broken config":       {config: `{"type": "bridge" "bridge": "br0"}`},
	} {
		t.Run(name, func(t *testing.T) {
			d := Read(&netv1.NetworkAttachmentDefinition{
				ObjectMeta: metav1.ObjectMeta{
					Annotations: c.annotations,
				},
				Spec: netv1.NetworkAttachmentDefinitionSpec{Config: c.config},
			}, []string{key, other})
			wanted, unoffered := d.Wants(func(string) bool { return true })
			assert.Empty(t, unoffered)
			var names []string
			for _, r := range wanted {
				names = append(names, r.Name)
			}
			assert.Equal(t, c.want, names)
		})
	}
}

func TestABridgeThatWasFilledInIsAskedForBesideOthersIfItIsOffered(t *testing.T) {
	const other = "example.com/resources"
	d := Read(&netv1.NetworkAttachmentDefinition{
		ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{
			ResourceAnnotation: BridgePrefix + "br0", OwnResourceAnnotation: DerivedResource, other: "a.b/c",
		}},
		Spec: netv1.NetworkAttachmentDefinitionSpec{Config: bridgeConfig(`, "bridge": "br0"`)},
	}, []string{ResourceAnnotation, other})
	written := Resource{Key: other, Name: "a.b/c"}

	wanted, unoffered := d.Wants(func(string) bool { return true })
	assert.Equal(t, []Resource{written, {Name: BridgePrefix + "br0"}}, wanted)
	assert.Empty(t, unoffered)

	wanted, unoffered = d.Wants(func(string) bool { return false })
	assert.Equal(t, []Resource{written}, wanted)
	assert.Equal(t, "br0", unoffered)
}

func TestNetworksThatTakeAddresses(t *testing.T) {
	for config, takes := range map[string]bool{
		``:                                  true,
		`{"type":"bridge","bridge":"br0"}`:  true,
		`{"type":"cnv-bridge"}`:             true,
		`{"type":"macvlan"}`:                true,
		`{"type":"macvtap"}`:                true,
		`{"type":"tap"}`:                    true,
		`{"type":"ovs","bridge":"br1"}`:     true,
		`{"type":"sriov"}`:                  true,
		`{"type":"host-device"}`:            true,
		`{"type":"ovn-k8s-cni-overlay"}`:    true,
		`{"type":"a plugin of the future"}`: true,
		`{"type":"ipvlan","master":"eth1"}`: false,
		`{"type":"ib-sriov"}`:               false,
		`{"type":"ib-sriov-cni"}`:           false,
		`{"type":"istio-cni"}`:              false,
		`{"type":"linkerd-cni"}`:            false,
		`{"type":"vlan","vlanId":7}`:        false,
		`{"type":"ptp"}`:                    false,
		`{"type":"dummy"}`:                  false,
		`{"plugins":[{"type":"bridge"},{"type":"cnv-tuning"}]}`: true,
		`{"plugins":[{"type":"vlan"},{"type":"tuning"}]}`:       true,
		`{"plugins":[{"type":"ptp"},{"type":"cnv-tuning"}]}`:    true,
		`{"plugins":[{"type":"vlan"},{"type":"sbr"}]}`:          false,
		`{"plugins":[{"type":"ipvlan"},{"type":"tuning"}]}`:     false,
	} {
		t.Run(config, func(t *testing.T) {
			d := Read(&netv1.NetworkAttachmentDefinition{
				Spec: netv1.NetworkAttachmentDefinitionSpec{Config: config},
			}, nil)
			assert.Equal(t, takes, d.TakesMAC())
		})
	}
}

func TestProblemsAreToldInTheOrderOfTheText(t *testing.T) {
	_, problems := ParseConfig(bridgeConfig(`, "vlan": "5", "mtu": "9000", "bridge": 5`))
	require.Len(t, problems, 3)
	for i, option := range []string{"vlan", "mtu", "bridge"} {
		assert.Contains(t, problems[i].Error(), option+": want")
	}
}

func TestAMistakeIsToldOnce(t *testing.T) {
	_, problems := ParseConfig(bridgeConfig(`, "bridge": "br0", "ipam": "dhcp"`))
	assert.Len(t, problems, 1)
}

func TestNetworksOfMeshesTakeNoAddresses(t *testing.T) {
	for name, takes := range map[string]bool{
		"istio-cni": false, "v2-6-istio-cni": false, "linkerd-cni": false, "kuma-cni": false,
		"l2": true, "istio": true, "istio-cni-2": true, "vlan": true,
	} {
		t.Run(name, func(t *testing.T) {
			d := Read(&netv1.NetworkAttachmentDefinition{ObjectMeta: metav1.ObjectMeta{Name: name}}, nil)
			assert.Equal(t, takes, d.TakesMAC())
			d.Plugins = []string{"macvlan"}
			assert.True(t, d.TakesMAC(), "what the network says is its configuration")
		})
	}
}

func TestOptionsThatMeanNothing(t *testing.T) {
	for options, warning := range map[string]string{
		`"type":"bridge","vlanID":7`:                                      "vlanID means nothing to the bridge plugin: did you mean vlan?",
		`"type":"bridge","VLAN-tag":7`:                                    "VLAN-tag means nothing to the bridge plugin: did you mean vlan?",
		`"type":"bridge","trunks":[]`:                                     "did you mean vlanTrunk?",
		`"type":"bridge","master":"br0"`:                                  "did you mean bridge?",
		`"type":"cnv-bridge","macspoofcheck":true`:                        "macspoofcheck means nothing to the cnv-bridge plugin: did you mean macspoofchk?",
		`"type":"bridge","frobnicate":1`:                                  "frobnicate means nothing to the bridge plugin",
		`"type":"macvlan","vlan":7`:                                       "vlan means nothing to the macvlan plugin: frames leave untagged; attach to an interface that is in the VLAN",
		`"type":"macvlan","parent":"eth1"`:                                "did you mean master?",
		`"type":"macvlan","Master":"eth1","mtu":1`:                        "",
		`"type":"ipvlan","vlanId":7`:                                      "vlanId means nothing to the ipvlan plugin: frames leave untagged",
		`"type":"vlan","vlanId":7,"master":"eth1","ipam":{"type":"dhcp"}`: "",
		`"type":"vlan","master":"eth1","ipam":{"type":"dhcp"},"vlan":7`:   "vlan means nothing to the vlan plugin: did you mean vlanId?",
		`"type":"vlan","master":"eth1","ipam":{"type":"dhcp"},"tag":7`:    "did you mean vlanId?",
		`"type":"host-device","device":"eth1"`:                            "",
		`"type":"host-device","pciBusId":"x"`:                             "",
		`"type":"host-device","pciId":"x"`:                                "pciId means nothing to the host-device plugin",
		`"type":"ovs","bridge":"br1","vlanId":7`:                          "vlanId means nothing to the ovs plugin: did you mean vlan?",
		`"type":"ovs","bridge":"br1","tag":7`:                             "did you mean vlan?",
		`"type":"ovs","vlanTrunk":[]`:                                     "did you mean trunk?",
		`"type":"ovs","newer":1`:                                          "",
		`"type":"sriov","vlanId":7,"spoofchk":"off"`:                      "vlanId means nothing to the sriov plugin: did you mean vlan?",
		`"type":"sriov","newer":1`:                                        "",
		`"type":"tuning","sysctl":{},"newer":1`:                           "",
		`"type":"ours","vlanId":7`:                                        "",
	} {
		t.Run(options, func(t *testing.T) {
			config, problems := ParseConfig(`{"plugins":[{"type":"x"},{` + options + "}]}")
			require.Empty(t, problems)
			if warning == "" {
				assert.Empty(t, config.Warnings)
				return
			}
			require.Len(t, config.Warnings, 1)
			assert.Contains(t, config.Warnings[0], warning)
		})
	}
}

func TestAddressesThatNoPodCanHave(t *testing.T) {
	for options, problem := range map[string]string{
		`"type":"macvlan","mac":"03:00:00:00:00:01"`:                         `mac is "03:00:00:00:00:01", a multicast`,
		`"type":"tap","mac":"ff:ff:ff:ff:ff:ff"`:                             "a multicast address",
		`"type":"bridge","args":{"cni":{"mac":"01:00:5e:00:00:01"}}`:         `args.cni.mac is "01:00:5e:00:00:01", a multicast`,
		`"type":"sriov","runtimeConfig":{"mac":"03:00:00:00:00:01"}`:         `runtimeConfig.mac is`,
		`"type":"cnv-tuning","mac":"00:00:00:00:00:00"`:                      "which no interface can have: leave it out",
		`"type":"tuning","mac":"02:zz"`:                                      "want an address such as",
		`"type":"tuning","mac":"02:00:00:00:00:01"`:                          "",
		`"type":"ours","mac":"as we like"`:                                   "",
		`"type":"ours","args":{"cni":{"mac":"as we like"}}`:                  "",
		`"type":"ipvlan","args":{"cni":{"mac":"03:00:00:00:00:01"}}`:         "",
		`"type":"macvlan","mac":"02:00:00:00:00:00:00:01"`:                   "want an address such as",
		`"type":"bridge","args":{"cni":{"mac":""}},"runtimeConfig":{"a":[]}`: "",
	} {
		t.Run(options, func(t *testing.T) {
			_, problems := ParseConfig(`{"plugins":[{"type":"x"},{` + options + "}]}")
			if problem == "" {
				assert.Empty(t, problems)
				return
			}
			require.Len(t, problems, 1)
			assert.Contains(t, problems[0].Error(), problem)
		})
	}
}

func TestNamesOfResources(t *testing.T) {
	for name, problem := range map[string]string{
		"bridge.network.kubevirt.io/br0":     "",
		"intel.com/sriov_net.a":              "",
		"cpu":                                "want <domain>/<name>",
		"kubernetes.io/br0":                  "a resource of Kubernetes itself",
		"node.kubernetes.io/br0":             "a resource of Kubernetes itself",
		"requests.a.b/c":                     "which is for quotas",
		"a.b/br_bad_":                        "is not an extended resource",
		"a b/c":                              "is not an extended resource",
		"a.b/" + strings.Repeat("x", 64):     "is not an extended resource",
		strings.Repeat("x.", 121) + "com/br": "is not an extended resource", // in quotas it has a prefix
		strings.Repeat("x", 250) + ".com/br": "is not an extended resource",
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckResourceName(name)
			if problem == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, problem)
		})
	}
}

func TestNodeSelectors(t *testing.T) {
	for name, c := range map[string]struct {
		written, problem string
		want             map[string]string
	}{
		"a label":                 {written: "zone=a", want: map[string]string{"zone": "a"}},
		"a label without a value": {written: "fast", want: map[string]string{"fast": ""}},
		"several":                 {written: "zone=a, example.com/fast=", want: map[string]string{"zone": "a", "example.com/fast": ""}},
		"blanks around a label":   {written: " zone = a ,fast ", want: map[string]string{"zone": "a", "fast": ""}},
		"a label twice":           {written: "zone=a,zone=a", want: map[string]string{"zone": "a"}},
		"two equals signs":        {written: "a=b=c", problem: "is not a node label"},
		"nothing":                 {written: " ", problem: "is not a node label"},
		"a label torn":            {written: "zone=a,zone=b", problem: "is given two values"},
	} {
		t.Run(name, func(t *testing.T) {
			selector, err := ParseNodeSelector(c.written)
			if c.problem != "" {
				assert.ErrorContains(t, err, c.problem)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.want, selector)
		})
	}
}

// FuzzConfig has libcni for its oracle. What ours takes, libcni takes once the name is filled in, as Multus does; what
// ours refuses and libcni takes is for the reasons that only a plugin or the kernel would give. What ours takes of a
// plugin that we know, encoding/json can read, too.
func FuzzConfig(f *testing.F) {
	for _, seed := range []string{
		"", "{}", `{"type":"bridge"}`, `{"plugins":[{"type":"bridge","vlan":1,"vlanTrunk":[{"id":1}]}]}`, `{"plugins":null}`, `{"plugins":[{"Type":"a"}]}`,
		`{"cniVersion":"0.3.1","name":"a","type":"bridge","VLANTRUNK":[null],"vlanTrunk":[{}]}`, `{"type":"","plugins":[{"type":"a"}]}`, `{"cniVersions":["9.9.9"],"type":"a"}`,
		`{"type":"tuning","sysctl":{"a":"1"},"args":{"cni":{"mtu":1}}}`, `{"type":"ovs","trunk":[{"minID":1,"maxID":2},null],"vlan":5}`,
		`{"plugins":[{"type":"vlan","master":"a"},{"type":"tap","owner":1,"args":{}},{"type":"sriov","vlan":1,"trust":"on"}]}`,
		`{"type":null,"cniVersion":"","plugins":[{"type":"a","name":null,"cniVersion":null}],"disableGC":false,"loadOnlyInlinedPlugins":"True"}`,
		`{"name":"","capabilities":null,"ipam":{},"cniVersions":["2","1.0"],"plugins":[{"type":"a","prevResult":{}}]}`,
		`{"plugins":[{"type":"bridge","Type":"a","vlan":"x","vlan":1,"ipam":{"type":"static","Type":"dhcp"}}]}`,
		`{"plugins":[{"type":"a"},{"type":"bandwidth","egressRate":1,"egressBurst":1},{"type":"portmap","snat":true},{"type":"firewall"}]}`,
		`{"type":"host-device","ipam":{"type":"host-local","ranges":[[{"subnet":"10.0.0.0/8"}]],"routes":[{"dst":"::/0","gw":""}]}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		config, problems := ParseConfig(source)
		if len(problems) > 0 || source == "" {
			return
		}
		require.NotEmpty(t, config.Plugins)
		root, wrong := parse(source)
		require.Nil(t, wrong)
		if kind := root.folded("type"); kind != nil && kind.kind != null && kind.text != "" {
			one, err := libcni.NetworkPluginConfFromBytes([]byte(source))
			require.NoError(t, err)
			require.Equal(t, one.Network.Type, config.Plugins[0].Type)
			requireRead(t, one.Network.Type, passedOn(source))
			return
		}
		named := source
		if name := root.exactly("name"); name == nil || name.text == "" {
			filled := map[string]any{}
			require.NoError(t, json.Unmarshal([]byte(source), &filled))
			filled["name"] = "x"
			written, err := json.Marshal(filled)
			require.NoError(t, err)
			named = string(written)
		}
		require.NoError(t, json.Unmarshal([]byte(named), &types.PluginConf{}))
		require.NoError(t, json.Unmarshal([]byte(named), &types.NetConfList{}))
		list, err := libcni.NetworkConfFromBytes([]byte(named))
		require.NoError(t, err)
		require.Len(t, config.Plugins, len(list.Plugins))
		for i, p := range list.Plugins {
			require.Equal(t, p.Network.Type, config.Plugins[i].Type)
			requireRead(t, p.Network.Type, p.Bytes)
		}
	})
}

// requireRead requires that a plugin, and the one for its addresses, can read a configuration.
func requireRead(t *testing.T, plugin string, source []byte) {
	t.Helper()
	var common commonOptions
	require.NoError(t, json.Unmarshal(source, &common))
	for _, of := range []reflect.Type{typeOf(plugin), typeOfIPAM(common.IPAM.Type)} {
		if of != nil {
			require.NoError(t, json.Unmarshal(source, reflect.New(of).Interface()))
		}
	}
}
