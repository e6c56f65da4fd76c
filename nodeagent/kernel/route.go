// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// tableCompat stands in the header for a table whose number does not fit there (include/uapi/linux/rtnetlink.h).
const tableCompat = 252

// readRoutes lists the routes of both families. names are those of the links by index.
func (k *Kernel) readRoutes(names map[int]string) (netstate.Routes, error) {
	routes := netstate.Routes{Running: []netstate.Route{}, Config: []netstate.Route{}}
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		messages, err := k.dump(unix.RTM_GETROUTE, message(unix.RtMsg{Family: family}), nil)
		if isFamilyUnknown(family, err) {
			continue
		}
		if err != nil {
			return routes, fmt.Errorf("list routes: %w", err)
		}
		for _, msg := range messages {
			for _, r := range parseRoute(msg, names) {
				if r.Shown() && scopeOf(msg) <= unix.RT_SCOPE_LINK {
					routes.Running = append(routes.Running, r)
				} else {
					routes.Other = append(routes.Other, r)
				}
			}
		}
	}
	slices.SortStableFunc(routes.Running, compareRoutes)
	slices.SortStableFunc(routes.Other, compareRoutes)
	for _, r := range routes.Running {
		if r.Protocol == unix.RTPROT_BOOT || r.Protocol == unix.RTPROT_STATIC {
			routes.Config = append(routes.Config, r)
		}
	}
	return routes, nil
}

// compareRoutes orders routes by table, destination, metric and next hop, so that two reads agree.
func compareRoutes(a, b netstate.Route) int {
	return cmp.Or(
		cmp.Compare(value(a.TableID), value(b.TableID)), a.Destination.Addr().Compare(b.Destination.Addr()),
		cmp.Compare(a.Destination.Bits(), b.Destination.Bits()), cmp.Compare(value(a.Metric), value(b.Metric)),
		cmp.Compare(a.NextHopInterface, b.NextHopInterface), a.NextHopAddress.Compare(b.NextHopAddress),
	)
}

// parseRoute reads one RTM_NEWROUTE message: nothing for a route that is not shown, several for one with
// several next hops.
func parseRoute(msg []byte, names map[int]string) []netstate.Route {
	about, attrs := header[unix.RtMsg](msg)
	kind, known := routeType(about.Type)
	kernels := about.Protocol <= unix.RTPROT_KERNEL // it makes and removes these by itself
	if !known || kernels || about.Flags&unix.RTM_F_CLONED != 0 {
		return nil
	}
	r := netstate.Route{Protocol: int(about.Protocol), RouteType: kind, TableID: new(int(about.Table)), Metric: new(0),
		TOS: int(about.Tos), OnLink: about.Flags&unix.RTNH_F_ONLINK != 0}
	destination := netip.IPv4Unspecified()
	if about.Family == unix.AF_INET6 {
		destination = netip.IPv6Unspecified()
	}
	var hops []netstate.Route
	for attr, value := range each(attrs) {
		switch attr {
		case unix.RTA_DST:
			destination, _ = netip.AddrFromSlice(value)
		case unix.RTA_TABLE:
			*r.TableID = int(decodeUint(value))
		case unix.RTA_PRIORITY:
			*r.Metric = int(decodeUint(value))
		case unix.RTA_PREFSRC:
			r.Source, _ = netip.AddrFromSlice(value)
		case unix.RTA_METRICS:
			r.CWND = parseCWND(value)
		case rtaNextHopID:
			r.NextHopID = int(decodeUint(value))
		case unix.RTA_CACHEINFO:
			info, _ := header[routeCacheInfo](value)
			r.Expires = max(0, int(info.Expires)) / userHZ
		case unix.RTA_MULTIPATH:
			hops = parseHops(value, names)
		default:
			parseHop(&r, attr, value, names)
		}
	}
	r.Destination = netip.PrefixFrom(destination, int(about.Dst_len))
	if kind != "" && r.Shown() {
		r.NextHopInterface = ""
	}
	if d := routeDetails(about, attrs, r).opaque(); d != ownRouteDetails(r) {
		r.Details = d
	}
	r.Hop = details{}.keep(attrs, hopKinds()...).opaque()
	return spread(r, hops)
}

// routeCacheInfo is the beginning of the kernel's struct rta_cacheinfo.
type routeCacheInfo struct {
	References, LastUse uint32
	Expires             int32
}

// userHZ is what the kernel counts times of routes in, per second.
const userHZ = 100

// scopeOf returns the scope of a route's message.
func scopeOf(msg []byte) uint8 {
	about, _ := header[unix.RtMsg](msg)
	return about.Scope
}

