// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// doRoute adds or removes one route. A route with a weight shares its destination with others: it joins
// or leaves their list of next hops.
func (k *Kernel) doRoute(step netstate.Step) error {
	from, to := step.From.Route, step.To.Route
	if from != nil {
		if err := k.changeRoute(*from, step.From.With, false); err != nil {
			return refused(err, "remove route %s", describeRoute(*from))
		}
	}
	if to == nil {
		return nil
	}
	err := k.changeRoute(*to, step.To.With, true)
	if errors.Is(err, unix.EEXIST) && to.Learnt() {
		return nil // who taught it was faster
	}
	if errors.Is(err, unix.EEXIST) && to.Destination.Addr().Is6() {
		// A router advertised itself once more since the plan took its route away.
		taught := *to
		taught.Protocol = unix.RTPROT_RA
		if k.changeRoute(taught, nil, false) == nil {
			err = k.changeRoute(*to, step.To.With, true)
		}
	}
	if err != nil {
		return refused(err, "add route %s", describeRoute(*to))
	}
	return nil
}

// changeRoute adds or removes a route.
func (k *Kernel) changeRoute(r netstate.Route, with *netstate.Siblings, add bool) error {
	if r.Weight == nil || r.Destination.Addr().Is6() {
		kind, flags := unix.RTM_DELROUTE, 0
		if add {
			if err := k.awaitSource(r); err != nil {
				return err
			}
			// The kernel refuses the same route again; another gateway beside one that there is, a plan has thought of.
			kind, flags = unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_APPEND
		}
		return k.writeRoutes(kind, flags, []netstate.Route{r})
	}
	others, err := k.siblings(r)
	if err != nil {
		return err
	}
	weigh(others, with)
	switch {
	case add:
		return k.writeRoutes(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, append(others, r))
	case len(others) > 0:
		return k.writeRoutes(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, others)
	}
	return k.writeRoutes(unix.RTM_DELROUTE, 0, []netstate.Route{r})
}

// weigh gives next hops that the kernel shows without a weight the one that they had.
func weigh(hops []netstate.Route, with *netstate.Siblings) {
	if with == nil {
		return
	}
	for n, hop := range hops {
		for _, known := range with.Routes {
			if hop.NextHopInterface == known.NextHopInterface && hop.NextHopAddress == known.NextHopAddress {
				hops[n].Weight = known.Weight
			}
		}
	}
}

// siblings returns the other next hops of an IPv4 route's destination, table and metric.
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
	for _, other := range slices.Concat(all.Running, all.Other) {
		sameHop := other.NextHopInterface == r.NextHopInterface && other.NextHopAddress == r.NextHopAddress
		if sameRoute(other, r) && !sameHop {
			others = append(others, other)
		}
	}
	return others, nil
}

// sameRoute reports whether the kernel keeps two next hops in one route.
func sameRoute(a, b netstate.Route) bool {
	return a.Destination == b.Destination && value(a.TableID) == value(b.TableID) &&
		value(a.Metric) == value(b.Metric) && a.TOS == b.TOS
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
		Protocol: uint8(r.Protocol), Type: kernelRouteType(r.RouteType), Scope: routeScope(r), Tos: uint8(r.TOS),
	}
	kept := detailsOf(r.Details)
	if scope := kept[headerDetail]; len(scope) == 1 {
		about.Scope = scope[0]
	}
	if r.OnLink && len(hops) == 1 && r.Weight == nil {
		about.Flags |= unix.RTNH_F_ONLINK
	}
	if *table < 256 {
		about.Table = uint8(*table)
	}
	if about.Protocol == 0 {
		about.Protocol = unix.RTPROT_STATIC
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
	kept.addTo(&attrs)
	if r.CWND != nil && kept[unix.RTA_METRICS] == nil {
		attrs.nest(unix.RTA_METRICS, cwndMetrics(*r.CWND))
	}
	if r.Expires > 0 && r.Destination.Addr().Is6() && kind == unix.RTM_NEWROUTE {
		attrs.addUint32(unix.RTA_EXPIRES, uint32(r.Expires))
	}
	if r.NextHopID != 0 && r.Weight == nil {
		byID := slices.Clone(attrs)
		byID.addUint32(rtaNextHopID, uint32(r.NextHopID))
		if err := k.request(kind, flags, message(about), byID); err == nil {
			return nil // else the object is gone, and what it said has to do
		}
	}
	if err := k.addHops(&attrs, hops); err != nil {
		return err
	}
	return k.request(kind, flags, message(about), attrs)
}

// cwndMetrics returns the metrics of a route that has a congestion window only.
func cwndMetrics(window int) attributes {
	var metrics attributes
	metrics.addUint32(unix.RTAX_LOCK, 1<<unix.RTAX_CWND)
	metrics.addUint32(unix.RTAX_CWND, uint32(window))
	return metrics
}

// addGateway appends the address of a gateway, which may be of the other IP version.
func addGateway(attrs *attributes, r netstate.Route) {
	switch {
	case !r.NextHopAddress.IsValid():
	case r.NextHopAddress.Is6() && r.Destination.Addr().Is4():
		attrs.add(unix.RTA_VIA, append(encodeUint(unix.AF_INET6, 2), r.NextHopAddress.AsSlice()...))
	default:
		attrs.add(unix.RTA_GATEWAY, r.NextHopAddress.AsSlice())
	}
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
		addGateway(&hop, r)
		detailsOf(r.Hop).addTo(&hop)
		weight := max(value(r.Weight), 1)
		about := unix.RtNexthop{Len: uint16(unix.SizeofRtNexthop + len(hop)), Hops: uint8(weight - 1), Ifindex: int32(index)}
		if r.OnLink {
			about.Flags |= unix.RTNH_F_ONLINK
		}
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
	addGateway(attrs, r)
	detailsOf(r.Hop).addTo(attrs)
	return nil
}

// hopIndex returns the index of the link a route goes out of, 0 for one that goes nowhere.
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

// kernelRouteType returns the number of a route's type.
func kernelRouteType(name string) uint8 {
	switch name {
	case "blackhole":
		return unix.RTN_BLACKHOLE
	case "unreachable":
		return unix.RTN_UNREACHABLE
	case "prohibit":
		return unix.RTN_PROHIBIT
	}
	return cmp.Or(otherRouteTypes()[name], uint8(unix.RTN_UNICAST))
}

// describeRoute returns a route in words.
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
