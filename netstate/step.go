// SPDX-License-Identifier: Apache-2.0

package netstate

// A StepKind says what a Step is about, and so which field of its two values is used.
type StepKind string

// The kinds of steps.
const (
	// StepLink makes a link (From.Link nil) or deletes it (To.Link nil). The value has the name, the type,
	// the part of that type with all its options, and where known MAC, MTU, Description, AcceptAllMAC,
	// State and IPv6 (Enabled, Autoconf, AddrGenMode, Token). It has no controller, no ports, no addresses,
	// no DHCP: those are steps of their own. Keys that are nil take the kernel's default. A link whose
	// IPv6.Enabled is false must have disable_ipv6 set before it first goes up; then State is obeyed.
	//
	// The MTU of a new bridge is what its ports will give it, and must not be set; one that a policy asks for
	// follows as a StepSet, which pins it. A veth comes and goes with its other end, the value's Peer.
	//
	// Before a deletion only name and type are checked: the other keys are what to make the link with again.
	StepLink StepKind = "link"
	// StepSet changes one thing of a link that exists. Both values have a Link with the name, the type and
	// the keys that change, at any depth (State, MAC, MTU, Description, AcceptAllMAC, IPv6,
	// Bridge.VLANFiltering, Bridge.Options.STP.Priority, Bond.Mode, VLAN.LooseBinding ...). Usually that is
	// one key; the keys of IPv6 come together. A key that is nil in From was unknown; a key that is nil in To (in the
	// inverse of such a step) is left as it is.
	StepSet StepKind = "set"
	// StepPort attaches a link to a controller (From.Port nil), detaches it (To.Port nil), or changes the
	// options it has as a port of the same controller (both set). A move is a detach and an attach.
	StepPort StepKind = "port"
	// StepAddress adds an address to a link (From.Address nil) or removes it (To.Address nil); both are set
	// when only the lifetime changes, from a dynamic one to forever or back.
	StepAddress StepKind = "address"
	// StepRoute adds a route (From.Route nil) or removes it (To.Route nil).
	StepRoute StepKind = "route"
	// StepRule adds a routing rule (From.Rule nil) or removes it (To.Rule nil).
	StepRule StepKind = "rule"
	// StepDHCP starts or stops the DHCP client of a link, or gives it other orders. Both values have a Link
	// with the DHCP, auto-* and dhcp-* keys of either IPv4 or IPv6. It is no business of the kernel.
	StepDHCP StepKind = "dhcp"
	// StepLLDP starts or stops to listen for neighbours on a link. Both values have a Link with LLDP.Enabled. It is no
	// business of the kernel.
	StepLLDP StepKind = "lldp"
	// StepManager takes a link over from the program that manages it (To.Manager ""), or gives it back. It is no
	// business of the kernel.
	StepManager StepKind = "manager"
	// StepDNS replaces the resolver configuration; both values have a DNS. It is no business of the kernel.
	StepDNS StepKind = "dns"
)

// A Step changes one thing about one link, address, route or rule. It carries what it replaces, so
// undoing it is swapping the two. The zero From adds, the zero To removes.
//
// Whoever carries out a step does all of it or nothing, and first checks that the node is as From says,
// in every key that From sets; lifetimes are not compared. A step that finds everything as To says
// already is done: the kernel takes VLANs down and up with their base, and gives a port that leaves a bond
// its MAC back.
//
// A plan is in an order in which each step is possible: routes, rules and addresses that go away first,
// then ports are detached, then links deleted (those on top before their bases), then, base before top
// and controller before port, links are changed, made and brought up, then ports are attached, and at
// last addresses, routes, rules, DHCP and DNS come. A link goes down before a step that needs it down:
// attaching to a bond, changing the options of a bond that ask for it. The primary of a bond is forgotten
// before the port leaves and set after it came, and so is its MAC around a time without ports. VLANs (without
// loose binding) of a link that goes down are up before, and go down and up with it, as in the kernel.
// Everything a step would take with it (routes through a link that goes down or is detached, addresses) has
// been removed by a step of its own before and is put back by one afterwards, so that the inverses in reverse
// order restore the start.
//
// What a plan leaves to the kernel: IPv6 link-local addresses, connected routes, the MAC and MTU of a bridge
// that has none of its own, and the MAC and MTU of the ports of a bond.
type Step struct {
	Kind StepKind `json:"kind"`
	// Link is the interface the step is about: the next hop's for a route, "" for routes without one, for
	// rules and for DNS.
	Link string `json:"link,omitzero"`
	From Value  `json:"from,omitzero"`
	To   Value  `json:"to,omitzero"`
}

// A Value is one side of a Step. The kind of the step says which field counts; the others are nil.
type Value struct {
	Link *Interface `json:"link,omitzero"`
	// Peer is the other end of a veth, as Link, for StepLink only.
	Peer    *Interface  `json:"peer,omitzero"`
	Port    *Attachment `json:"port,omitzero"`
	Address *Address    `json:"address,omitzero"`
	Route   *Route      `json:"route,omitzero"`
	// With are the other next hops of a route that shares its traffic: one that is alone has no weight in the
	// kernel, and gets its own again when another joins it.
	With    *Siblings  `json:"with,omitzero"`
	Rule    *RouteRule `json:"rule,omitzero"`
	DNS     *DNSConfig `json:"dns,omitzero"`
	Manager Manager    `json:"manager,omitzero"`
}

// An Attachment is a link being a port of a controller, with the options it has there.
//
// A link must be down to be attached to a bond, and is up afterwards; detached from a bond, it is down.
// Bridges and VRFs leave that alone, but a VRF takes the IPv6 addresses and the routes of the link.
type Attachment struct {
	Controller string   `json:"controller"`
	Type       LinkType `json:"type"` // of the controller
	// Bridge has the options of a port of a bridge. Its VLAN is what the port carries, nil meaning the default
	// PVID only; whoever attaches makes the port's VLANs exactly Entries, whether or not the bridge filters.
	// Other keys that are nil take, or keep, the kernel's default.
	Bridge *BridgePort `json:"bridge,omitzero"`
	// DefaultPVID is the bridge's, for Entries.
	DefaultPVID int `json:"default-pvid,omitzero"`
	// Bond has the options of a port of a bond; nil is the kernel's default.
	Bond *BondPort `json:"bond,omitzero"`
	// Active says that it is the port a bond sends through. Whoever attaches it makes it that, if it can be.
	Active bool `json:"active,omitzero"`
}

// Inverse returns the step that undoes s.
func (s Step) Inverse() Step {
	s.From, s.To = s.To, s.From
	return s
}

// Invert returns the steps that undo steps: their inverses, newest first.
func Invert(steps []Step) []Step {
	inverses := make([]Step, len(steps))
	for n, step := range steps {
		inverses[len(steps)-1-n] = step.Inverse()
	}
	return inverses
}

// controllers returns the links a step concerns as controllers of others.
func (s Step) controllers() []string {
	var names []string
	for _, a := range []*Attachment{s.From.Port, s.To.Port} {
		if a != nil {
			names = append(names, a.Controller)
		}
	}
	if s.Kind == StepSet {
		names = append(names, s.Link)
	}
	return names
}
