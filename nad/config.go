// SPDX-License-Identifier: Apache-2.0

package nad

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/version"
)

const (
	maxVID = 4094
	// maxPriority is the highest of a frame in a VLAN (IEEE 802.1Q).
	maxPriority = 7
	// maxMTU is what Linux lets a bridge have; 68 is the least that IPv4 works with.
	minMTU, maxMTU = 68, 65535
)

// A Config is a CNI configuration: one plugin, or a list of them.
type Config struct {
	Plugins []Plugin
	// Warnings are about what is written and means nothing, each with its place.
	Warnings []string
}

// A Plugin is one CNI plugin of a network.
type Plugin struct {
	Type string
	// IPAM is the type of its plugin for IP addresses; empty for none.
	IPAM string
	// Deviceless is true where it attaches a device of the node and is told none: Multus tells it one of those that the
	// pod was given for the resource of the network.
	Deviceless bool
	// OwnName is true where the configuration has to name the NAD that it is in, and NAD is what it names, in the form
	// <namespace>/<name>: OVN-Kubernetes attaches no pod else.
	OwnName bool
	NAD     string
	// Bridge is what the plugin attaches to; nil if it is not the bridge plugin, or its options cannot be read.
	Bridge *Bridge
}

// A Bridge is the part of the bridge plugin's options that the network outside the pod depends on.
type Bridge struct {
	// Name is empty where the plugin takes its own, cni0.
	Name string
	// VLAN is the VLAN of untagged frames; zero for none. Trunk are those of tagged frames.
	VLAN  int
	Trunk []VLANRange
	// Gateway is true where the plugin gives the bridge an address: it then is the plugin's to make.
	Gateway bool
}

// A VLANRange is a range of VLANs, its ends included.
type VLANRange struct{ First, Last int }

// provided reports whether nodes are to have the bridge before pods come: not the ones that the plugin makes for
// itself, nor those of container engines and libvirt or without a name for a resource, which no node advertises.
func (b Bridge) provided() bool {
	return b.Name != "" && !b.Gateway && Requestable(b.Name) && !slices.Contains([]string{"cni0", "docker0"}, b.Name) &&
		!strings.HasPrefix(b.Name, "virbr")
}

// Bridges returns the bridges of the plugins, in order.
func (c Config) Bridges() []Bridge {
	var bridges []Bridge
	for _, p := range c.Plugins {
		if p.Bridge != nil {
			bridges = append(bridges, *p.Bridge)
		}
	}
	return bridges
}

// ParseConfig reads the configuration of a NAD. An empty one is fine: then a file on the node has it. Problems are
// those for which no pod could be attached; what a plugin does not know is left to the plugin. With problems the Config
// has what could be read.
func ParseConfig(source string) (Config, field.ErrorList) {
	path := field.NewPath("spec", "config")
	if source == "" {
		return Config{}, nil
	}
	root, wrong := parse(source)
	if wrong != nil {
		return Config{}, field.ErrorList{field.Invalid(path, field.OmitValueType{}, wrong.Error())}
	}
	r := &configReader{source: source, path: path}
	config := r.config(*root)
	config.Warnings = r.warnings
	return config, r.problems
}

// A configReader collects what is wrong with a configuration.
type configReader struct {
	source   string
	path     *field.Path
	version  string // of the specification; empty where none is written, or there are several
	dated    bool   // the version is one of before results without IP addresses, as it is where none is written
	problems field.ErrorList
	warnings []string
}

// maxTold bounds how many problems and how many warnings are told of one text, since each looks for its line.
const maxTold = 32

// warn notes what means nothing at a value.
func (r *configReader) warn(v value, format string, args ...any) {
	if len(r.warnings) == maxTold {
		return
	}
	r.warnings = append(r.warnings, placeOf(r.source, v.start).String()+": "+fmt.Sprintf(format, args...))
}

// wrong notes a problem at a value, once.
func (r *configReader) wrong(v value, format string, args ...any) {
	if len(r.problems) == maxTold {
		return
	}
	said := placeOf(r.source, v.start).String() + ": " + fmt.Sprintf(format, args...)
	if !slices.ContainsFunc(r.problems, func(problem *field.Error) bool { return problem.Detail == said }) {
		r.problems = append(r.problems, field.Invalid(r.path, field.OmitValueType{}, said))
	}
}