// hopKinds returns the attributes of a next hop that no document has a key for: realm and encapsulation.
func hopKinds() []uint16 { return []uint16{unix.RTA_FLOW, unix.RTA_ENCAP, unix.RTA_ENCAP_TYPE} }

// routeDetails keeps what a route has that no document has a key for: scope, metrics, preference.
func routeDetails(about unix.RtMsg, attrs []byte, r netstate.Route) details {
	d := details{}.keep(attrs, unix.RTA_METRICS, unix.RTA_PREF, rtaTTLPropagate, unix.RTA_SRC)
	if pref := d[unix.RTA_PREF]; len(pref) == 1 && pref[0] == 0 { // medium
		delete(d, unix.RTA_PREF)
	}
	if r.Destination.Addr().Is4() {
		d[headerDetail] = []byte{about.Scope}
	}
	return d
}

// ownRouteDetails returns those of a route that we write.
func ownRouteDetails(r netstate.Route) netstate.Opaque {
	d := details{}
	if r.Destination.Addr().Is4() {
		d[headerDetail] = []byte{routeScope(r)}
	}
	if r.CWND != nil {
		d[unix.RTA_METRICS] = cwndMetrics(*r.CWND)
	}
	return d.opaque()
}

// routeScope returns the scope of a route that says nothing about it.
func routeScope(r netstate.Route) uint8 {
	if r.Destination.Addr().Is4() && r.RouteType == "" && !r.NextHopAddress.IsValid() {
		return unix.RT_SCOPE_LINK
	}
	return unix.RT_SCOPE_UNIVERSE
}

// spread makes one route of each next hop.
func spread(r netstate.Route, hops []netstate.Route) []netstate.Route {
	if len(hops) == 0 {
		return []netstate.Route{r}
	}
	routes := make([]netstate.Route, len(hops))
	for n, hop := range hops {
		routes[n] = r
		r := &routes[n]
		r.NextHopInterface, r.NextHopAddress = hop.NextHopInterface, hop.NextHopAddress
		r.Weight, r.OnLink, r.Hop = hop.Weight, hop.OnLink, hop.Hop
	}
	return routes
}

// parseHop reads the attributes of a next hop.
func parseHop(r *netstate.Route, attr uint16, value []byte, names map[int]string) {
	switch attr {
	case unix.RTA_OIF:
		r.NextHopInterface = names[int(decodeUint(value))]
	case unix.RTA_GATEWAY:
		r.NextHopAddress, _ = netip.AddrFromSlice(value)
	case unix.RTA_VIA:
		if len(value) > 2 {
			r.NextHopAddress, _ = netip.AddrFromSlice(value[2:])
		}
	}
}

// parseHops reads the list of next hops of one route.
func parseHops(b []byte, names map[int]string) []netstate.Route {
	var hops []netstate.Route
	for len(b) >= unix.SizeofRtNexthop {
		about, _ := header[unix.RtNexthop](b)
		if int(about.Len) < unix.SizeofRtNexthop || int(about.Len) > len(b) {
			return hops
		}
		hop := netstate.Route{NextHopInterface: names[int(about.Ifindex)], Weight: new(int(about.Hops) + 1),
			OnLink: about.Flags&unix.RTNH_F_ONLINK != 0}
		hop.Hop = details{}.keep(b[unix.SizeofRtNexthop:about.Len], hopKinds()...).opaque()
		for attr, value := range each(b[unix.SizeofRtNexthop:about.Len]) {
			parseHop(&hop, attr, value, names)
		}
		hops = append(hops, hop)
		b = b[min(len(b), int(about.Len+3)&^3):]
	}
	return hops
}

// parseCWND reads the congestion window of a route's metrics, nil for none.
func parseCWND(attrs []byte) *int {
	for attr, value := range each(attrs) {
		if attr == unix.RTAX_CWND {
			return new(int(decodeUint(value)))
		}
	}
	return nil
}

// otherRouteTypes returns those that no document has a word for.
func otherRouteTypes() map[string]uint8 {
	return map[string]uint8{"local": unix.RTN_LOCAL, "broadcast": unix.RTN_BROADCAST, "anycast": unix.RTN_ANYCAST,
		"multicast": unix.RTN_MULTICAST, "throw": unix.RTN_THROW, "nat": unix.RTN_NAT}
}

// routeType returns a kernel's type in the words of documents; unicast is "".
func routeType(kind uint8) (name string, known bool) {
	switch kind {
	case unix.RTN_UNICAST:
		return "", true
	case unix.RTN_BLACKHOLE:
		return "blackhole", true
	case unix.RTN_UNREACHABLE:
		return "unreachable", true
	case unix.RTN_PROHIBIT:
		return "prohibit", true
	}
	for name, number := range otherRouteTypes() {
		if number == kind {
			return name, true
		}
	}
	return "", false
}
