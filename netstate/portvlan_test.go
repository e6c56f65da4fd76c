// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

func TestPortVLANsInTheKernel(t *testing.T) {
	tests := map[string]struct {
		vlan    string // YAML
		pvid    int
		entries string // as bridge vlan show would print them
		shown   string // by PortVLANFromEntries, if not as vlan
	}{
		"no vlan is the default PVID":       {`null`, 1, "1 PVID untagged", ""},
		"an empty vlan too":                 {`{}`, 1, "1 PVID untagged", "null"},
		"no default PVID is nothing at all": {`null`, 0, "", ""},
		"the default trunk": {`{mode: trunk, enable-native: false, trunk-tags: [{id-range: {min: 2, max: 4094}}]}`,
			1, "1 PVID untagged, 2-4094", ""},
		"a native VLAN replaces the default PVID": {`{mode: trunk, enable-native: true, tag: 100, trunk-tags: [{id: 5}]}`,
			1, "5, 100 PVID untagged", ""},
		"a native VLAN inside the trunk splits it": {`{mode: trunk, enable-native: true, tag: 5, trunk-tags: [{id-range: {min: 2, max: 9}}]}`,
			1, "2-4, 5 PVID untagged, 6-9",
			`{mode: trunk, enable-native: true, tag: 5, trunk-tags: [{id-range: {min: 2, max: 4}}, {id-range: {min: 6, max: 9}}]}`},
		"access":                     {`{mode: access, tag: 7, trunk-tags: []}`, 1, "7 PVID untagged", ""},
		"access is the default mode": {`{tag: 7}`, 1, "7 PVID untagged", `{mode: access, tag: 7, trunk-tags: []}`},
		"access to the default PVID is not shown": {`{mode: access, tag: 1}`, 1, "1 PVID untagged", "null"},
		"a trunk of nothing but a native VLAN reads access": {`{mode: trunk, enable-native: true, tag: 7, trunk-tags: []}`,
			1, "7 PVID untagged", `{mode: access, tag: 7, trunk-tags: []}`},
		"tags in any order, neighbours are one range": {`{mode: trunk, trunk-tags: [{id: 9}, {id: 3}, {id: 4}, {id-range: {min: 5, max: 7}}]}`,
			1, "1 PVID untagged, 3-7, 9",
			`{mode: trunk, enable-native: false, trunk-tags: [{id-range: {min: 3, max: 7}}, {id: 9}]}`},
		"the default PVID in the trunk is carried tagged": {`{mode: trunk, enable-native: false, trunk-tags: [{id-range: {min: 1, max: 10}}]}`,
			1, "1-10", ""},
		"another default PVID": {`{mode: trunk, enable-native: false, trunk-tags: [{id: 20}]}`,
			10, "10 PVID untagged, 20", ""},
		"an explicit native VLAN that is the default PVID is not shown": {`{mode: trunk, enable-native: true, tag: 1, trunk-tags: [{id: 2}]}`,
			1, "1 PVID untagged, 2", `{mode: trunk, enable-native: false, trunk-tags: [{id: 2}]}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			entries := portVLAN(t, test.vlan).Entries(test.pvid)
			assert.Equal(t, test.entries, entriesText(entries))
			if test.shown == "" {
				test.shown = test.vlan
			}
			assert.Equal(t, portVLAN(t, test.shown), PortVLANFromEntries(entries, test.pvid))
		})
	}
}

func portVLAN(t *testing.T, text string) *PortVLAN {
	t.Helper()
	var v *PortVLAN
	require.NoError(t, yaml.UnmarshalStrict([]byte(text), &v))
	return v
}

func entriesText(entries []VLANEntry) string {
	texts := make([]string, len(entries))
	for n, e := range entries {
		texts[n] = fmt.Sprint(e.Min)
		if e.Max != e.Min {
			texts[n] += fmt.Sprintf("-%d", e.Max)
		}
		if e.PVID {
			texts[n] += " PVID"
		}
		if e.Untagged {
			texts[n] += " untagged"
		}
	}
	return strings.Join(texts, ", ")
}
