// SPDX-License-Identifier: Apache-2.0

package nad

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// addressing warns of the name of a plugin for addresses that is another's but for case, signs or a letter, and of
// options that are likely meant to be one that it has.
func (r *configReader) addressing(ipam value, prefix, plugin string) {
	known := []string{"host-local", "dhcp", "static", "whereabouts"}
	if meant := closest(plain(plugin), known); meant != "" && meant != plugin {
		r.warn(*ipam.folded("type"), "%sipam.type is %q, which is not a plugin that we know: did you mean %s?",
			prefix, plugin, meant)
	}
	if t := typeOfIPAM(plugin); t != nil {
		own, _ := t.FieldByName("IPAM")
		r.misnamed(ipam, prefix+"ipam", plugin, own.Type)
	}
}

// misnamed warns of keys that a plugin for addresses does not read, in an object that a struct is read of and in those
// in it, where one that it reads is likely meant. name is what messages call the object.
func (r *configReader) misnamed(v value, name, plugin string, t reflect.Type) {
	for slices.Contains([]reflect.Kind{reflect.Slice, reflect.Pointer}, t.Kind()) {
		t = t.Elem()
	}
	for i, e := range v.elements {
		r.misnamed(e, fmt.Sprintf("%s[%d]", name, i), plugin, t)
	}
	if t.Kind() != reflect.Struct {
		return
	}
	inside := map[string]reflect.Type{"type": reflect.TypeFor[string]()}
	for _, f := range reflect.VisibleFields(t) {
		inside[f.Tag.Get("json")] = f.Type
	}
	delete(inside, "") // of a struct in it, whose fields are there
	options := slices.Sorted(maps.Keys(inside))
	for _, m := range v.members {
		i := slices.IndexFunc(options, func(key string) bool { return strings.EqualFold(key, m.key) })
		if i >= 0 {
			r.misnamed(m.value, name+"."+m.key, plugin, inside[options[i]])
		} else if meant := cmp.Or(synonym(m.key, options), closest(plain(m.key), options)); meant != "" {
			r.warn(m.value, "%s.%s means nothing to the %s plugin: did you mean %s?", name, m.key, plugin, meant)
		}
	}
}

// synonym returns the option that another plugin, or another program, calls by a key; empty if there is none.
func synonym(key string, options []string) string {
	for _, words := range [][]string{
		{"subnet", "range", "network", "cidr"},
		{"rangeStart", "start"},
		{"rangeEnd", "end"},
		{"dst", "destination", "dest", "to"},
		{"gw", "gateway", "via", "nexthop"},
		{"address", "ip", "ipaddress", "cidr"},
	} {
		same := func(word string) bool { return strings.EqualFold(word, plain(key)) }
		i := slices.IndexFunc(options, func(option string) bool { return slices.Contains(words, option) })
		if i >= 0 && slices.ContainsFunc(words, same) {
			return options[i]
		}
	}
	return ""
}

// incomplete refuses routes without a destination, and addresses of static without an address. Such a route is handed
// on as one to "<nil>", which the plugin that makes the interface cannot read. An address is replaced by one that the
// pod asks for, if the network lets it.
func (r *configReader) incomplete(v value, prefix, plugin string) {
	lack := func(list, option, example string, tell func(at value, format string, args ...any)) {
		written := v.folded("ipam").folded(list)
		if written == nil {
			return
		}
		for i, e := range written.elements {
			given := e.folded(option)
			if (e.kind == object || e.kind == null) && (given == nil || given.kind == null) { // decodable tells others
				tell(e, "%sipam.%s[%d].%s is missing: %s", prefix, list, i, option, example)
			}
		}
	}
	lack("routes", "dst", `it is the network that the route is for, such as "0.0.0.0/0" for all others`, r.wrong)
	tell := r.wrong
	if c := v.folded("capabilities"); c != nil && c.folded("ips") != nil {
		tell = r.warn
	}
	if plugin == "static" {
		lack("addresses", "address", `it is the address with the length of its prefix, such as "10.0.0.1/24"`, tell)
	}
}
