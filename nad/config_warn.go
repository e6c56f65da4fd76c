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
	for _, twice := range root.replaced(exactly) {
		r.warn(twice.own.value, "%s is written %s, which is what counts: remove one", twice.by.key, twice.where())
	}
	for _, m := range root.members {
		meant := closest(strings.ToLower(m.key), known)
		switch wrong := strange(m.key); {
		case slices.Contains(known, m.key):
		case wrong != "":
			r.warn(m.value, "the name %q %s", m.key, wrong)
		case meant != "":
			r.warn(m.value, "%s means nothing beside plugins: write %s", m.key, meant)
		default:
			r.warn(m.value, "%s means nothing beside plugins: write it into the plugin that it is for", m.key)
		}
	}
}

// commonKeys returns the options that people write for every plugin.
func commonKeys() []string {
	return []string{"cniVersion", "name", "type", "args", "capabilities", "dns", "ipam", "runtimeConfig"}
}

// silentKeys returns options that others write, or that a list of plugins has: nobody means one by another word.
func silentKeys() []string {
	return []string{
		"cniVersions", "prevResult", "disableCheck", "disableGC", "loadOnlyInlinedPlugins", "cni.dev/valid-attachments",
		"cni.dev/attachments",
	}
}

// options returns those of a plugin beside what every plugin has; none if it is not known. all says whether they are
// all that it has: of plugins that change often only what is nearly one of them is told.
func options(plugin string) (known []string, all bool) {
	t := typeOf(plugin)
	if t == nil {
		return nil, false
	}
	for _, f := range reflect.VisibleFields(t) {
		if name := f.Tag.Get("json"); name != "" && !slices.Contains(commonKeys(), name) {
			known = append(known, name)
		}
	}
	return known, slices.Contains([]string{
		"bridge", "cnv-bridge", "macvlan", "ipvlan", "vlan", "tap", "host-device", "ptp", "sbr", "vrf",
	}, plugin)
}

// unknownKeys warns of options that the plugin does not know. It reads them in whatever case.
func (r *configReader) unknownKeys(v value, prefix, plugin string) {
	own, all := options(plugin)
	if len(own) == 0 {
		return
	}
	known := append(own, commonKeys()...)
	for _, m := range v.members {
		if len(r.warnings) == maxTold {
			return
		}
		same := func(key string) bool { return strings.EqualFold(key, m.key) }
		if slices.ContainsFunc(known, same) || slices.ContainsFunc(silentKeys(), same) || strange(m.key) != "" {
			continue
		}
		hint := ""
		meant := nearest(m.key, known)
		switch {
		case ofAddresses(m) && !isTuning(plugin) && plugin != overlay:
			hint = ": write it into ipam"
		case meant != "":
			hint = fmt.Sprintf(": did you mean %s?", meant)
		case !all:
			continue
		case meanings()[plain(m.key)] == "vlan":
			hint = ": frames leave untagged; attach to an interface that is in the VLAN"
		}
		r.warn(m.value, "%s%s means nothing to the %s plugin%s", prefix, m.key, plugin, hint)
	}
}

func plain(key string) string {
	return strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(key, "-", ""), "_", ""))
}

// meanings returns words that people write, in small letters, for options that plugins call otherwise. A word with no
// meaning is none for an option, though it looks like one.
func meanings() map[string]string {
	return map[string]string{
		"vlan": "vlan", "vlanid": "vlan", "vid": "vlan", "tag": "vlan", "vlantag": "vlan",
		"trunk": "vlanTrunk", "trunks": "vlanTrunk", "vlantrunk": "vlanTrunk", "vlans": "vlanTrunk",
		"bridgename": "bridge", "br": "bridge", "hairpin": "hairpinMode",
		"macspoof": "macspoofchk", "macspoofcheck": "macspoofchk", "gateway": "isGateway", "isolation": "portIsolation",
		"parent": "master", "device": "master", "dev": "master", "interface": "master", "iface": "master", "nic": "master",
		"macaddress": "mac", "macaddr": "mac", "hwaddr": "mac", "pciaddress": "pciBusID", "pciaddr": "pciBusID",
		"txqueuelen": "txQLen", "vrf": "vrfname", "masquerade": "ipMasq", "masq": "ipMasq", "enabled": "", "node": "",
	}
}

