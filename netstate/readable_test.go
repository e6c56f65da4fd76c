// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"net/netip"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
)

// readable returns a state as people, pods and programs can have left it, most of which no policy may ask for: Read
// returns it all the same.
func (c *choices) readable(s State) State {
	s.Interfaces = slices.Clone(s.Interfaces)
	for n := range s.Interfaces {
		i := &s.Interfaces[n]
		if i.Type == TypeLoopback {
			continue
		}
		c.handMade(i)
		c.handMadePart(i, s)
	}
	for range c.below(4) {
		s = c.withForeign(s)
	}
	return c.withRoutes(s).complete()
}

// handMade changes what every link has.
func (c *choices) handMade(i *Interface) {
	on := func() bool { return c.below(4) == 0 }
	if on() {
		acceptRA := c.below(3)
		i.IPv6 = &IP{Enabled: new(true), DHCP: new(false),
			Autoconf: new(acceptRA > 0 && c.below(2) == 0), AcceptRA: &acceptRA,
			Forwarding: new(c.below(2) == 0), AddrGenMode: new(pick(c, "eui64", "stable-privacy", "none", "random"))}
		if acceptRA == 0 && c.below(2) == 0 {
			i.IPv6.AutoconfSwitch = new(true)
		}
		if i.State == StateUp && c.below(2) == 0 {
			i.IPv6.Token = new("::77")
			if !i.takesToken() {
				i.Details = "neighbours"
			}
			i.IPv6.Address = append(c.handMadeAddresses("2001:db8:77::%d", pick(c, 64, 128)),
				Address{IP: netip.MustParseAddr("fe80::77"), PrefixLength: 64})
			i.IPv6.DHCP = new(slices.ContainsFunc(i.IPv6.Address, Address.leased6)) // as Read takes it to be
		}
	}
	if on() && len(addresses(i, ipv4)) == 0 { // or a gateway would be out of reach
		addresses := c.handMadeAddresses("198.18.0.%d", pick(c, 24, 32))
		i.IPv4 = &IP{Enabled: new(true), Forwarding: new(true), Address: addresses,
			DHCP: new(slices.ContainsFunc(addresses, Address.Dynamic))} // as Read takes it to be
	}
	if on() {
		i.AcceptAllMAC = new(true)
	}
	if on() {
		i.Description = new("by hand")
	}
	if on() && i.Type == TypeEthernet {
		i.PermanentMAC = nil
		i.Ethtool = &Ethtool{Feature: Features{"rx-gro": c.below(2) == 0}, Ring: &Ring{RX: new(512), RXMax: new(4096)}}
		i.Ethernet = &Ethernet{SRIOV: &SRIOV{TotalVFs: new(c.below(3))}}
	}
}

func (c *choices) handMadeAddresses(format string, length int) []Address {
	chosen := c.addresses(format, length)
	for n := range chosen {
		if c.below(3) == 0 {
			chosen[n].ValidLifeTime, chosen[n].PreferredLifeTime = 3600, 1800
		}
		chosen[n].Details = pick(c, "", "", Opaque("label and scope"))
	}
	return chosen
}

// handMadePart changes what only some links have.
func (c *choices) handMadePart(i *Interface, s State) {
	if c.below(2) == 0 {
		return
	}
	switch {
	case i.VLAN != nil:
		id := *i.VLAN.ID
		taken := slices.ContainsFunc(s.Interfaces, func(other Interface) bool {
			return other.VLAN != nil && other.Base() == i.Base() && *other.VLAN.ID == 0
		})
		if !taken {
			id = 0
		}
		i.VLAN = &VLAN{BaseIface: i.VLAN.BaseIface, ID: &id, Protocol: i.VLAN.Protocol, ReorderHeaders: new(false),
			LooseBinding: i.VLAN.LooseBinding, RegistrationProtocol: new(pick(c, "none", "gvrp"))}
		i.Details = "maps of priorities"
	case i.Bond != nil:
		bond := *i.Bond
		mode := pick(c, "active-backup", "active-backup", "balance-alb", "broadcast", "balance-rr")
		bond.Mode, bond.Options = &mode, applicable(bondDefaults(mode), nil, mode)
		if mode == "active-backup" {
			bond.Options.FailOverMAC = new(pick(c, "active", "follow"))
			bond.Options.Miimon = new(100)
		}
		if len(bond.Port) > 0 {
			bond.PortsConfig = []BondPort{{Name: bond.Port[0], QueueID: new(3)}}
			if bond.hasActivePort() {
				bond.Active = bond.Port[0]
			}
		}
		i.Bond = &bond
	case i.Bridge != nil:
		bridge := *i.Bridge
		bridge.Options = &BridgeOptions{STP: &STP{Enabled: new(false), Priority: new(7)}, VLANDefaultPVID: new(c.below(2))}
		bridge.VLANFiltering, bridge.OwnVLANs = new(c.below(2) == 0), []VLANEntry{{Min: 10, Max: 10}}
		bridge.Port = slices.Clone(bridge.Port)
		for n := range bridge.Port {
			bridge.Port[n].RawVLANs = []VLANEntry{{Min: 20, Max: 20, Untagged: true}}
			bridge.Port[n].Details = "isolated"
		}
		i.Bridge, i.KeepsMAC = &bridge, new(c.below(2) == 0)
	case i.MACVLAN != nil:
		i.MACVLAN = &MACVLAN{BaseIface: i.MACVLAN.BaseIface, Mode: i.MACVLAN.Mode, Promiscuous: new(false)}
	}
}

