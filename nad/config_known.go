// SPDX-License-Identifier: Apache-2.0

package nad

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// nearlyKnown warns of the name of a plugin that is another's but for case, signs or a letter: no node has it.
func (r *configReader) nearlyKnown(kind value, prefix string) {
	known := []string{
		"bridge", "cnv-bridge", "macvlan", "ipvlan", "vlan", "ovs", "sriov", "host-device", "tuning", "cnv-tuning", "tap",
	}
	if len(r.warnings) == maxTold || slices.Contains(known, kind.text) || kind.text == "macvtap" {
		return
	}
	word := plain(strings.TrimSpace(kind.text))
	meant := map[string]string{
		"linuxbridge": "bridge", "openvswitch": "ovs", "ovscni": "ovs", "ovsbridge": "ovs", "sriovcni": "sriov",
	}[word]
	for _, name := range known {
		if plain(name) == word {
			meant = name
		}
	}
	if meant == "" {
		meant = closest(word, []string{"bridge", "macvlan", "ipvlan", "host-device", "tuning"})
	}
	if meant != "" {
		r.warn(kind, "%stype is %q, which is not a plugin that we know: did you mean %s?", prefix, kind.text, meant)
	}
}

// ofAddresses reports whether a member is one of ipam, where plugins for addresses look for it.
func ofAddresses(m member) bool {
	switch plain(m.key) {
	case "subnet", "range", "ranges", "rangestart", "rangeend", "routes", "addresses":
		return true
	case "gateway":
		return m.value.kind == text
	}
	return false
}

// misplaced warns of options of a plugin that stand in its ipam.
func (r *configReader) misplaced(v value, prefix, plugin string) {
	ipam := v.folded("ipam")
	if ipam == nil {
		return
	}
	own, _ := options(plugin)
	own = slices.DeleteFunc(own, func(key string) bool { // plugins for addresses have these, too
		return slices.Contains([]string{"configuration_path", "logFile", "logLevel"}, key)
	})
	for _, m := range ipam.members {
		if strings.EqualFold(m.key, "ipam") {
			r.warn(m.value, "%sipam.%s is a level too many: write what is in it into ipam", prefix, m.key)
			continue
		}
		if slices.ContainsFunc(own, func(key string) bool { return strings.EqualFold(key, m.key) }) {
			r.warn(m.value, "%sipam.%s means nothing: it is an option of the %s plugin: write it beside ipam", prefix, m.key, plugin)
		}
	}
}

// odd warns of keys that an object, or one in it, has more than once, and of keys and strings with characters that do
// not show or with quotes around them. spell says which keys of the object are the same: plugins read theirs in
// whatever case. prefix begins the names of keys.
func (r *configReader) odd(v value, prefix string, spell func(key string) string) {
	for _, m := range v.replaced(spell) {
		r.warn(m.value, "%s%s is written again further on, which is what counts: remove one", prefix, m.key)
	}
	for _, m := range v.members {
		if wrong := strange(m.key); wrong != "" {
			r.warn(m.value, "the name %q %s", m.key, wrong)
		}
		r.odd(m.value, m.key+".", exactly)
	}
	for _, e := range v.elements {
		r.odd(e, prefix, exactly)
	}
	if wrong := strange(v.text); v.kind == text && wrong != "" {
		r.warn(v, "%q %s", v.text, wrong)
	}
}

// exactly spells a key as it is.
func exactly(key string) string { return key }

// mistyped warns of options that another plugin than the bridge plugin cannot read, or has no use for. It is no
// refusal: others than we have a say in what their plugins take.
func (r *configReader) mistyped(v value, prefix, plugin string) {
	own, _ := options(plugin)
	if plugin == "bridge" || plugin == "cnv-bridge" || len(own) == 0 {
		return
	}
	for _, m := range v.members {
		i := slices.IndexFunc(own, func(key string) bool { return strings.EqualFold(key, m.key) })
		if i < 0 || m.value.kind == null {
			continue
		}
		want := kindOf(own[i])
		if said := m.value.instead(want); want != "" && said != "" {
			r.warn(m.value, "%s%s: %s", prefix, m.key, said)
			continue
		}
		r.unfit(m, prefix, own[i])
	}
}

