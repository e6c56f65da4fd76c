// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// A Lease is an address lent by a server, with what the server said about its network. It is kept on disk
// as JSON, so that a client that starts again renews it.
type Lease struct {
	// Link is the name of the link the address is for, MAC what that link was called on the wire.
	Link string       `json:"link"`
	MAC  netstate.MAC `json:"mac"`
	// ClientID is what the client called itself, for its release: of IPv6 it is the DUID, and IAID belongs to it.
	ClientID []byte  `json:"clientID,omitempty"`
	IAID     [4]byte `json:"iaid,omitzero"`
	// Address is the address with the length of its network, which is 128 for IPv6. It is invalid if there is nothing to
	// be had but DNS, by IPv6.
	Address netip.Prefix `json:"address"`
	// Server lent it, or ServerID, which is a DUID, for IPv6.
	Server   netip.Addr `json:"server,omitzero"`
	ServerID []byte     `json:"serverID,omitempty"`
	// Deprecated says that the server wants the address to be used no more by what begins, for IPv6.
	Deprecated bool `json:"deprecated,omitzero"`
	// Begun is when it was asked for. From then on it lasts Length, is renewed after Renew (T1) and asked of
	// any server after Rebind (T2). Renew <= Rebind <= Length.
	Begun  time.Time     `json:"begun"`
	Renew  time.Duration `json:"renew"`
	Rebind time.Duration `json:"rebind"`
	Length time.Duration `json:"length"`
	// Routes are those of option 121 or else one default route through the first router (option 3).
	Routes []Route `json:"routes,omitempty"`
	// DNS are name servers, Search the domains in which short names are looked up.
	DNS    []netip.Addr `json:"dns,omitempty"`
	Search []string     `json:"search,omitempty"`
}

// A Route is one that a server told of.
type Route struct {
	// Destination has no host bits; 0.0.0.0/0 is the default route.
	Destination netip.Prefix `json:"destination"`
	// Gateway is invalid for a destination that is on the link.
	Gateway netip.Addr `json:"gateway,omitzero"`
}

// Default reports whether the route is a default route.
func (r Route) Default() bool { return r.Destination.Bits() == 0 }

// from returns who lent it, in words.
func (l Lease) from() string {
	if l.Server.IsValid() {
		return l.Server.String()
	}
	return hex.EncodeToString(l.ServerID)
}

// RenewAt returns when the server of the lease is asked for more time.
func (l Lease) RenewAt() time.Time { return l.Begun.Add(l.Renew) }

// RebindAt returns when any server is asked.
func (l Lease) RebindAt() time.Time { return l.Begun.Add(l.Rebind) }

// Expires returns when the server may give the address to others. The address is kept nevertheless, see machine.
func (l Lease) Expires() time.Time { return l.Begun.Add(l.Length) }

// maxLifetime is the maxLifetime life of an address that the kernel does not take for one without an end. Every lease's
// address gets it: so it can be told from a static one, and yet stays when nobody renews it for some time.
const maxLifetime = (math.MaxUint32 - 1) * time.Second

// readLease reads an acknowledgement of what was asked for at begun. The rules are those of RFC 2131,
// 4.4.1 and 4.4.5, and RFC 3442. A message that nothing usable can be made of is an error.
func readLease(link string, mac netstate.MAC, ack *dhcpv4.DHCPv4, begun time.Time) (Lease, error) {
	l := Lease{Link: link, MAC: mac, Begun: begun, Server: addr(ack.ServerIdentifier())}
	address := addr(ack.YourIPAddr)
	if !usable(address) {
		return Lease{}, fmt.Errorf("%s cannot be the address of a link", ack.YourIPAddr)
	}
	bits, err := networkBits(ack)
	if err != nil {
		return Lease{}, err
	}
	l.Address = netip.PrefixFrom(address, bits)
	l.Length = min(ack.IPAddressLeaseTime(0), maxLifetime)
	if l.Length <= 0 {
		return Lease{}, errors.New("the message does not say how long the lease lasts")
	}
	l.Renew, l.Rebind = ack.IPAddressRenewalTime(l.Length/2), ack.IPAddressRebindingTime(l.Length/8*7)
	if l.Renew <= 0 || l.Renew > l.Rebind || l.Rebind > l.Length {
		l.Renew, l.Rebind = l.Length/2, l.Length/8*7
	}
	l.Routes = readRoutes(ack)
	for _, server := range ack.DNS() {
		if s := addr(server); usable(s) {
			l.DNS = append(l.DNS, s)
		}
	}
	l.Search = readSearch(ack)
	return l, nil
}

// networkBits returns the length of the network: of the mask, or of the address's class when there is none.
func networkBits(ack *dhcpv4.DHCPv4) (int, error) {
	mask := ack.SubnetMask()
	if mask == nil {
		mask = ack.YourIPAddr.DefaultMask()
	}
	bits, of := mask.Size()
	if of != 32 || bits == 0 {
		return 0, fmt.Errorf("%s is not the mask of a network", net.IP(mask))
	}
	return bits, nil
}

// readRoutes returns the classless routes. When there are any, the routers do not count (RFC 3442).
func readRoutes(ack *dhcpv4.DHCPv4) []Route {
	var routes []Route
	for _, route := range ack.ClasslessStaticRoute() {
		bits, _ := route.Dest.Mask.Size()
		r := Route{Destination: netip.PrefixFrom(addr(route.Dest.IP), bits).Masked()}
		if gateway := addr(route.Router); usable(gateway) {
			r.Gateway = gateway
		} else if !gateway.IsUnspecified() {
			continue // it is no host's
		}
		routes = append(routes, r)
	}
	if len(routes) > 0 {
		return routes
	}
	for _, router := range ack.Router() {
		if gateway := addr(router); usable(gateway) {
			return []Route{{Destination: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Gateway: gateway}}
		}
	}
	return nil
}

// readSearch returns the search list (RFC 3397), or the domain for want of one. What is not a domain name
// is left out: it would end up in a file of one word after another.
func readSearch(ack *dhcpv4.DHCPv4) []string {
	domains := strings.Fields(ack.DomainName())
	if list := ack.DomainSearch(); list != nil && len(list.Labels) > 0 {
		domains = list.Labels
	}
	return domainsOf(domains)
}

// domainsOf returns those of a list that are domain names.
func domainsOf(list []string) []string {
	var search []string
	for _, domain := range list {
		if isDomain(domain) {
			search = append(search, domain)
		}
	}
	return search
}

// isDomain reports whether a text is letters, digits, hyphens and underscores, with single dots between.
func isDomain(text string) bool {
	for label := range strings.SplitSeq(strings.TrimSuffix(text, "."), ".") {
		odd := strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-_")
		if label == "" || len(label) > 63 || odd != "" {
			return false
		}
	}
	return len(text) <= 253
}

// usable6 reports whether an IPv6 address can be lent to one host.
func usable6(a netip.Addr) bool {
	return a.Is6() && !a.Is4In6() && a.IsGlobalUnicast()
}

// usable reports whether an address can belong to one host.
func usable(a netip.Addr) bool {
	return a.Is4() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && a != broadcast()
}

// broadcast returns 255.255.255.255.
func broadcast() netip.Addr { return netip.AddrFrom4([4]byte{255, 255, 255, 255}) }

// addr returns an address as the rest of the code has it; the zero Addr for none.
func addr(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip.To4())
	return a
}