func (r *configReader) config(root value) Config {
	if root.kind != object {
		r.wrong(root, "want an object, {\"cniVersion\": ..., \"type\": ...}, not %s %s", article(root.kind), root.kind)
		return Config{}
	}
	// As Multus decides it: one plugin if there is a type, in whatever case, else a list.
	kind := root.folded("type")
	one := kind != nil && kind.kind != null && (kind.kind != text || kind.text != "")
	r.identity(root, !one)
	if one {
		return Config{Plugins: r.plugin(root, "")}
	}
	plugins := root.exactly("plugins")
	if plugins == nil {
		r.neither(root)
		return Config{}
	}
	if plugins.kind != list {
		r.wrong(*plugins, "plugins: want a list, [{\"type\": ...}], not %s %s", article(plugins.kind), plugins.kind)
		return Config{}
	}
	if len(plugins.elements) == 0 {
		r.wrong(*plugins, "plugins is empty: want a list of at least one plugin, [{\"type\": ...}]")
		return Config{}
	}
	r.ofList(root)
	r.beside(root)
	var config Config
	for i, element := range plugins.elements {
		config.Plugins = append(config.Plugins, r.plugin(element, fmt.Sprintf("plugins[%d].", i))...)
	}
	return config
}

// ofList judges what libcni and Multus read of a list beside its plugins. They fail where it is null, too.
func (r *configReader) ofList(root value) {
	r.members(root, "", reflect.TypeFor[commonOptions]()) // Multus reads it as one plugin before it sees that it is a list
	for _, name := range []string{"disableCheck", "disableGC", "loadOnlyInlinedPlugins"} {
		v := root.exactly(name)
		if v == nil || v.kind == boolean ||
			// This one only libcni reads, and it takes the words in quotes.
			name == "loadOnlyInlinedPlugins" && slices.Contains([]string{"true", "false"}, strings.ToLower(v.text)) {
			continue
		}
		r.wrong(*v, "%s: %s", name, v.instead(boolean))
	}
	if v := root.exactly("cniVersion"); v != nil && v.kind == null {
		r.wrong(*v, "cniVersion: want a string, not a null: leave it out")
	}
	versions := root.exactly("cniVersions")
	if versions == nil {
		return
	}
	if versions.kind != list {
		r.wrong(*versions, "cniVersions: want a list, [\"0.4.0\", \"1.0.0\"], not %s %s",
			article(versions.kind), versions.kind)
	}
	for i, v := range versions.elements {
		if v.kind != text || !anyVersion().MatchString(v.text) {
			r.wrong(v, "cniVersions[%d]: want a string such as \"1.0.0\"", i)
		}
	}
}

// neither says that there is no plugin, or which key was meant to be one.
func (r *configReader) neither(root value) {
	for _, m := range root.members {
		switch name := closest(strings.ToLower(m.key), []string{"type", "plugins"}); {
		case name != "" && name != m.key:
			r.wrong(m.value, "%q is to be written %q", m.key, name)
			return
		case strange(m.key) != "":
			r.wrong(m.value, "the name %q %s", m.key, strange(m.key))
			return
		case slices.Contains([]string{"config", "spec"}, m.key):
			r.wrong(m.value, "%s is a level too many: write what is in it here", m.key)
			return
		}
	}
	r.wrong(root, "neither type (for one plugin) nor plugins (for a list of them) is set")
}

// identity judges the version and the name, where they are strings: what else they are is told by members. A list may
// have several versions.
func (r *configReader) identity(root value, list bool) {
	r.dated = !list || root.exactly("cniVersions") == nil
	if v := root.exactly("cniVersion"); v != nil && v.kind == text {
		var others *value
		if list {
			others = root.exactly("cniVersions")
		}
		r.judgeVersion(*v, others)
		if others == nil {
			r.version = v.text
			r.dated = slices.Contains([]string{"", "0.1.0", "0.2.0"}, v.text)
		}
	}
	v := root.exactly("name")
	switch {
	case v == nil || v.kind == text && v.text == "": // Multus takes the name of the NAD
	case v.kind == null:
		r.wrong(*v, "name: want a string, not a null: leave it out")
	case v.kind == text && !networkName().MatchString(v.text):
		r.wrong(*v, "name is %q: want letters, digits, dots, dashes and underscores, with a letter or digit first", v.text)
	}
}

// anyVersion returns how versions are written, also such as libcni does not know yet.
func anyVersion() *regexp.Regexp { return regexp.MustCompile(`^\d+(\.\d+){0,2}$`) }

