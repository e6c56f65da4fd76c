// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"maps"
	"slices"
)

// takeOver adds to a plan the steps that take links over from their managers: those the plan touches, and those that
// desired names. NetworkManager leaves a link as it is when it is told to, so it is told first. networkd reads its
// configuration again once the change is made, so it is told last.
func takeOver(now, desired State, steps []Step) []Step {
	managed := managedLinks(now)
	if len(managed) == 0 {
		return steps
	}
	touched := touchedBy(steps)
	maps.Copy(touched, Held(desired))
	return slices.Concat(takeOverFrom(NetworkManager, managed, touched), steps, takeOverFrom(Networkd, managed, touched))
}

// managedLinks returns the managers of links that can be taken over, by link.
func managedLinks(now State) map[string]Manager {
	managed := map[string]Manager{}
	for _, i := range now.Interfaces {
		if i.Manager.Yields() {
			managed[i.Name] = i.Manager
		}
	}
	return managed
}

// touchedBy returns the links that steps are about.
func touchedBy(steps []Step) map[string]bool {
	touched := map[string]bool{}
	for _, step := range steps {
		touched[step.Link] = true
		for _, controller := range step.controllers() {
			touched[controller] = true
		}
	}
	return touched
}

func takeOverFrom(m Manager, managed map[string]Manager, touched map[string]bool) []Step {
	var steps []Step
	for _, name := range slices.Sorted(maps.Keys(touched)) {
		if managed[name] == m {
			steps = append(steps, Step{Kind: StepManager, Link: name, From: Value{Manager: m}})
		}
	}
	return steps
}

// WithoutLeases returns a current state in which the links of managers have no DHCP: it is the manager's client that
// has the lease, so that one of ours must be started if the link is to have it still when it is taken over.
func WithoutLeases(current State) State {
	current.Interfaces = slices.Clone(current.Interfaces)
	for n, i := range current.Interfaces {
		if i.Manager.Yields() {
			current.Interfaces[n].IPv4, current.Interfaces[n].IPv6 = i.IPv4.withoutLease(), i.IPv6.withoutLease()
		}
	}
	return current
}

// withoutLease returns a configuration that nobody is asked for.
func (ip *IP) withoutLease() *IP {
	if ip == nil || !isTrue(ip.DHCP) {
		return ip
	}
	static := *ip
	static.DHCP = new(false)
	return &static
}

// Held returns the names of the links that a desired state asks something of, and of those it makes ports: no manager
// may touch them while it is to hold.
func Held(desired State) map[string]bool {
	held := map[string]bool{}
	for _, i := range desired.Interfaces {
		if !i.wanted() {
			continue
		}
		held[i.Name] = true
		for _, port := range i.Ports() {
			held[port] = true
		}
	}
	return held
}

// Inherit returns what a desired state has to say besides so that links it takes over from managers keep their
// addresses: for each that it wants up without a word about IPv4 or IPv6, that it be as it is now, leased or static,
// with the routes through it that somebody configured. Nobody else renews or restores them from then on. It returns
// entries of interfaces with these keys only, and is empty where nothing is managed.
func Inherit(current, desired State) State {
	current = current.complete()
	target := Merge(current, desired).index()
	now := current.index()
	var legacy State
	for _, d := range desired.Interfaces {
		link := now[d.Name]
		if link == nil || !link.Manager.Yields() || !d.wanted() || d.State == StateDown || target[d.Name] == nil ||
			target[d.Name].Controller != nil && *target[d.Name].Controller != "" {
			continue
		}
		entry := Interface{Name: d.Name}
		if d.IPv4 == nil {
			entry.IPv4 = inheritIPv4(link.IPv4)
		}
		if d.IPv6 == nil {
			entry.IPv6 = inheritIPv6(link.IPv6)
		}
		if entry.IPv4 == nil && entry.IPv6 == nil {
			continue
		}
		legacy.Interfaces = append(legacy.Interfaces, entry)
		legacy.Routes.Config = append(legacy.Routes.Config, inheritRoutes(current.Routes.Config, entry)...)
	}
	return legacy
}

func inheritIPv4(now *IP) *IP {
	if now == nil || len(now.Address) == 0 {
		return nil
	}
	if slices.ContainsFunc(now.Address, Address.Dynamic) {
		return &IP{Enabled: new(true), DHCP: new(true)}
	}
	return &IP{Enabled: new(true), DHCP: new(false), Address: slices.Clone(now.Address)}
}

