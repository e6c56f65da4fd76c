// SPDX-License-Identifier: Apache-2.0

package nad

import (
	"bytes"
	"fmt"
	"net"
)

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
