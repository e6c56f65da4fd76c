// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// doRoute adds or removes one route. A route with a weight shares its destination with others: it joins
// or leaves their list of next hops.
func (k *Kernel) doRoute(step netstate.Step) error {
	from, to := step.From.Route, step.To.Route
	if from != nil {
		if err := k.changeRoute(*from, false); err != nil {
			return refused(err, "remove route %s", describeRoute(*from))
		}
	}
	if to == nil {
		return nil
	}
	if err := k.changeRoute(*to, true); err != nil {
		return refused(err, "add route %s", describeRoute(*to))
	}
	return nil
}

// changeRoute adds or removes a route.
func (k *Kernel) changeRoute(r netstate.Route, add bool) error {
	if r.Weight == nil || r.Destination.Addr().Is6() {
		kind, flags := unix.RTM_DELROUTE, 0
		if add {
			kind, flags = unix.RTM_NEWROUTE, unix.NLM_F_CREATE|addFlags(r)
		}
		return k.writeRoutes(kind, flags, []netstate.Route{r})
	}
	others, err := k.siblings(r)
	if err != nil {
		return err
	}
	switch {
	case add:
		return k.writeRoutes(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, append(others, r))
	case len(others) > 0:
		return k.writeRoutes(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, others)
	}
	return k.writeRoutes(unix.RTM_DELROUTE, 0, []netstate.Route{r})
}

// addFlags refuses a route that exists, unless it is one more next hop.
func addFlags(r netstate.Route) int {
	if r.Weight != nil {
		return unix.NLM_F_APPEND
	}
	return unix.NLM_F_EXCL
}

// siblings are the other next hops of an IPv4 route's destination, table and metric.
func (k *Kernel) siblings(r netstate.Route) ([]netstate.Route, error) {
	links, err := k.readLinks()
	if err != nil {
		return nil, err
	}
	names := make(map[int]string, len(links))
	for _, l := range links {
		names[l.index] = l.iface.Name
	}
	all, err := k.readRoutes(names)
	if err != nil {
		return nil, err
	}
	var others []netstate.Route
	for _, other := range all.Running {
		sameHop := other.NextHopInterface == r.NextHopInterface && other.NextHopAddress == r.NextHopAddress
		if sameRoute(other, r) && !sameHop {
			others = append(others, other)
		}
	}
	return others, nil
}

// sameRoute reports whether the kernel keeps two next hops in one route.
func sameRoute(a, b netstate.Route) bool {
	return a.Destination == b.Destination && value(a.TableID) == value(b.TableID) && value(a.Metric) == value(b.Metric)
}

// writeRoutes sends a route with one or several next hops.
func (k *Kernel) writeRoutes(kind, flags int, hops []netstate.Route) error {
	r := hops[0]
	table := r.TableID
	if table == nil {
		table = new(netstate.TableMain)
	}
	about := unix.RtMsg{
		Family: family(r.Destination.Addr()), Dst_len: uint8(r.Destination.Bits()), Table: tableCompat,
		Protocol: uint8(r.Protocol), Type: kernelRouteType(r.RouteType), Scope: unix.RT_SCOPE_UNIVERSE,
	}
	if *table < 256 {
		about.Table = uint8(*table)
	}
	if about.Protocol == 0 {
		about.Protocol = unix.RTPROT_STATIC
	}
	if r.Destination.Addr().Is4() && r.RouteType == "" && !r.NextHopAddress.IsValid() {
		about.Scope = unix.RT_SCOPE_LINK
	}
	var attrs attributes
	attrs.add(unix.RTA_DST, r.Destination.Addr().AsSlice())
	attrs.addUint32(unix.RTA_TABLE, uint32(*table))
	if r.Metric != nil {
		attrs.addUint32(unix.RTA_PRIORITY, uint32(*r.Metric))
	}
	if r.Source.IsValid() {
		attrs.add(unix.RTA_PREFSRC, r.Source.AsSlice())
	}
	if r.CWND != nil {
		var metrics attributes
		metrics.addUint32(unix.RTAX_LOCK, 1<<unix.RTAX_CWND)
		metrics.addUint32(unix.RTAX_CWND, uint32(*r.CWND))
		attrs.nest(unix.RTA_METRICS, metrics)
	}
	if err := k.addHops(&attrs, hops); err != nil {
		return err
	}
	return k.request(kind, flags, message(about), attrs)
}

// addHops appends the next hops: plain attributes for one without a weight, else a list.
func (k *Kernel) addHops(attrs *attributes, hops []netstate.Route) error {
	if len(hops) == 1 && hops[0].Weight == nil {
		return k.addHop(attrs, hops[0])
	}
	var list []byte
	for _, r := range hops {
		index, err := k.hopIndex(r)
		if err != nil {
			return err
		}
		var hop attributes
		if r.NextHopAddress.IsValid() {
			hop.add(unix.RTA_GATEWAY, r.NextHopAddress.AsSlice())
		}
		weight := max(value(r.Weight), 1)
		about := unix.RtNexthop{Len: uint16(unix.SizeofRtNexthop + len(hop)), Hops: uint8(weight - 1), Ifindex: int32(index)}
		list = append(append(list, message(about)...), hop...)
	}
	attrs.add(unix.RTA_MULTIPATH, list)
	return nil
}

// addHop appends a single next hop.
func (k *Kernel) addHop(attrs *attributes, r netstate.Route) error {
	index, err := k.hopIndex(r)
	if err != nil {
		return err
	}
	if index != 0 {
		attrs.addUint32(unix.RTA_OIF, uint32(index))
	}
	if r.NextHopAddress.IsValid() {
		attrs.add(unix.RTA_GATEWAY, r.NextHopAddress.AsSlice())
	}
	return nil
}

// hopIndex is the index of the link a route goes out of, 0 for one that goes nowhere.
func (k *Kernel) hopIndex(r netstate.Route) (int, error) {
	if r.NextHopInterface == "" {
		return 0, nil
	}
	l, err := k.getLink(0, r.NextHopInterface)
	if err != nil {
		return 0, fmt.Errorf("next hop %s: %w", r.NextHopInterface, err)
	}
	return l.index, nil
}

// kernelRouteType is the number of a route's type.
func kernelRouteType(name string) uint8 {
	switch name {
	case "blackhole":
		return unix.RTN_BLACKHOLE
	case "unreachable":
		return unix.RTN_UNREACHABLE
	case "prohibit":
		return unix.RTN_PROHIBIT
	}
	return unix.RTN_UNICAST
}

// describeRoute is a route in words.
func describeRoute(r netstate.Route) string {
	text := r.Destination.String()
	if r.RouteType != "" {
		text = r.RouteType + " " + text
	}
	if r.NextHopAddress.IsValid() {
		text += " via " + r.NextHopAddress.String()
	}
	if r.NextHopInterface != "" {
		text += " dev " + r.NextHopInterface
	}
	return text
}
