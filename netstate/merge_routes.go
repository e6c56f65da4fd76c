package netstate

import (
	"cmp"
	"net/netip"
	"slices"
)

// mergeRoutes adds and removes what desired says, and removes the routes that cannot be because their
// link is gone, down, or has lost its last address of their IP version.
func (m *merger) mergeRoutes(now, desired Routes) Routes {
	gone := func(route Route) bool {
		return m.losesRoute(route) || slices.ContainsFunc(desired.Config, func(d Route) bool {
			return d.State == StateAbsent && d.matches(route)
		})
	}
	merged := Routes{
		Running: slices.DeleteFunc(slices.Clone(now.Running), gone),
		Config:  slices.DeleteFunc(slices.Clone(now.Config), gone),
	}
	for _, d := range desired.Config {
		if d.State == StateAbsent {
			continue
		}
		d = d.complete()
		if !slices.ContainsFunc(merged.Config, d.matches) {
			merged.Config = append(merged.Config, d)
		}
		if !slices.ContainsFunc(merged.Running, func(r Route) bool { return r.configured() && d.matches(r) }) {
			merged.Running = append(merged.Running, d)
		}
	}
	return merged
}

func (m *merger) losesRoute(route Route) bool {
	if route.NextHopInterface == "" {
		return false
	}
	link, now := m.target[route.NextHopInterface], m.now[route.NextHopInterface]
	if link == nil {
		return true
	}
	if now == nil || link.State == StateIgnore {
		return false
	}
	if link.State == StateDown && now.State != StateDown {
		return true
	}
	is, was := link.ip(route.Destination), now.ip(route.Destination)
	return was.active() && !is.active()
}

// ip returns the IP configuration that goes with an address of the prefix's version.
func (i Interface) ip(version netip.Prefix) *IP {
	if version.IsValid() && !version.Addr().Is4() {
		return i.IPv6
	}
	return i.IPv4
}

func (ip *IP) active() bool { return ip != nil && isTrue(ip.Enabled) }

// complete returns a desired route with what it leaves to defaults.
func (r Route) complete() Route {
	if r.TableID == nil || *r.TableID == 0 {
		r.TableID = new(TableMain)
	}
	if r.RouteType == "unicast" {
		r.RouteType = ""
	}
	r.NextHopAddress = known(r.NextHopAddress)
	v6 := r.Destination.IsValid() && !r.Destination.Addr().Is4()
	switch {
	case v6 && (r.Metric == nil || *r.Metric == 0):
		r.Metric = new(MetricIPv6Default)
	case r.Metric == nil:
		r.Metric = new(0)
	}
	return r
}

func known(address netip.Addr) netip.Addr {
	if address.IsUnspecified() {
		return netip.Addr{}
	}
	return address
}

// configured reports whether the route is one somebody configured, as opposed to one that was learnt:
// protocol static or boot.
func (r Route) configured() bool { return r.Protocol == 0 || r.Protocol == 3 || r.Protocol == 4 }

// matches reports whether every key that r sets is so in other. Of a route that is wanted, the table
// and the next hop address always count.
func (r Route) matches(other Route) bool {
	other = other.complete()
	wanted := r.State != StateAbsent
	if wanted {
		metric := r.Metric
		r = r.complete()
		r.Metric = metric
	}
	switch {
	case r.Destination.IsValid() && r.Destination != other.Destination,
		r.NextHopInterface != "" && r.NextHopInterface != other.NextHopInterface,
		(wanted || r.NextHopAddress.IsValid()) && known(r.NextHopAddress) != other.NextHopAddress,
		(wanted || r.RouteType != "") && trimUnicast(r.RouteType) != other.RouteType,
		r.Source.IsValid() && r.Source != other.Source,
		!unsetOr(r.Metric, other.Metric), !unsetOr(r.TableID, other.TableID),
		!unsetOr(r.Weight, other.Weight), !unsetOr(r.CWND, other.CWND):
		return false
	}
	return true
}

func trimUnicast(routeType string) string {
	if routeType == "unicast" {
		return ""
	}
	return routeType
}

// unsetOr reports whether a wish is not made, or is what there is.
func unsetOr(wish, value *int) bool { return wish == nil || same(wish, value) }

func unsetOrText(wish, value *string) bool {
	return wish == nil || cmp.Or(deref(wish), "") == cmp.Or(deref(value), "")
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// defaultRulePriority is what nmstate gives a rule that does not say.
const defaultRulePriority = 30000

func mergeRules(now, desired RouteRules) RouteRules {
	merged := slices.DeleteFunc(slices.Clone(now.Config), func(rule RouteRule) bool {
		return slices.ContainsFunc(desired.Config, func(d RouteRule) bool {
			return d.State == StateAbsent && d.matches(rule)
		})
	})
	for _, d := range desired.Config {
		if d.State == StateAbsent || slices.ContainsFunc(merged, d.matches) {
			continue
		}
		merged = append(merged, d.complete())
	}
	return RouteRules{Config: merged}
}

// complete returns a desired rule with what it leaves to defaults.
func (r RouteRule) complete() RouteRule {
	family, isKnown := r.family()
	if isKnown {
		r.Family = &family
	}
	if r.Priority == nil {
		r.Priority = new(defaultRulePriority)
	}
	if r.RouteTable == nil || *r.RouteTable == 0 {
		r.RouteTable = new(TableMain)
	}
	return r
}

// matches reports whether every key that r sets is so in other. Of a rule that is wanted, the selectors
// always count.
func (r RouteRule) matches(other RouteRule) bool {
	wanted := r.State != StateAbsent
	other = other.complete()
	if family, isKnown := r.family(); isKnown && family != deref(other.Family) {
		return false
	}
	if wanted && (r.RouteTable == nil || *r.RouteTable == 0) {
		r.RouteTable = new(TableMain)
	}
	switch {
	case (wanted || r.IPFrom.IsValid()) && r.IPFrom != other.IPFrom,
		(wanted || r.IPTo.IsValid()) && r.IPTo != other.IPTo,
		!unsetOr(r.Priority, other.Priority), !unsetOr(r.RouteTable, other.RouteTable),
		!unsetOr(r.FWMark, other.FWMark), !unsetOr(r.FWMask, other.FWMask),
		!unsetOr(r.SuppressPrefixLength, other.SuppressPrefixLength),
		!unsetOrText(r.IIF, other.IIF), !unsetOrText(r.Action, other.Action):
		return false
	}
	return !wanted || (r.FWMark != nil || other.FWMark == nil) && (r.IIF != nil || deref(other.IIF) == "") &&
		(r.Action != nil || deref(other.Action) == "")
}

// mergeDNS replaces the lists that desired gives.
func mergeDNS(now, desired DNS) DNS {
	if desired.Config == nil {
		return now
	}
	now.Config = overlayPart(now.Config, desired.Config)
	return now
}
