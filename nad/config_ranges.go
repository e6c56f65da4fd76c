// SPDX-License-Identifier: Apache-2.0

package nad

import (
	"bytes"
	"fmt"
	"net"
	"strings"
)

// ranges refuses those of host-local that it gives no addresses of. What of them cannot be read is told by decodable.
func (r *configReader) ranges(v value, prefix, plugin string) {
	ipam := v.folded("ipam")
	if ipam.folded("subnet") != nil { // it counts no further where there is none
		r.addressRange(*ipam, prefix+"ipam.")
	}
	if typeOf(plugin) != nil { // another may complete what it hands on
		r.someRange(v, prefix)
	}
	sets := ipam.folded("ranges")
	if sets == nil {
		return
	}
	for _, name := range []string{"rangeStart", "rangeEnd", "gateway"} {
		if beside := ipam.folded(name); beside != nil && beside.kind != null && ipam.folded("subnet") == nil {
			r.warn(*beside, "%sipam.%s counts for nothing beside ranges: write it into the range", prefix, name)
		}
	}
	for i, set := range sets.elements {
		if empty(&set) {
			r.wrong(set, "%sipam.ranges[%d] is empty: want [{\"subnet\": \"10.0.0.0/24\"}]", prefix, i)
		}
		for j, one := range set.elements {
			name := fmt.Sprintf("%sipam.ranges[%d][%d].", prefix, i, j)
			if one.kind == object && one.folded("subnet") == nil {
				r.wrong(one, "%ssubnet is missing: it is the network with its prefix length, such as 10.0.0.0/24", name)
			}
			r.addressRange(one, name)
		}
	}
}

// someRange refuses host-local without any range, and names what was meant to be one.
func (r *configReader) someRange(v value, prefix string) {
	given := func(in *value, key string) *value {
		if in == nil {
			return nil
		}
		return in.folded(key)
	}
	ipam := v.folded("ipam")
	one := ipam.folded("subnet")
	if one != nil && one.kind != null || !empty(ipam.folded("ranges")) ||
		!empty(given(v.folded("runtimeConfig"), "ipRanges")) || given(v.folded("capabilities"), "ipRanges") != nil {
		return
	}
	for _, m := range ipam.members {
		if !strings.EqualFold(m.key, "ranges") && (strings.EqualFold(m.key, "range") ||
			closest(plain(m.key), []string{"subnet"}) != "" && m.value.kind == text) {
			r.wrong(m.value, "%sipam.%s means nothing to the host-local plugin: write \"subnet\"", prefix, m.key)
			return
		}
	}
	r.wrong(*ipam, "%sipam.subnet is missing: it is the network that host-local takes addresses from, such as "+
		"\"10.0.0.0/24\"", prefix)
}

// empty reports whether a list has no element, or is not there. What is no list is not empty.
func empty(v *value) bool {
	return v == nil || v.kind == null || v.kind == list && len(v.elements) == 0
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
