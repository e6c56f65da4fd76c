// SPDX-License-Identifier: Apache-2.0

package nad

import (
	"bytes"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strings"
)

// addressing warns of the name of a plugin for addresses that is another's but for case, signs or a letter, and of
// options that are nearly one that it has.
func (r *configReader) addressing(ipam value, prefix, plugin string) {
	known := []string{"host-local", "dhcp", "static", "whereabouts"}
	if meant := closest(plain(plugin), known); meant != "" && meant != plugin {
		r.warn(*ipam.folded("type"), "%sipam.type is %q, which is not a plugin that we know: did you mean %s?",
			prefix, plugin, meant)
	}
	t := typeOfIPAM(plugin)
	if t == nil {
		return
	}
	own, _ := t.FieldByName("IPAM")
	options := []string{"type"}
	for _, f := range reflect.VisibleFields(own.Type) {
		options = append(options, f.Tag.Get("json"))
	}
	for _, m := range ipam.members {
		meant := closest(plain(m.key), options)
		if plugin == "host-local" && strings.EqualFold(m.key, "range") { // which is whereabouts' word
			meant = "subnet"
		}
		if meant != "" && !slices.ContainsFunc(options, func(key string) bool { return strings.EqualFold(key, m.key) }) {
			r.warn(m.value, "%sipam.%s means nothing to the %s plugin: did you mean %s?", prefix, m.key, plugin, meant)
		}
	}
}

// ranges refuses those of host-local that it gives no addresses of. What of them cannot be read is told by decodable.
func (r *configReader) ranges(ipam *value, prefix string) {
	if ipam.folded("subnet") != nil { // it counts no further where there is none
		r.addressRange(*ipam, prefix+"ipam.")
	}
	sets := ipam.folded("ranges")
	if sets == nil {
		return
	}
	for i, set := range sets.elements {
		for j, one := range set.elements {
			name := fmt.Sprintf("%sipam.ranges[%d][%d].", prefix, i, j)
			if one.kind == object && one.folded("subnet") == nil {
				r.wrong(one, "%ssubnet is missing: it is the network with its prefix length, such as 10.0.0.0/24", name)
			}
			r.addressRange(one, name)
		}
	}
}

// addressRange judges one range. prefix begins the names of its members.
func (r *configReader) addressRange(v value, prefix string) {
	subnet := v.folded("subnet")
	if subnet == nil {
		return
	}
	address, network, err := net.ParseCIDR(subnet.text)
	if err != nil {
		return
	}
	if !address.Equal(network.IP) {
		r.wrong(*subnet, "%ssubnet is %q, an address in the network: write %q", prefix, subnet.text, network)
	}
	if ones, bits := network.Mask.Size(); ones > bits-2 {
		r.wrong(*subnet, "%ssubnet is %q, which has no addresses for pods: want a prefix length of %d or less",
			prefix, subnet.text, bits-2)
	}
	inside := func(name string, tell func(at value, format string, args ...any)) net.IP {
		end := v.folded(name)
		if end == nil {
			return nil
		}
		ip := net.ParseIP(end.text)
		if ip != nil && !network.Contains(ip) {
			tell(*end, "%s%s is %q, which is not in the subnet %s", prefix, name, end.text, network)
		}
		return ip
	}
	first, last := inside("rangeStart", r.wrong), inside("rangeEnd", r.wrong)
	if first != nil && last != nil && bytes.Compare(first, last) > 0 {
		r.wrong(*v.folded("rangeEnd"), "%srangeEnd is %q, which is before rangeStart, %q", prefix, last, first)
	}
	inside("gateway", r.warn) // some releases of the plugin take one of another network
}
