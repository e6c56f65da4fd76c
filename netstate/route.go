// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// Routes are the routes of a node.
type Routes struct {
	// Running has every route somebody decided on, by the protocols boot, static, ra, dhcp, mrouted,
	// keepalived and babel, scopes universe and link. The kernel's own and those of routing daemons are not
	// in it. In a desired state it is ignored.
	Running []Route `json:"running,omitzero"`
	// Config has those of the protocols boot and static; all of them are in Running as well. In a desired
	// state it says which routes to add and, with StateAbsent, to remove; others stay.
	Config []Route `json:"config,omitzero"`
	// Other has the routes that are not in Running and that are neither the kernel's own: those of routing
	// daemons, of scope host, local ones. No policy names them; they are kept where a link has to go for a while.
	Other []Route `json:"kernel-other,omitzero"`
}

// The table and metrics of routes that do not name one.
const (
	TableMain         = 254
	MetricIPv6Default = 1024 // the kernel's IP6_RT_PRIO_USER
)

// A Route is one route with one next hop. In a current state, and in steps, TableID and Metric are set.
type Route struct {
	// State is empty, or StateAbsent in a desired state: then every key left out matches anything.
	State LinkState `json:"state,omitzero" words:"absent"`
	// Destination has no host bits. The zero Prefix means not mentioned.
	Destination      netip.Prefix `json:"destination,omitzero"`
	NextHopInterface string       `json:"next-hop-interface,omitzero"`
	// NextHopAddress is the gateway; the zero Addr means none. It is shown as 0.0.0.0 or ::.
	NextHopAddress netip.Addr `json:"next-hop-address,omitzero"`
	Metric         *int       `json:"metric,omitzero"           range:"0 4294967295"`
	TableID        *int       `json:"table-id,omitzero"         range:"0 4294967295"`
	// Weight, 1 to 256, shares traffic among routes of one destination.
	Weight *int `json:"weight,omitzero" range:"1 256"`
	// RouteType is empty for unicast, else blackhole, unreachable or prohibit.
	RouteType string     `json:"route-type,omitzero" words:"unicast blackhole unreachable prohibit"`
	Source    netip.Addr `json:"source,omitzero"`
	CWND      *int       `json:"cwnd,omitzero"                                                      range:"0 4294967295"` // congestion window, locked
	// Exact, in a wish that Revert returns, says that the entry is about the one route that agrees in every key,
	// also in those left out.
	Exact bool `json:"kernel-exact,omitzero"`
	// OnLink has the kernel take a gateway without asking whether the link reaches it (RTNH_F_ONLINK).
	OnLink bool `json:"kernel-onlink,omitzero"`
	// TOS tells IPv4 routes of one destination and metric apart.
	TOS int `json:"kernel-tos,omitzero"`
	// NextHopID is that of a next hop object of the kernel, which then says the rest.
	NextHopID int `json:"kernel-next-hop,omitzero"`
	// Expires is in how many seconds the kernel forgets the route; 0 is never.
	Expires int `json:"kernel-expires,omitzero"`
	// Details are scope, flags and attributes of the route that have no key, and Hop those of its next hop.
	Details Opaque `json:"kernel-details,omitzero"`
	Hop     Opaque `json:"kernel-hop,omitzero"`
	// Protocol is the number the kernel keeps (RTPROT_*) of a route read from it; 0 means static, what we
	// write. It is carried so that a route put back is the route that was taken away.
	Protocol int `json:"kernel-protocol,omitzero"`
}

// Siblings are next hops of one route.
type Siblings struct {
	Routes []Route `json:"routes"`
}

// unicast reports whether the route leads somewhere, unlike a blackhole.
func (r Route) unicast() bool { return r.RouteType == "" || r.RouteType == "unicast" }

// selectsAll reports whether a wish for the absence of routes has no key that says which.
func (r Route) selectsAll() bool {
	r.State = ""
	return r == Route{}
}

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

// Learnt reports whether somebody teaches the route, a DHCP server or a router, as opposed to one that was configured.
func (r Route) Learnt() bool { return !r.configured() }