// nearest returns the option that is likely meant by a key, empty if there is none.
func nearest(key string, known []string) string {
	word := plain(key)
	meant, said := meanings()[word]
	has := func(option string) bool { return slices.Contains(known, option) }
	switch {
	case word == "master" && has("bridge"):
		return "bridge"
	case word == "bridge" && has("master"):
		return "master"
	case strings.HasPrefix(word, "promisc") && has("promisc"):
		return "promisc"
	case strings.HasPrefix(word, "promisc") && has("promiscMode"):
		return "promiscMode"
	case (word == "master" || meant == "master") && has("device"):
		return "device"
	case has(meant):
		return meant
	case meant == "vlan" && has("vlanId"):
		return "vlanId"
	case meant == "vlan" && has("vlanID"):
		return "vlanID"
	case meant == "vlanTrunk" && has("trunk"):
		return "trunk"
	case meant == "vlanTrunk" && has("vlan_trunk"):
		return "vlan_trunk"
	case said:
		return ""
	}
	return closest(word, known)
}

// closest returns the option that differs from a word by a letter or two; empty if there is none.
func closest(word string, known []string) string {
	best, least := "", 3
	for _, option := range known {
		if len(word) >= len(option)+least || len(option) >= len(word)+least {
			continue // by so many letters at least they differ
		}
		if d := distance(word, strings.ToLower(option)); d < least && d < len(option)/2 {
			best, least = option, d
		}
	}
	return best
}

// distance returns how many letters must be added, removed or replaced to make b of a (Levenshtein).
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

// word warns of a value of an option that is none of the words that the plugin has for it.
func (r *configReader) word(v value, prefix, option, plugin string, words []string) {
	m := v.folded(option)
	if m == nil || m.kind != text || m.text == "" || slices.Contains(words, m.text) {
		return
	}
	other := ""
	if option == "mode" && slices.Contains([]string{"l2", "l3", "l3s"}, m.text) {
		other = ", which is one of ipvlan"
	}
	r.warn(*m, "%s%s is %q%s: %s takes %s", prefix, option, m.text, other, plugin, strings.Join(words, ", "))
}

// addresses refuses addresses that no interface can have, where a configuration gives them to every pod, and warns of
// others: the second pod has the address of the first.
func (r *configReader) addresses(v value, prefix, plugin string) {
	own, _ := options(plugin)
	takes, bridges := slices.Contains(own, "mac"), slices.Contains(own, "macspoofchk")
	if takes {
		r.address(v.folded("mac"), prefix+"mac")
	}
	if args := v.folded("args"); args != nil && (bridges || isTuning(plugin)) {
		if cni := args.folded("cni"); cni != nil {
			r.address(cni.folded("mac"), prefix+"args.cni.mac")
		}
	}
	if runtime := v.folded("runtimeConfig"); runtime != nil && (bridges || takes) {
		r.address(runtime.folded("mac"), prefix+"runtimeConfig.mac")
	}
}

// address judges one of addresses. Without one there is nothing to say.
func (r *configReader) address(m *value, name string) {
	if m == nil || m.kind != text || m.text == "" {
		return
	}
	address, err := net.ParseMAC(m.text)
	switch {
	case err != nil || len(address) != 6:
		r.wrong(*m, "%s is %q: want an address such as 02:00:00:00:00:01", name, m.text)
	case address[0]&1 != 0:
		r.wrong(*m, "%s is %q, a multicast address, which no interface can have", name, m.text)
	case !slices.ContainsFunc(address, func(octet byte) bool { return octet != 0 }):
		r.wrong(*m, "%s is %q, which no interface can have: leave it out", name, m.text)
	default:
		r.warn(*m, "%s is %s, which every pod would have: leave it out", name, m.text)
	}
}
