// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"
	"github.com/bridgehead-dev/bridgehead/webhooks/corpus"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/ledger"
)

func TestAddressesOfManyBlocksAreBounded(t *testing.T) {
	named := func(n int, at func(i int) macpool.MAC) vmChange {
		var c vmChange
		for i := range n {
			c.nics = append(c.nics, vmNIC{nic: nic{mac: at(i)}, served: true})
		}
		return c
	}
	apart := func(i int) macpool.MAC { return macpool.MAC{2, 0, 0, 0, byte(i)} }
	together := func(i int) macpool.MAC { return macpool.MAC{2, 0, 0, 0, 0, byte(i)} }
	assert.Empty(t, validateBlocks(named(256, together)), "they are one write")
	assert.Empty(t, validateBlocks(named(maxBlocks, apart)))
	problems := validateBlocks(named(256, apart))
	require.Len(t, problems, 1)
	assert.Contains(t, problems[0].Error(), "have 256 different prefixes (their first five octets): at most 32 are allowed at once")
	assert.Empty(t, validateBlocks(named(256, func(int) macpool.MAC { return macpool.MAC{} })), "these are given out")
}

func TestNamesThatNoBlockHasRoomForAreRefused(t *testing.T) {
	long := strings.Repeat("é", 300_000)
	most := strings.Repeat("n", maxName)
	for name, tc := range map[string]struct {
		name, generateName, iface string
		denied                    string
	}{
		"the longest names":                  {name: most, iface: most},
		"an interface":                       {name: "vm", iface: long, denied: "interfaces[0].name: Too long: may not be more than 253"},
		"an interface one byte too long":     {name: "vm", iface: most + "n", denied: "interfaces[0].name: Too long"},
		"a VM":                               {name: long, iface: "net", denied: "metadata.name: Too long"},
		"a generateName":                     {generateName: long, iface: "net", denied: "metadata.generateName: Too long"},
		"the longest generateName":           {generateName: most, iface: "net"},
		"an interface that is on no network": {name: "vm", iface: long + "/alone", denied: "interfaces[0].name: Too long"},
	} {
		t.Run(name, func(t *testing.T) {
			network, _ := strings.CutSuffix(tc.iface, "/alone")
			raw, err := json.Marshal(map[string]any{
				"metadata": map[string]any{"name": tc.name, "generateName": tc.generateName, "namespace": "home"},
				"spec": map[string]any{"template": map[string]any{"spec": map[string]any{
					"domain": map[string]any{"devices": map[string]any{
						"interfaces": []any{map[string]any{"name": tc.iface, "bridge": map[string]any{}}},
					}},
					"networks": []any{map[string]any{"name": network, "multus": map[string]any{"networkName": "l2"}}},
				}}},
			})
			require.NoError(t, err)
			w := newWorld(t)
			verdict, err := w.handler.Reviewer.Review(t.Context(), &admissionv1.AdmissionRequest{
				UID: "u", Operation: admissionv1.Create, Namespace: "home", Name: tc.name,
				Object: runtime.RawExtension{Raw: raw},
			})
			require.NoError(t, err)
			if tc.denied == "" {
				assert.Empty(t, verdict.Denied)
				return
			}
			require.Len(t, verdict.Denied, 1)
			assert.Contains(t, verdict.Denied[0].Error(), tc.denied)
			assert.Less(t, len(verdict.Denied[0].Error()), 200, "it does not repeat the name")
		})
	}
}

func TestAnInterfaceIsNotGivenTheAddressOfOneThatIsNotOurs(t *testing.T) {
	const vm = `{metadata: {namespace: home, name: vm}, spec: {template: {spec: {domain: {devices: {interfaces: [%s]}},
		networks: [{name: primary, pod: {}}, {name: net, multus: {networkName: l2}}]}}}}`
	const primary = `{name: primary, binding: {name: l2bridge}, macAddress: "02:4a:be:00:00:01"}`
	parse := func(interfaces string) json.RawMessage {
		raw, err := yaml.YAMLToJSON([]byte(strings.Replace(vm, "%s", interfaces, 1)))
		require.NoError(t, err)
		return raw
	}
	for name, asked := range map[string]corpus.Case{
		"of a VM that is created": {Operation: admissionv1.Create},
		"of one that gets both":   {Operation: admissionv1.Update, OldObject: parse("")},
		"in a dry run":            {Operation: admissionv1.Create, DryRun: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.pool(v1alpha1.EnforcementDeny, v1alpha1.MACRange{Start: "02:4a:be:00:00:01", End: "02:4a:be:00:00:02"})
			asked.Object = parse(primary + ", {name: net, bridge: {}}")
			response := w.review(asked)
			require.True(t, response.Allowed, "%v", response.Result)
			given := changes(t, response.Patch)["/spec/template/spec/domain/devices/interfaces/1/macAddress"]
			assert.Equal(t, "02:4a:be:00:00:02", given, "a guest cannot have two interfaces of one address")
			w.flush()
		})
	}
}

func TestALongNameThatWasLetInBeforeStays(t *testing.T) {
	face := &vmInterface{Name: strings.Repeat("n", maxName+1)}
	vm := &virtualMachine{interfaces: []*vmInterface{face}}
	assert.Len(t, validateInterfaceNames(changeOf(vm, nil)), 1)
	assert.Empty(t, validateInterfaceNames(changeOf(vm, vm)))
}

func TestAnInterfaceIsRenamedThoughThePoolIsFull(t *testing.T) {
	const mac = "02:4a:be:00:00:01"
	for name, tc := range map[string]struct {
		stored string
		iface  string // by which the address is recorded, if not by that of before
		says   string // of a refusal
	}{
		"of a VM that is halted":                      {stored: "{spec: {runStrategy: Halted}}"},
		"of a VM that is not running":                 {stored: "{spec: {running: false}, status: {created: false}}"},
		"but not of one whose instance has it yet":    {stored: "{spec: {runStrategy: Halted}, status: {created: true}}", says: "exhausted"},
		"but not of one that may be started any time": {stored: "{spec: {runStrategy: Always}}", says: "exhausted"},
		"but not of one that runs, where an earlier change was refused after us": {
			stored: "{spec: {runStrategy: Always}}", iface: "renamed", says: "exhausted",
		},
		"but not of one whose strategy is not known": {stored: "{spec: {runStrategy: [Halted]}}", says: "exhausted"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.pool(v1alpha1.EnforcementDeny, v1alpha1.MACRange{Start: mac, End: mac})
			w.hold(mac, "home/vm", cmp.Or(tc.iface, "net0"))
			w.clock.Step(2 * ledger.MaxAdmission)
			renamed := bytes.ReplaceAll(vmWith(t, "name: vm", ""), []byte("net0"), []byte("renamed"))
			answer := w.review(corpus.Case{
				Operation: admissionv1.Update, Object: renamed, OldObject: merged(t, vmWith(t, "name: vm", mac), tc.stored),
			})
			if tc.says != "" {
				require.False(t, answer.Allowed)
				assert.Contains(t, answer.Result.Message, tc.says)
				return
			}
			require.True(t, answer.Allowed, "%v", answer.Result)
			assert.Contains(t, string(answer.Patch), mac)
		})
	}
}

// merged returns a JSON object with the fields that YAML has of another.
func merged(t *testing.T, object json.RawMessage, fields string) json.RawMessage {
	t.Helper()
	patch, err := yaml.YAMLToJSON([]byte(fields))
	require.NoError(t, err)
	both, err := jsonpatch.MergePatch(object, patch)
	require.NoError(t, err)
	return both
}
