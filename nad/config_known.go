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

// overlay is the plugin of OVN-Kubernetes.
const overlay = "ovn-k8s-cni-overlay"

// ownName returns which NAD a configuration of OVN-Kubernetes says that it is in, and whether that counts: it does for
// networks beside that of the cluster.
func ownName(v value) (counts bool, nad string) {
	written := func(option string) string {
		if m := v.folded(option); m != nil && m.kind == text {
			return m.text
		}
		return ""
	}
	return written("topology") != "" && written("name") != "default", written("netAttachDefName")
}

// foreignAddresses warns of a plugin for addresses, which OVN-Kubernetes refuses.
func (r *configReader) foreignAddresses(v value, prefix string, p Plugin) {
	if p.OwnName && p.IPAM != "" {
		r.warn(*v.folded("ipam"), "%sipam: OVN-Kubernetes attaches no pod where it has a type: write \"subnets\" instead",
			prefix)
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
	passed := v // libcni writes the names in their order, capitals first: plugins take the last
	passed.members = slices.SortedStableFunc(slices.Values(v.members), func(a, b member) int {
		return strings.Compare(a.key, b.key)
	})
	for _, twice := range passed.replaced(spell) {
		r.warn(twice.own.value, "%s%s is written %s, which is what counts: remove one", prefix, twice.by.key, twice.where())
	}
	for _, m := range v.members {
		if wrong := strange(m.key); wrong != "" {
			r.warn(m.value, "the name %q %s", m.key, wrong)
		}
		r.odd(m.value, m.key+".", spelling(m.key))
	}
	for _, e := range v.elements {
		r.odd(e, prefix, spell)
	}
	if wrong := strange(v.text); v.kind == text && wrong != "" {
		r.warn(v, "%q %s", v.text, wrong)
	}
}

// spelling says which keys of the objects under a key are the same: in small letters where plugins and libcni have
// options, whose case they pass over, and as they are where that is not known, or they have maps.
func spelling(key string) func(key string) string {
	if slices.Contains([]string{
		"ipam", "ranges", "routes", "addresses", "provide", "request", "dns", "args", "cni", "runtimeconfig", "bandwidth",
		"portmappings", "vlantrunk", "trunk",
	}, strings.ToLower(key)) {
		return strings.ToLower
	}
	return exactly
}

// exactly spells a key as it is.
func exactly(key string) string { return key }

// instead says what is wanted in place of a value of another kind; empty if it is of that kind.
func (v *value) instead(want kind) string {
	switch {
	case v.kind == want:
		return ""
	case v.kind == text && unquoted(v.text) == inWords(want):
		return fmt.Sprintf("want %s, not a string: remove the quotes", inWords(want))
	case want == text && (v.kind == number || v.kind == boolean):
		return fmt.Sprintf("want a string, not a %s: write \"%s\"", v.kind, v.text)
	}
	return fmt.Sprintf("want %s, not %s %s", inWords(want), article(v.kind), v.kind)
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

// unfit judges options of other plugins than the bridge plugin whose values cannot be.
func (r *configReader) unfit(v value, prefix, plugin string) {
	own, _ := options(plugin)
	if plugin == "bridge" || plugin == "cnv-bridge" {
		return
	}
	for _, m := range v.members {
		i := slices.IndexFunc(own, func(key string) bool { return strings.EqualFold(key, m.key) })
		if i < 0 {
			continue
		}
		switch option := own[i]; {
		case option == "vlan" || option == "vlanId":
			r.vlan(m, prefix, plugin, v.folded("trunk"))
		case slices.Contains([]string{"master", "device", "bridge"}, option) && m.value.kind == text:
			longest := maxInterfaceName
			if option != "bridge" { // which is made if there is none; others are looked for by their other names, too
				longest = maxAlternativeName
			}
			if wrong := checkLink(m.value.text, longest); wrong != "" {
				r.warn(m.value, "%s%s is %q: it %s", prefix, m.key, m.value.text, wrong)
			}
		}
	}
}

// vlan judges the VLAN of a plugin. Open vSwitch takes 4095, too, and is not asked for any where there is a trunk.
func (r *configReader) vlan(m member, prefix, plugin string, trunk *value) {
	vid, err := strconv.Atoi(string(passedOn(m.value.text)))
	switch {
	case m.value.kind != number || err != nil || 0 <= vid && vid <= maxVID:
	case plugin == "ovs" && (vid <= maxOVS || trunk != nil && len(trunk.elements) > 0):
		r.warn(m.value, "%s%s is %d: want 0 to %d", prefix, m.key, vid, maxVID)
	default:
		r.wrong(m.value, "%s%s is %d: want 0 to %d", prefix, m.key, vid, maxVID)
	}
}

// unaddressed tells of a plugin that makes no interface without addresses. Of two of them there are releases that do,
// or are about to be. The first versions of the specification have no result without addresses.
func (r *configReader) unaddressed(v value, prefix string, p Plugin) {
	const said = "%sipam.type is missing: %s of the %s plugin fail without addresses: write ipam, as in " +
		`"ipam": {"type": "host-local", "subnet": "10.0.0.0/24"}`
	withoutAny := slices.Contains([]string{"bridge", "cnv-bridge", "macvlan", "host-device", "ovs"}, p.Type)
	switch {
	case p.IPAM != "":
	case withoutAny && r.dated && isFirst(prefix):
		where := ""
		if prefix != "" { // that of a plugin counts for nothing in a list
			where = " beside plugins"
		}
		r.warn(v, `cniVersion: below 0.3.0, or where none is written, the %s plugin fails without ipam: `+
			`write "cniVersion": "0.3.1" or a higher one%s`, p.Type, where)
	case p.Type == "ptp" || p.Type == "dummy":
		r.wrong(v, said, prefix, "all releases", p.Type)
	case p.Type == "vlan" || p.Type == "ipvlan" && isFirst(prefix): // a later one takes those of the plugin before
		r.warn(v, said, prefix, "most releases", p.Type)
	}
}

// deviceless reports whether a plugin attaches a device of the node and is told none.
func deviceless(v value, plugin string) bool {
	options := map[string][]string{
		"sriov": {"deviceID"}, "ib-sriov": {"deviceID"},
		"host-device": {"device", "hwaddr", "kernelpath", "pciBusID"},
	}[plugin]
	return len(options) > 0 && !slices.ContainsFunc(options, func(option string) bool {
		told := v.folded(option)
		return told != nil && told.kind != null && told.text != ""
	})
}

// function refuses what sriov-cni fails with: it reads more of a virtual function than types.
func (r *configReader) function(v value, prefix string) {
	r.word(v, prefix, "link_state", "sriov", []string{"auto", "enable", "disable"})
	r.word(v, prefix, "trust", "sriov", []string{"on", "off"})
	r.word(v, prefix, "spoofchk", "sriov", []string{"on", "off"})
	r.protocol(v, prefix)
	priority, vlan := v.folded("vlanQoS"), v.folded("vlan")
	if priority == nil || priority.kind != number {
		return
	}
	untagged := vlan == nil || vlan.kind == null
	switch n, err := strconv.Atoi(string(passedOn(priority.text))); {
	case err != nil: // decodable has told it
	case n < 0 || n > maxPriority:
		r.wrong(*priority, "%svlanQoS is %d: want 0 to %d", prefix, n, maxPriority)
	case n != 0 && (untagged || vlan.text == "0"):
		r.wrong(*priority, "%svlanQoS is %d: the plugin fails with a priority and no vlan", prefix, n)
	case untagged:
		r.warn(*priority, "%svlanQoS: later releases of the plugin fail with it where there is no vlan: leave it out", prefix)
	}
}

// protocol warns of one that later releases of sriov-cni fail with. Earlier ones do not know it.
func (r *configReader) protocol(v value, prefix string) {
	written, vlan := v.folded("vlanProto"), v.folded("vlan")
	if written == nil || written.kind != text {
		return
	}
	switch untagged := vlan == nil || vlan.kind == null; {
	case untagged:
		r.warn(*written, "%svlanProto: later releases of the plugin fail with it where there is no vlan: leave it out", prefix)
	case !strings.EqualFold(written.text, "802.1Q") && !strings.EqualFold(written.text, "802.1ad"):
		r.warn(*written, "%svlanProto is %q: sriov takes 802.1Q, 802.1ad: later releases of the plugin fail with others",
			prefix, written.text)
	case strings.EqualFold(written.text, "802.1ad") && vlan.text == "0":
		r.warn(*written, "%svlanProto: later releases of the plugin fail with 802.1ad and vlan 0", prefix)
	}
}

// sysctls refuses those that the tuning plugin does not write, which writes none but of the network.
func (r *configReader) sysctls(set *value, name string) {
	if set == nil {
		return
	}
	for _, m := range set.members {
		first, _, _ := strings.Cut(strings.ReplaceAll(strings.TrimLeft(m.key, "./"), "/", "."), ".")
		if first != "net" {
			r.wrong(m.value, "%s: %q is no sysctl of a network, whose names begin with net: the plugin fails with others",
				name, m.key)
		}
	}
}

// lacking refuses a plugin without an option that it fails without.
func (r *configReader) lacking(v value, prefix, plugin string) {
	written := func(of *value, name string) *value {
		if of == nil || of.folded(name) == nil || of.folded(name).kind == null {
			return nil
		}
		return of.folded(name)
	}
	if master := written(&v, "master"); plugin == "vlan" && (master == nil || master.kind == text && master.text == "") {
		r.wrong(v, "%smaster is missing: it is the interface of the node that the VLAN is on, such as \"eth1\"", prefix)
	}
	if named := written(&v, "vrfname"); plugin == "vrf" && (named == nil || named.kind == text && named.text == "") {
		r.wrong(v, "%svrfname is missing: it is the name of the VRF in the pod, such as \"red\"", prefix)
	}
	set := written(written(written(&v, "args"), "cni"), "sysctl")
	if isTuning(plugin) && set != nil && len(set.members) > 0 && written(&v, "sysctl") == nil {
		r.wrong(*set, "%sargs.cni.sysctl: the plugin fails unless there is a sysctl beside args: write what is in it there", prefix)
	}
	if isTuning(plugin) {
		r.sysctls(written(&v, "sysctl"), prefix+"sysctl")
		r.sysctls(set, prefix+"args.cni.sysctl")
	}
}
