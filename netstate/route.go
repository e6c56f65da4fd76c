package netstate

import "net/netip"

// Routes are the routes of a node.
type Routes struct {
	// Running has every route somebody decided on, by the protocols boot, static, ra, dhcp, mrouted,
	// keepalived and babel, scopes universe and link. The kernel's own and those of routing daemons are not
	// in it. In a desired state it is ignored.
	Running []Route `json:"running,omitzero"`
	// Config has those of the protocols boot and static; all of them are in Running as well. In a desired
	// state it says which routes to add and, with StateAbsent, to remove; others stay.
	Config []Route `json:"config,omitzero"`
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
	Metric         *int       `json:"metric,omitzero" range:"0 4294967295"`
	TableID        *int       `json:"table-id,omitzero" range:"0 4294967295"`
	// Weight, 1 to 256, shares traffic among routes of one destination.
	Weight *int `json:"weight,omitzero" range:"1 256"`
	// RouteType is empty for unicast, else blackhole, unreachable or prohibit.
	RouteType string     `json:"route-type,omitzero" words:"unicast blackhole unreachable prohibit"`
	Source    netip.Addr `json:"source,omitzero"`
	CWND      *int       `json:"cwnd,omitzero" range:"0 4294967295"` // congestion window, locked
	// Protocol is the number the kernel keeps (RTPROT_*) of a route read from it; 0 means static, what we
	// write. It is carried so that a route put back is the route that was taken away.
	Protocol int `json:"kernel-protocol,omitzero"`
}

// RouteRules are the policy routing rules of a node.
type RouteRules struct {
	// Config has every rule but the kernel's three (local, main, default). In a desired state it says which
	// to add and, with StateAbsent, to remove; others stay.
	Config []RouteRule `json:"config,omitzero"`
}

// A RouteRule is one policy routing rule. In a current state Family, Priority and RouteTable are set.
type RouteRule struct {
	// State is empty, or StateAbsent in a desired state: then every key left out matches anything.
	State      LinkState    `json:"state,omitzero" words:"absent"`
	IPFrom     netip.Prefix `json:"ip-from,omitzero"`
	IPTo       netip.Prefix `json:"ip-to,omitzero"`
	Priority   *int         `json:"priority,omitzero" range:"0 4294967295"`
	RouteTable *int         `json:"route-table,omitzero" range:"0 4294967295"`
	FWMark     *int         `json:"fwmark,omitzero" range:"0 4294967295"`
	FWMask     *int         `json:"fwmask,omitzero" range:"0 4294967295"`
	IIF        *string      `json:"iif,omitzero"`
	// Action is blackhole, unreachable or prohibit, instead of a table.
	Action               *string `json:"action,omitzero" words:"blackhole unreachable prohibit"`
	Family               *string `json:"family,omitzero" words:"ipv4 ipv6"` // ipv4 or ipv6
	SuppressPrefixLength *int    `json:"suppress-prefix-length,omitzero" range:"0 128"`
}

// DNS is the resolver configuration of a node.
type DNS struct {
	Running *DNSConfig `json:"running,omitzero"` // ignored in a desired state
	Config  *DNSConfig `json:"config,omitzero"`
}

// A DNSConfig is what a resolv.conf says. In a desired state a nil list keeps and an empty one clears.
type DNSConfig struct {
	Search  []string `json:"search,omitzero"`
	Server  []string `json:"server,omitzero"` // addresses, link-local ones with their zone
	Options []string `json:"options,omitzero"`
}
