// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Apply returns the state after a step. It is what a kernel would do, as far as a State shows it, and
// refuses what a kernel refuses and what a plan must not rely on: a step whose From is not so, a link made
// before its base or deleted under its ports, a link taken down while it still has routes or IPv6
// addresses. A step that finds everything as To says already is done. On error the state is unchanged.
func (s State) Apply(step Step) (State, error) {
	after := s
	after.Interfaces = slices.Clone(s.Interfaces)
	after = after.heeding(State{Interfaces: []Interface{{Name: step.Link}}})
	var err error
	switch step.Kind {
	case StepLink:
		err = after.applyLink(step)
	case StepSet, StepDHCP:
		err = after.applySet(step)
	case StepLLDP:
		err = after.applyLLDP(step)
	case StepPort:
		err = after.applyPort(step)
	case StepAddress:
		err = after.applyAddress(step)
	case StepRoute:
		err = after.applyRoute(step)
	case StepRule:
		err = after.applyRule(step)
	case StepManager:
		err = after.applyManager(step)
	case StepDNS:
		after.DNS.Config, after.DNS.Foreign = step.To.DNS, false
	default:
		err = fmt.Errorf("unknown kind %q", step.Kind)
	}
	if err != nil {
		return s, fmt.Errorf("%s: %w", step, err)
	}
	return after, nil
}

func (s *State) applyAddress(step Step) error {
	link := s.link(step.Link)
	if link == nil {
		return errNoLink
	}
	version := &link.IPv4
	if a := cmp.Or(step.From.Address, step.To.Address); a == nil {
		return errors.New("needs an address")
	} else if a.IP.Is6() {
		version = &link.IPv6
	}
	ip := IP{Enabled: new(true)}
	if *version != nil {
		ip = **version
	}
	if from := step.From.Address; from != nil {
		if !contains(ip.Address, *from) {
			return errors.New("the link does not have it")
		}
		ip.Address = slices.DeleteFunc(slices.Clone(ip.Address), func(a Address) bool { return a.Prefix() == from.Prefix() })
	}
	if to := step.To.Address; to != nil {
		if contains(ip.Address, *to) || slices.ContainsFunc(ip.Address, to.replaces) {
			return errors.New("the link has it already")
		}
		if to.IP.Is6() && !isTrue(ip.Enabled) {
			return errors.New("IPv6 is off")
		}
		ip.Address = append(slices.Clone(ip.Address), *to)
	}
	if version == &link.IPv4 {
		ip.Enabled = new(len(ip.Address) > 0 || isTrue(ip.DHCP))
	}
	*version = &ip
	return nil
}