// networkName returns what libcni takes for the name of a network.
func networkName() *regexp.Regexp { return regexp.MustCompile(`^[a-zA-Z0-9][\w.\-]*$`) }

// versions returns those of the CNI specification, in order.
func versions() []string {
	return []string{"0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}
}

// judgeVersion judges the version of the CNI specification. Without one, plugins assume the oldest. Of several, libcni
// takes the highest that it knows.
func (r *configReader) judgeVersion(v value, others *value) {
	known := versions()
	if v.text == "" || slices.Contains(known, v.text) {
		return
	}
	written, err := version.ParseGeneric(v.text + ".0") // libcni takes a number alone, too
	newer := err == nil && anyVersion().MatchString(v.text) &&
		written.GreaterThan(version.MustParseGeneric(known[len(known)-1]))
	if newer && others != nil && slices.ContainsFunc(others.elements, func(other value) bool {
		return slices.Contains(known, other.text)
	}) {
		r.warn(v, "cniVersion is %q, which no plugin knows yet: it counts for nothing beside cniVersions, "+
			"and no pod can be attached where Multus does not know those", v.text)
		return
	}
	r.wrong(v, "cniVersion is %q, which is not a version of CNI: want one of %s", v.text, strings.Join(known, ", "))
}

// plugin reads one plugin. prefix begins the names of its keys in messages.
func (r *configReader) plugin(v value, prefix string) []Plugin {
	if v.kind != object {
		r.wrong(v, "%s: want an object, {\"type\": ...}, not %s %s", strings.TrimSuffix(prefix, "."), article(v.kind), v.kind)
		return nil
	}
	p := v.passed()
	kind := r.kind(v, p, prefix)
	if kind == nil {
		return nil
	}
	r.nearlyKnown(*kind, prefix)
	plugin := Plugin{Type: kind.text, Deviceless: isFirst(prefix) && deviceless(p, kind.text)}
	delegated := ipamOf(p, kind.text)
	if ipam := p.folded("ipam"); ipam != nil && ipam.folded("type") != nil {
		plugin.IPAM = ipam.folded("type").text
		r.addressing(*ipam, prefix, plugin.IPAM)
	}
	fits := r.decodable(v, p, prefix, kind.text)
	switch kind.text {
	case "bridge", "cnv-bridge":
		if fits {
			plugin.Bridge = r.bridge(p, prefix)
		}
	case "macvlan":
		r.word(p, prefix, "mode", "macvlan", []string{"bridge", "private", "vepa", "passthru"})
	case "ipvlan":
		r.word(p, prefix, "mode", "ipvlan", []string{"l2", "l3", "l3s"})
	case "ovs":
		r.trunk(p, prefix)
	case "sriov":
		r.function(p, prefix)
	case overlay:
		plugin.OwnName, plugin.NAD = ownName(p)
		r.foreignAddresses(p, prefix, plugin)
	}
	r.unaddressed(v, prefix, plugin)
	r.unchained(p, *kind, prefix, kind.text)
	r.chained(p, *kind, prefix, kind.text)
	r.unknownKeys(v, prefix, kind.text)
	r.misplaced(v, prefix, kind.text)
	r.unfit(p, prefix, kind.text)
	r.lacking(p, prefix, kind.text)
	r.odd(v, prefix, strings.ToLower)
	r.addresses(p, prefix, kind.text)
	if delegated == "host-local" {
		r.ranges(p, prefix, kind.text)
	}
	if delegated == "host-local" || delegated == "static" {
		r.incomplete(p, prefix, delegated)
	}
	return []Plugin{plugin}
}

// kind returns the type of a plugin, from what is written and what is passed on to it; nil if it cannot be one.
func (r *configReader) kind(v, p value, prefix string) *value {
	kind := p.folded("type")
	if prefix == "" { // one plugin is looked for by what is written, those of a list by what is passed on
		kind = v.folded("type")
	}
	switch {
	case kind == nil:
		r.wrong(v, "%stype is missing: it is the name of the plugin", prefix)
		return nil
	case kind.kind != text || kind.text == "":
		r.wrong(*kind, "%stype: want the name of a plugin, such as \"bridge\"", prefix)
		return nil
	case strings.ContainsAny(kind.text, `/\`) || kind.text == "." || kind.text == "..":
		r.wrong(*kind, "%stype is %q: want the name of a plugin, not a path", prefix, kind.text)
		return nil
	}
	return kind
}