func inheritIPv6(now *IP) *IP {
	if now == nil || !isTrue(now.Enabled) {
		return nil
	}
	static := slices.DeleteFunc(slices.Clone(now.Address), func(a Address) bool {
		return a.Dynamic() || a.IP.IsLinkLocalUnicast()
	})
	if len(static) == len(now.Address) && len(static) > 0 {
		return &IP{Enabled: new(true), Autoconf: new(false), Address: static}
	}
	if slices.ContainsFunc(now.Address, Address.Dynamic) {
		leased := slices.ContainsFunc(now.Address, Address.leased6)
		return &IP{Enabled: new(true), DHCP: new(leased), Autoconf: new(true)} // the manager answered routers itself
	}
	return nil
}

// inheritRoutes returns the routes through a link whose addresses are inherited as static ones.
func inheritRoutes(routes []Route, entry Interface) []Route {
	var kept []Route
	for _, r := range routes {
		ip := entry.IPv4
		if r.Destination.IsValid() && !r.Destination.Addr().Is4() {
			ip = entry.IPv6
		}
		if r.NextHopInterface == entry.Name && ip != nil && ip.Address != nil {
			kept = append(kept, r)
		}
	}
	return kept
}

// WithInherited returns desired with what Inherit found for it, where it still says nothing about it itself.
func WithInherited(desired, legacy State) State {
	if len(legacy.Interfaces) == 0 {
		return desired
	}
	desired.Interfaces = slices.Clone(desired.Interfaces)
	desired.Routes.Config = slices.Clone(desired.Routes.Config)
	for n, d := range desired.Interfaces {
		if !d.wanted() {
			continue
		}
		desired.Interfaces[n] = d.withInherited(legacy.Interfaces)
		for _, r := range legacy.Routes.Config {
			same := func(o Route) bool { return o.key() == r.key() }
			if r.NextHopInterface == d.Name && !slices.ContainsFunc(desired.Routes.Config, same) {
				desired.Routes.Config = append(desired.Routes.Config, r)
			}
		}
	}
	return desired
}

func (i Interface) withInherited(legacy []Interface) Interface {
	for _, from := range legacy {
		if from.Name != i.Name {
			continue
		}
		if i.IPv4 == nil {
			i.IPv4 = from.IPv4
		}
		if i.IPv6 == nil {
			i.IPv6 = from.IPv6
		}
	}
	return i
}

func (s *State) applyManager(step Step) error {
	link := s.link(step.Link)
	switch {
	case link == nil:
		return errNoLink
	case link.Manager != step.From.Manager && link.Manager != step.To.Manager:
		return errOtherManager
	}
	link.Manager = step.To.Manager
	return nil
}

// Unyielding returns of the links that a desired state names, and of their ports, which are managed by a program that
// cannot be told to leave them alone. Each is one sentence.
func Unyielding(current, desired State) []string { return unyielding(current.index(), Held(desired)) }

func unyielding(links map[string]*Interface, touched map[string]bool) []string {
	var warnings []string
	for _, name := range slices.Sorted(maps.Keys(touched)) {
		link := links[name]
		if link == nil || link.Manager == "" || link.Manager.Yields() {
			continue
		}
		warnings = append(warnings, name+" is managed by "+string(link.Manager)+
			", which cannot be told to leave it alone: take it out of the configuration of "+string(link.Manager))
	}
	return warnings
}

// managerCosts returns what the steps mean to managers of links: those that cannot be told, and profiles of
// kubernetes-nmstate that have no effect meanwhile.
func managerCosts(links map[string]*Interface, steps []Step) []string {
	touched := map[string]bool{}
	var costs []string
	for _, step := range steps {
		touched[step.Link] = true
		link := links[step.Link]
		if step.Kind == StepManager && step.To.Manager == "" && link != nil && link.Legacy && link.ProfileName != nil {
			costs = append(costs, "the profile "+*link.ProfileName+" of "+step.Link+
				", which kubernetes-nmstate left, stays on disk and has no effect (annotation "+
				"bridgehead.dev/nmstate-profiles: remove deletes it)")
		}
	}
	return append(costs, unyielding(links, touched)...)
}

const errOtherManager = constError("somebody else manages it")
