// SPDX-License-Identifier: Apache-2.0

package nad

import (
	"fmt"
	"net"
	"reflect"
	"slices"
	"strings"
)

// beside warns of options that stand beside the list of plugins: they are of no plugin.
func (r *configReader) beside(root value) {
	known := []string{
		"cniVersion",
		"cniVersions",
		"name",
		"type",
		"plugins",
		"disableCheck",
		"disableGC",
		"loadOnlyInlinedPlugins",
	}
	for _, m := range root.members {
		if !slices.Contains(known, m.key) {
			r.warn(m.value, "%s means nothing beside plugins: write it into the plugin that is to have it", m.key)
		}
	}
}

// bridgeKeys are the options of the bridge plugin, and those that every plugin has.
func bridgeKeys() []string {
	keys := []string{
		"cniVersion",
		"cniVersions",
		"name",
		"type",
		"args",
		"capabilities",
		"dns",
		"ipMasqBackend",
		"runtimeConfig",
		"prevResult",
		"disableCheck",
		"disableGC",
		"loadOnlyInlinedPlugins",
		"cni.dev/valid-attachments",
		"cni.dev/attachments",
	}
	options := reflect.TypeFor[bridgeOptions]()
	for i := range options.NumField() {
		keys = append(keys, options.Field(i).Tag.Get("json"))
	}
	return keys
}

// unknownKeys warns of options that the plugin does not know. It reads them in whatever case.
func (r *configReader) unknownKeys(v value, prefix string, known []string) {
	for _, m := range v.members {
		if slices.ContainsFunc(known, func(key string) bool { return strings.EqualFold(key, m.key) }) {
			continue
		}
		hint := ""
		if meant := nearest(m.key, known); meant != "" {
			hint = fmt.Sprintf(": did you mean %s?", meant)
		}
		r.warn(m.value, "%s%s means nothing to the bridge plugin%s", prefix, m.key, hint)
	}
}

// nearest is the option that is likely meant by a key, empty if there is none.
func nearest(key string, known []string) string {
	plain := strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(key))
	meant := map[string]string{
		"vlanid": "vlan", "vid": "vlan", "tag": "vlan", "vlantag": "vlan", "trunk": "vlanTrunk", "trunks": "vlanTrunk",
		"bridgename": "bridge", "br": "bridge", "master": "bridge", "promisc": "promiscMode", "hairpin": "hairpinMode",
		"macspoof": "macspoofchk", "macspoofcheck": "macspoofchk", "gateway": "isGateway", "isolation": "portIsolation",
	}
	if option, ok := meant[plain]; ok {
		return option
	}
	best, closest := "", 3 // a letter or two apart
	for _, option := range known {
		if d := distance(plain, strings.ToLower(option)); d < closest && d < len(option)/2 {
			best, closest = option, d
		}
	}
	return best
}

// distance is how many letters must be added, removed or replaced to make b of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		above := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := above
			if a[i] != b[j] {
				replaced++
			}
			above = row[j+1]
			row[j+1] = min(replaced, above+1, row[j]+1)
		}
	}
	return row[len(b)]
}

// mode warns of a mode that the plugin does not have.
func (r *configReader) mode(v value, prefix, plugin string, modes []string) {
	m := v.folded("mode")
	if m == nil || m.kind != text || m.text == "" || slices.Contains(modes, m.text) {
		return
	}
	other := ""
	if plugin == "macvlan" && slices.Contains([]string{"l2", "l3", "l3s"}, m.text) {
		other = ", which is one of ipvlan"
	}
	r.warn(*m, "%smode is %q%s: %s takes %s", prefix, m.text, other, plugin, strings.Join(modes, ", "))
}

// address refuses an address that no interface can have, where a plugin gives it to every pod.
func (r *configReader) address(v value, prefix string) {
	m := v.folded("mac")
	if m == nil || m.kind != text || m.text == "" {
		return
	}
	address, err := net.ParseMAC(m.text)
	switch {
	case err != nil:
		r.wrong(*m, "%smac is %q: want an address such as 02:00:00:00:00:01", prefix, m.text)
	case address[0]&1 != 0:
		r.wrong(*m, "%smac is %q, a multicast address, which no interface can have", prefix, m.text)
	}
}