// matches reports whether every key that r sets is so in other. Of a route that is wanted, the table
// and the next hop address always count.
func (r Route) matches(other Route) bool {
	other = other.complete()
	if r.Exact {
		return r.complete().key() == other.key()
	}
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

// allRoutes returns the running and the configured routes, each once, in an order in which they can be
// added: those that need no gateway first.
func allRoutes(routes Routes) []Route {
	all := make([]Route, 0, len(routes.Running)+len(routes.Config))
	seen := map[routeKey]bool{}
	for _, list := range [][]Route{routes.Running, routes.Config, routes.Other} {
		for _, route := range list {
			route = route.complete()
			if key := route.key(); !seen[key] {
				seen[key] = true
				all = append(all, route)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Route) int {
		return cmp.Compare(gatewayRank(a), gatewayRank(b))
	})
	return all
}

func gatewayRank(r Route) int {
	if r.NextHopAddress.IsValid() {
		return 1
	}
	return 0
}

// A routeKey tells routes apart, as the kernel does.
type routeKey struct {
	route  Route // with its pointers cleared
	values [4]int
}

func (r Route) key() routeKey {
	values := [4]int{-1, -1, -1, -1}
	for n, value := range []*int{r.Metric, r.TableID, r.Weight, r.CWND} {
		if value != nil {
			values[n] = *value
		}
	}
	r.Metric, r.TableID, r.Weight, r.CWND, r.Protocol, r.State, r.Exact = nil, nil, nil, nil, 0, "", false
	r.Expires = 0
	return routeKey{route: r, values: values}
}

func routeKeys(routes []Route) map[routeKey]bool {
	keys := make(map[routeKey]bool, len(routes))
	for _, route := range routes {
		keys[route.key()] = true
	}
	return keys
}

// taughtKey returns key, and tells learnt routes from configured ones besides: one that is to be configured from now on
// is put in the place of the learnt one, which goes with who taught it.
func (r Route) taughtKey() routeKey {
	key := r.key()
	if r.Learnt() {
		key.route.Protocol = 1
	}
	return key
}

func taughtKeys(routes []Route) map[routeKey]bool {
	keys := make(map[routeKey]bool, len(routes))
	for _, route := range routes {
		keys[route.taughtKey()] = true
	}
	return keys
}

// String returns the route as ip route would list it, on one line.
func (r Route) String() string {
	text := r.Destination.String()
	if r.Destination.IsValid() && r.Destination.Bits() == 0 {
		text = "default (" + text + ")"
	}
	if r.RouteType != "" && r.RouteType != "unicast" {
		text = r.RouteType + " " + text
	}
	if r.NextHopAddress.IsValid() {
		text += " via " + r.NextHopAddress.String()
	}
	if r.NextHopInterface != "" {
		text += " through " + r.NextHopInterface
	}
	if r.Source.IsValid() {
		text += " from " + r.Source.String()
	}
	if r.TableID != nil && *r.TableID != TableMain {
		text += fmt.Sprintf(" table %d", *r.TableID)
	}
	if r.Metric != nil && *r.Metric != 0 && *r.Metric != MetricIPv6Default {
		text += fmt.Sprintf(" metric %d", *r.Metric)
	}
	if r.Weight != nil {
		text += fmt.Sprintf(" weight %d", *r.Weight)
	}
	return text
}

// Shown reports whether a route of a kernel is one that nmstate shows: unicast or one that goes nowhere, of the
// protocols and scopes that Routes.Running lists.
func (r Route) Shown() bool {
	if !slices.Contains([]string{"", "blackhole", "unreachable", "prohibit"}, trimUnicast(r.RouteType)) {
		return false
	}
	const ra, dhcp, mrouted, keepalived, babel = 9, 16, 17, 18, 42
	return r.configured() || slices.Contains([]int{ra, dhcp, mrouted, keepalived, babel}, r.Protocol)
}

// siblings returns the other next hops of a route that shares its traffic, or nil.
func siblings(route Route, all []Route) *Siblings {
	if route.Weight == nil {
		return nil
	}
	var others []Route
	for _, other := range all {
		if other.Weight != nil && other.sharesKey(route) && other.key() != route.key() {
			others = append(others, other)
		}
	}
	return &Siblings{Routes: others}
}

// sharesKey reports whether the kernel takes two routes for one destination that differ in where they lead only.
func (r Route) sharesKey(other Route) bool {
	return r.Destination == other.Destination && same(r.TableID, other.TableID) && same(r.Metric, other.Metric) &&
		r.TOS == other.TOS
}
