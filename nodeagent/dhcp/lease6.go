// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// errWithdrawn says that the server ends a lease.
var errWithdrawn = errors.New("the server takes the address back")

// An answer6 is what a message says about the association of a client.
type answer6 struct {
	server dhcpv6.DUID
	// status is that of the message or else that of the association.
	status iana.StatusCode
	ia     *dhcpv6.OptIANA
}

// readAnswer reads a message; ia is nil if it has none with the client's number.
func readAnswer(iaid [4]byte, m *dhcpv6.Message) answer6 {
	a := answer6{server: m.Options.ServerID()}
	if s := m.Options.Status(); s != nil {
		a.status = s.StatusCode
	}
	for _, ia := range m.Options.IANA() {
		if ia.IaId != iaid {
			continue
		}
		a.ia = ia
		if s := ia.Options.Status(); s != nil && a.status == iana.StatusSuccess {
			a.status = s.StatusCode
		}
		break
	}
	return a
}

// readLease6 reads the lease of what was asked for at begun. Of several addresses it is the one that is held, or else
// the first. The rules are those of RFC 8415, 18.2.10.1 and 21.4. errWithdrawn is the error when the one that is held
// has no time left and there is no other.
func (id identity6) readLease6(link string, m *dhcpv6.Message, held *Lease, begun time.Time) (Lease, error) {
	answer := readAnswer(id.iaid, m)
	if answer.server == nil || answer.ia == nil {
		return Lease{}, errors.New("the message offers this client no address")
	}
	var chosen *dhcpv6.OptIAAddress
	withdrawn := false
	for _, offered := range answer.ia.Options.Addresses() {
		address := addr6(offered.IPv6Addr)
		ours := held != nil && held.Address.Addr() == address
		switch {
		case ours && offered.ValidLifetime == 0:
			withdrawn = true
		case !usable6(address) || offered.ValidLifetime == 0 || offered.PreferredLifetime > offered.ValidLifetime:
		case chosen == nil || ours:
			chosen = offered
		}
	}
	switch {
	case chosen == nil && withdrawn:
		return Lease{}, errWithdrawn
	case chosen == nil:
		return Lease{}, errors.New("the message has no address")
	}
	l := Lease{
		Link: link, MAC: id.mac, ClientID: id.duid.ToBytes(), IAID: id.iaid, ServerID: answer.server.ToBytes(),
		Address: netip.PrefixFrom(addr6(chosen.IPv6Addr), 128), Deprecated: chosen.PreferredLifetime == 0,
		Begun: begun, Length: min(chosen.ValidLifetime, maxLifetime),
	}
	l.setTimes(*answer.ia, min(chosen.PreferredLifetime, l.Length))
	l.DNS, l.Search = readDNS6(link, m)
	return l, nil
}

// setTimes takes the times of an association, or what the RFC recommends where it leaves them to the client.
func (l *Lease) setTimes(ia dhcpv6.OptIANA, preferred time.Duration) {
	if preferred == 0 {
		preferred = l.Length
	}
	l.Renew, l.Rebind = min(ia.T1, maxLifetime), min(ia.T2, maxLifetime)
	if l.Rebind == 0 {
		l.Rebind = max(preferred/5*4, min(l.Renew, l.Length))
	}
	if l.Renew == 0 {
		l.Renew = min(preferred/2, l.Rebind)
	}
	if l.Renew > l.Rebind || l.Rebind > l.Length {
		l.Renew, l.Rebind = preferred/2, preferred/5*4
	}
}

// readDNS6 returns name servers and search list (RFC 3646).
func readDNS6(link string, m *dhcpv6.Message) (servers []netip.Addr, search []string) {
	for _, ip := range m.Options.DNS() {
		server := addr6(ip)
		switch {
		case usable6(server):
			servers = append(servers, server)
		case server.Is6() && server.IsLinkLocalUnicast():
			servers = append(servers, server.WithZone(link))
		}
	}
	if list := m.Options.DomainSearchList(); list != nil {
		search = domainsOf(list.Labels)
	}
	return servers, search
}

// addr6 returns an IPv6 address as the rest of the code has it.
func addr6(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a
}

// information returns what a message says besides addresses.
func information(link string, mac netstate.MAC, m *dhcpv6.Message, now time.Time) *Lease {
	l := &Lease{Link: link, MAC: mac, Begun: now}
	l.DNS, l.Search = readDNS6(link, m)
	return l
}
