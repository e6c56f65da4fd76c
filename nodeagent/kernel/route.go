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

// Origins of routes that the unix package does not name (include/uapi/linux/rtnetlink.h).
const (
	protoMrouted    = 17
	protoKeepalived = 18
	protoBabel      = 42
	tableCompat     = 252
)

// shownProtocols are the origins of routes that somebody decided on.
func shownProtocols() []uint8 {
	return []uint8{unix.RTPROT_BOOT, unix.RTPROT_STATIC, unix.RTPROT_RA, unix.RTPROT_DHCP, protoMrouted, protoKeepalived,
		protoBabel}
}

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
			routes.Running = append(routes.Running, parseRoute(msg, names)...)
		}
	}
	slices.SortStableFunc(routes.Running, compareRoutes)
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
		cmp.Compare(value(a.TableID), value(b.TableID)),
		a.Destination.Addr().Compare(b.Destination.Addr()),
		cmp.Compare(a.Destination.Bits(), b.Destination.Bits()),
		cmp.Compare(value(a.Metric), value(b.Metric)),
		cmp.Compare(a.NextHopInterface, b.NextHopInterface),
		a.NextHopAddress.Compare(b.NextHopAddress),
	)
}

// parseRoute reads one RTM_NEWROUTE message: nothing for a route that is not shown, several for one with
// several next hops.
func parseRoute(msg []byte, names map[int]string) []netstate.Route {
	about, attrs := header[unix.RtMsg](msg)
	kind, known := routeType(about.Type)
	shown := known && slices.Contains(shownProtocols(), about.Protocol) &&
		(about.Scope == unix.RT_SCOPE_UNIVERSE || about.Scope == unix.RT_SCOPE_LINK) && about.Flags&unix.RTM_F_CLONED == 0
	if !shown {
		return nil
	}
	r := netstate.Route{Protocol: int(about.Protocol), RouteType: kind, TableID: new(int(about.Table)), Metric: new(0)}
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
		case unix.RTA_MULTIPATH:
			hops = parseHops(value, names)
		default:
			parseHop(&r, attr, value, names)
		}
	}
	r.Destination = netip.PrefixFrom(destination, int(about.Dst_len))
	if kind != "" {
		r.NextHopInterface = ""
	}
	return spread(r, hops)
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
		r.NextHopInterface, r.NextHopAddress, r.Weight = hop.NextHopInterface, hop.NextHopAddress, hop.Weight
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
		hop := netstate.Route{NextHopInterface: names[int(about.Ifindex)], Weight: new(int(about.Hops) + 1)}
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

// routeType is a kernel's type in the words of documents; unicast is "". Others are not shown.
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
	return "", false
}