// withForeign returns a state with a link of a pod, a VM or a program, in a bridge if there is one.
func (c *choices) withForeign(s State) State {
	i := Interface{Name: pick(c, "vethpod", "tap7", "wg0"), State: StateIgnore, MTU: new(1500),
		IPv4: disabledIPv4(), IPv6: disabledIPv6()}
	if _, twice := s.Interface(i.Name); twice {
		return s
	}
	switch i.Name {
	case "vethpod":
		i.Type, i.Ignored = TypeVeth, StateUp
	case "tap7":
		i.Type = TypeTun
	default:
		i.Type, i.MTU = TypeUnknown, new(1420)
	}
	for n, bridge := range s.Interfaces {
		if bridge.Bridge != nil && i.Type != TypeUnknown && c.below(2) == 0 {
			i.Controller = new(bridge.Name)
			s.Interfaces[n].addPort(i.Name, Attachment{Controller: bridge.Name, Type: TypeBridge})
			break
		}
	}
	s.Interfaces = append(s.Interfaces, i)
	return s
}

// withRoutes returns a state with routes and rules that no document can say.
func (c *choices) withRoutes(s State) State {
	s.Routes.Running, s.Routes.Config = slices.Clone(s.Routes.Running), slices.Clone(s.Routes.Config)
	s.Routes.Other, s.RouteRules.Config = slices.Clone(s.Routes.Other), slices.Clone(s.RouteRules.Config)
	for _, i := range s.Interfaces {
		if i.State != StateUp || len(addresses(&i, ipv4)) == 0 || c.below(2) == 0 {
			continue
		}
		r := Route{Destination: netip.MustParsePrefix(pick(c, "10.7.0.0/16", "0.0.0.0/0")), NextHopInterface: i.Name,
			Metric: new(700 + c.below(3)), TableID: new(pick(c, TableMain, 7)), Protocol: pick(c, 4, 3, 16)}
		switch c.below(8) {
		case 0:
			r.NextHopAddress = netip.MustParseAddr("fe80::1")
		case 1:
			r.NextHopAddress, r.OnLink = netip.MustParseAddr("172.31.1.1"), true
		case 2:
			r.NextHopID = 12
		case 3:
			r.TOS = 16
		case 4:
			if first := addresses(&i, ipv4)[0]; !first.Dynamic() { // else the route goes with the lease
				r.Source = first.IP
			}
		case 5:
			r.Hop, r.Details = "realm", "advmss"
		case 6:
			r.Expires = 600
		case 7:
			r.Protocol = 186
		}
		if routeKeys(allRoutes(s.Routes))[r.key()] {
			continue
		}
		if !r.Shown() {
			s.Routes.Other = append(s.Routes.Other, r)
			continue
		}
		s.Routes.Running = append(s.Routes.Running, r)
		if r.configured() {
			s.Routes.Config = append(s.Routes.Config, r)
		}
	}
	if c.below(3) == 0 {
		rule := RouteRule{Family: new("ipv4"), Priority: new(77), RouteTable: new(9), Protocol: 4, Details: "tos and oif"}
		if !hasRule(s.RouteRules.Config, rule) {
			s.RouteRules.Config = append(s.RouteRules.Config, rule)
		}
	}
	return s
}

// untaught returns a state without what it was taught, which a plan does not bring back: who taught it does.
func untaught(s State) State {
	s.Interfaces = slices.Clone(s.Interfaces)
	for n, i := range s.Interfaces {
		for version, ip := range map[**IP]*IP{&s.Interfaces[n].IPv4: i.IPv4, &s.Interfaces[n].IPv6: i.IPv6} {
			static := *ip
			static.Address = slices.DeleteFunc(slices.Clone(ip.Address), Address.Dynamic)
			*version = &static
		}
		s.Interfaces[n].IPv4.Enabled = nil
	}
	s.Routes.Running = slices.DeleteFunc(slices.Clone(s.Routes.Running), Route.Learnt)
	s.Routes.Other = slices.DeleteFunc(slices.Clone(s.Routes.Other), Route.Learnt)
	return s
}

// Whatever state Read returns, what a policy makes of it is undone, step by step and by a plan.
func TestFromAnyReadableStateThereIsAWayBack(t *testing.T) {
	bare := loadState(t, "testdata/states/01-bare.yaml").complete()
	applied := 0
	for seed := range 3000 {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			c := choices(randomBytes(500000+seed, 900))
			current := asRead(bare)
			for range 2 {
				if steps, err := Plan(current, c.policy()); err == nil {
					current = asRead(apply(t, current, steps))
				}
			}
			current = c.readable(current)
			for n := range current.Interfaces {
				current.Interfaces[n].Owned = false
			}
			desired := c.policy()
			steps, err := Plan(current, desired)
			if err != nil {
				return
			}
			applied++
			after := apply(t, current, steps)
			for n := range steps {
				taken := steps[:n+1]
				wantEqual(t, "undone\n"+Format(taken), apply(t, apply(t, current, taken), Invert(taken)), current)
			}
			wish := Revert(current, desired)
			back := PlanBack(Own(after, desired), wish)
			wantEqual(t, "the plan\n"+Format(steps)+"was reverted by\n"+Format(back),
				untaught(apply(t, after, back)), untaught(current))
			lost := withoutLink(after, "eth1")
			apply(t, lost, PlanBack(Own(lost, desired), wish))
		})
	}
	assert.Greater(t, applied, 1000, "policies of which there is a way back")
}
