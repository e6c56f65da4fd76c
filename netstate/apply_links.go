// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

const errNoLink = constError("no such link")

// A constError is an error that is a constant.
type constError string

func (e constError) Error() string { return string(e) }

// link returns the interface itself, to be changed in a state that owns its list.
func (s *State) link(name string) *Interface {
	for n := range s.Interfaces {
		if s.Interfaces[n].Name == name {
			return &s.Interfaces[n]
		}
	}
	return nil
}

func (s *State) applyLink(step Step) error {
	for _, link := range []*Interface{step.From.Link, step.From.Peer} {
		if link == nil {
			continue
		}
		if err := s.deleteLink(*link); err != nil {
			return err
		}
	}
	for _, link := range []*Interface{step.To.Link, step.To.Peer} {
		if link == nil {
			continue
		}
		if err := s.makeLink(*link); err != nil {
			return err
		}
	}
	return nil
}

func (s *State) deleteLink(record Interface) error {
	link := s.link(record.Name)
	switch {
	case link == nil:
		return errNoLink
	case link.Type != record.Type:
		return fmt.Errorf("is a %s", link.Type)
	case link.Controller != nil || len(link.Ports()) > 0:
		return errors.New("is or has a port")
	case len(addresses(link, ipv4))+len(addresses(link, ipv6)) > 0 || s.routesThrough(link.Name):
		return errors.New("still has addresses or routes")
	}
	for _, other := range s.Interfaces {
		if other.Base() == link.Name {
			return fmt.Errorf("%s stands on it", other.Name)
		}
	}
	s.Interfaces = slices.DeleteFunc(s.Interfaces, func(i Interface) bool { return i.Name == record.Name })
	return nil
}

func (s *State) routesThrough(name string) bool {
	through := func(r Route) bool { return r.NextHopInterface == name }
	return slices.ContainsFunc(allRoutes(s.Routes), through)
}

func (s *State) makeLink(record Interface) error {
	if s.link(record.Name) != nil {
		return errors.New("exists already")
	}
	if base := record.Base(); base != "" {
		below := s.link(base)
		switch {
		case below == nil:
			return fmt.Errorf("its base %s does not exist", base)
		case record.followsBase() && record.State == StateUp && below.State != StateUp:
			return fmt.Errorf("its base %s is down", base)
		case aboveBase(record, *below):
			return fmt.Errorf("its base %s has a lower MTU", base)
		}
	}
	at, _ := slices.BinarySearchFunc(s.Interfaces, record.Name,
		func(i Interface, name string) int { return cmp.Compare(i.Name, name) })
	s.Interfaces = slices.Insert(s.Interfaces, at, record.complete(""))
	return nil
}

func aboveBase(link, base Interface) bool {
	return link.VXLAN == nil && link.MTU != nil && base.MTU != nil && *link.MTU > *base.MTU
}

func (s *State) applySet(step Step) error {
	from, to := step.From.Link, step.To.Link
	if from == nil || to == nil {
		return errors.New("needs both values")
	}
	link := s.link(step.Link)
	if link == nil {
		return errNoLink
	}
	have := *link
	have.Name, have.Type = from.Name, from.Type
	if !agrees(have, *from) {
		if agrees(have, *to) {
			return nil
		}
		return errors.New("it is not as expected")
	}
	if err := s.refuseSet(*link, *to); err != nil {
		return err
	}
	name, kind := link.Name, link.Type
	*link = assign(*link, *from, *to)
	link.Name, link.Type = name, kind
	link.IPv4 = link.IPv4.complete(disabledIPv4)
	link.IPv4.Enabled = new(len(link.IPv4.Address) > 0 || isTrue(link.IPv4.DHCP))
	link.IPv6 = link.IPv6.complete(disabledIPv6)
	if to.State != "" {
		s.cascade(name, to.State)
	}
	return nil
}

// refuseSet returns why a kernel would not take the change, or would lose something over it.
func (s *State) refuseSet(link, to Interface) error {
	if to.State == StateDown && link.State == StateUp {
		if err := s.refuseDown(link); err != nil {
			return err
		}
	}
	base := s.link(link.Base())
	if to.State == StateUp && link.followsBase() && base != nil && base.State == StateDown {
		return errors.New("its base is down")
	}
	if to.MTU != nil {
		if base != nil && aboveBase(Interface{MTU: to.MTU, VXLAN: link.VXLAN}, *base) {
			return errors.New("its base has a lower MTU")
		}
		for _, other := range s.Interfaces {
			if other.Base() == link.Name && aboveBase(other, Interface{MTU: to.MTU}) {
				return fmt.Errorf("%s on top has a higher MTU", other.Name)
			}
		}
	}
	if to.IPv6 != nil && to.IPv6.Enabled != nil && !*to.IPv6.Enabled && len(addresses(&link, ipv6)) > 0 {
		return errors.New("still has IPv6 addresses")
	}
	if to.Bond != nil && to.Bond.Mode != nil && (len(link.Ports()) > 0 || link.State == StateUp) {
		return errors.New("the bond has ports or is up")
	}
	return link.refuseBond(to)
}

// refuseBond refuses what the kernel would round, or change along with something else.
func (i Interface) refuseBond(to Interface) error {
	if to.Bond == nil || to.Bond.Options == nil || i.Bond == nil || i.Bond.Options == nil {
		return nil
	}
	now, o := i.Bond.Options, to.Bond.Options
	if o.Miimon != nil && (positive(now.UpDelay) || positive(now.DownDelay)) {
		return errors.New("its delays are counted in miimon")
	}
	after := i.Bond.interval()
	for _, delay := range []*int{o.UpDelay, o.DownDelay} {
		if positive(delay) && (after <= 0 || *delay%after != 0) {
			return errors.New("delays are multiples of miimon")
		}
	}
	return nil
}

// refuseDown returns what would be lost if the link, and what follows it, went down.
func (s *State) refuseDown(link Interface) error {
	if s.routesThrough(link.Name) || len(addresses(&link, ipv6)) > 0 {
		return fmt.Errorf("%s still has routes or IPv6 addresses", link.Name)
	}
	for _, other := range s.Interfaces {
		if other.Base() == link.Name && other.followsBase() && other.State == StateUp {
			if err := s.refuseDown(other); err != nil {
				return err
			}
		}
	}
	return nil
}

// cascade takes VLANs along with their base, as the kernel does.
func (s *State) cascade(base string, state LinkState) {
	for n := range s.Interfaces {
		if link := &s.Interfaces[n]; link.Base() == base && link.followsBase() && link.State != state {
			link.State = state
			s.cascade(link.Name, state)
		}
	}
}

// applyLLDP starts or stops to listen. What was before does not matter.
func (s *State) applyLLDP(step Step) error {
	link := s.link(step.Link)
	if link == nil {
		return errNoLink
	}
	link.LLDP = &LLDP{Enabled: new(step.To.Link.Listens())}
	return nil
}