// instead says what is wanted in place of a value of another kind; empty if it is of that kind.
func (v *value) instead(want kind) string {
	switch {
	case v.kind == want:
		return ""
	case v.kind == text && unquoted(v.text) == inWords(want):
		return fmt.Sprintf("want %s, not a string: remove the quotes", inWords(want))
	}
	return fmt.Sprintf("want %s, not %s %s", inWords(want), article(v.kind), v.kind)
}

// typed refuses a value that is there and of another kind than it is read as, and returns it if it is of that kind.
func (r *configReader) typed(v *value, name string, want kind) *value {
	if v == nil || v.kind == null { // which says nothing
		return nil
	}
	if said := v.instead(want); said != "" {
		r.wrong(*v, "%s: %s", name, said)
		return nil
	}
	return v
}

// common refuses what is read of every plugin, by libcni, where it is of another kind than that reads. It reports
// whether all of it is fine.
func (r *configReader) common(v value, prefix string) bool {
	before := len(r.problems)
	if ipam := r.typed(v.folded("ipam"), prefix+"ipam", object); ipam != nil {
		r.typed(ipam.folded("type"), prefix+"ipam.type", text)
	}
	if capabilities := r.typed(v.folded("capabilities"), prefix+"capabilities", object); capabilities != nil {
		for _, m := range capabilities.members {
			r.typed(&m.value, prefix+"capabilities."+m.key, boolean)
		}
	}
	if dns := r.typed(v.folded("dns"), prefix+"dns", object); dns != nil {
		r.typed(dns.folded("domain"), prefix+"dns.domain", text)
		for _, name := range []string{"nameservers", "search", "options"} {
			for _, e := range listed(r.typed(dns.folded(name), prefix+"dns."+name, list)) {
				r.typed(&e, prefix+"dns."+name, text)
			}
		}
	}
	return len(r.problems) == before
}

// kindOf returns what plugins other than the bridge plugin read an option as; empty if it is not known.
func kindOf(option string) kind {
	switch option {
	case "mtu", "vlan", "vlanId", "vlanQoS", "bcqueuelen", "min_tx_rate", "max_tx_rate", "owner", "group", "txQLen":
		return number
	case "linkInContainer", "multiQueue", "promisc", "allmulti", "useInterfaceNetwork":
		return boolean
	case "master", "mode", "mac", "bridge", "device", "hwaddr", "kernelpath", "pciBusID", "deviceID", "vlanProto",
		"spoofchk", "trust", "link_state":
		return text
	case "trunk":
		return list
	case "sysctl":
		return object
	}
	return ""
}

func inWords(k kind) string {
	switch k {
	case number:
		return "a whole number"
	case boolean:
		return "true or false"
	}
	return article(k) + " " + string(k)
}

// unfit warns of an option of the right kind with a value that cannot be.
func (r *configReader) unfit(m member, prefix, option string) {
	switch option {
	case "vlan", "vlanId":
		if vid, err := strconv.Atoi(m.value.text); err != nil || vid < 0 || vid > maxVID {
			r.warn(m.value, "%s%s is %s: want 0 to %d", prefix, m.key, m.value.text, maxVID)
		}
	case "master", "device", "bridge":
		longest := maxInterfaceName
		if option != "bridge" { // which is made if there is none; others are looked for by their other names, too
			longest = maxAlternativeName
		}
		if wrong := checkLink(m.value.text, longest); wrong != "" {
			r.warn(m.value, "%s%s is %q: it %s", prefix, m.key, m.value.text, wrong)
		}
	case "sysctl":
		for _, setting := range m.value.members {
			if setting.value.kind != text {
				r.warn(setting.value, "%ssysctl: %s is to be a string: write it in double quotes", prefix, setting.key)
			}
		}
	}
}
