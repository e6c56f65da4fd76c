// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"maps"
	"slices"
)

// A Removal is a policy that is to be undone on a node.
type Removal struct {
	// Before is the node before the policy, and Desired all that it ever desired, the newest first.
	Before  State
	Desired []State
	// Others are the desired states of other policies, and of those that are gone and left what they made.
	Others []State
}

// Wishes returns what undoes the policy on a node as it is now, to be planned by PlanRemoval one after the other. It is
// what Revert says, but for what is not the policy's to undo: what others have changed since, what other policies name,
// and what their links, routes and ports, or links that people made since, stand on. Where each of the other policies
// holds now, it holds afterwards. See docs/decisions/0017.
func (r Removal) Wishes(current State) []State {
	before, current := r.Before.complete(), current.complete()
	var others State
	for _, other := range r.Others {
		others.Interfaces = append(others.Interfaces, other.Interfaces...)
		others.Routes.Config = append(others.Routes.Config, other.Routes.Config...)
		others.RouteRules.Config = append(others.RouteRules.Config, other.RouteRules.Config...)
		if other.DNS.Config != nil {
			others.DNS = other.DNS
		}
	}
	made := make([]State, len(r.Desired))
	wishes := make([]State, len(r.Desired))
	for n, desired := range r.Desired {
		made[n] = Merge(before, desired)
		wishes[n] = leading(made[n], before.heeding(desired))
	}
	ground := groundOf(current, others, wishes)
	ground.addPeople(current)
	now := current
	for n, wish := range wishes {
		c := since{before: before.index(), made: made[n].index(), ever: made, now: current.index()}
		wish.Interfaces = c.spare(wish.Interfaces)
		wish = ground.spare(Without(current, wish, others))
		wish = sparing(now, wish, r.Others)
		now, wishes[n] = after(now, wish), wish
	}
	return wishes
}

// Remaining returns the links that the policy made and that are there all the same once it is undone, since others use
// them, with the names of the links that are plugged into them, stand on them or are their other end. A link that is
// another policy's as well is not among them.
func (r Removal) Remaining(current State) map[string][]string {
	remaining, now, theirs := map[string][]string{}, current.index(), map[string]bool{}
	for _, other := range r.Others {
		maps.Copy(theirs, Held(other))
	}
	for _, desired := range r.Desired {
		for _, d := range Revert(r.Before, desired).Interfaces {
			link := now[d.Name]
			if d.State != StateAbsent || link == nil || theirs[d.Name] {
				continue
			}
			remaining[d.Name] = r.users(*link, current)
		}
	}
	return remaining
}

// users names the ports of a link, what stands on it or is its other end, and others' routes through it.
func (r Removal) users(link Interface, current State) []string {
	users := slices.Clone(link.Ports())
	for _, other := range current.Interfaces {
		if other.Base() == link.Name || other.Veth != nil && other.Veth.Peer == link.Name {
			users = append(users, other.Name)
		}
	}
	for _, other := range r.Others {
		for _, route := range other.Routes.Config {
			if route.State != StateAbsent && route.NextHopInterface == link.Name {
				users = append(users, "the route to "+route.Destination.String())
			}
		}
	}
	return users
}

// A since is what became of a node that was as before says, that a policy was to make as made says, and that is as now
// says. ever is what each of the policy's generations was to make of it.
type since struct {
	before, made, now map[string]*Interface
	ever              []State
}

// spare returns the entries that undo the policy without what others have changed since: links that they removed or
// made again, ports that they plugged in or pulled out, and keys that they have set.
func (c since) spare(entries []Interface) []Interface {
	var spared []Interface
	for _, d := range entries {
		made, now := c.made[d.Name], c.now[d.Name]
		switch {
		case (made == nil) != (now == nil): // removed since, or made again
		case now == nil:
			spared = append(spared, c.withPorts(d, Interface{}))
		case made.Type != now.Type: // replaced
		case d.State == StateAbsent:
			spared = append(spared, d)
		default:
			spared = append(spared, c.withPorts(c.withKeys(d), *now))
		}
	}
	return spared
}

// withKeys returns an entry for a link that is there without the keys that others have set since.
func (c since) withKeys(d Interface) Interface {
	before, made, now := c.before[d.Name], c.made[d.Name], c.now[d.Name]
	if before.State == made.State {
		d.State = now.State
	}
	if made.MTU != nil && now.MTU != nil && *made.MTU != *now.MTU && now.Base() == made.Base() {
		d.MTU = nil
	}
	if deref(made.Description) != deref(now.Description) {
		d.Description = nil
	}
	if deref(made.Controller) != deref(now.Controller) {
		d.Controller = nil
		if now.Controller != nil {
			d.IPv4, d.IPv6 = nil, nil // a port has none
		}
	}
	return d
}

// withPorts returns an entry whose port list has the ports that others plugged in since, and lacks those that they
// pulled out or plugged in elsewhere.
func (c since) withPorts(d, now Interface) Interface {
	if d.Ports() == nil {
		return d
	}
	before, made := c.before[d.Name].ports(), c.made[d.Name].ports()
	d = d.WithoutPorts(func(port string) bool {
		if slices.Contains(made, port) {
			return c.now[d.Name] != nil && !slices.Contains(now.Ports(), port)
		}
		is, was := c.now[port], c.made[port]
		return is != nil && was != nil && deref(is.Controller) != deref(was.Controller)
	})
	for _, port := range now.Ports() {
		ours := slices.ContainsFunc(c.ever, func(made State) bool {
			link, found := made.Interface(d.Name)
			return found && slices.Contains(link.Ports(), port)
		})
		link := c.now[port]
		if link != nil && !link.Foreign() && !ours && !slices.Contains(before, port) {
			d = d.withPortOf(now, port)
		}
	}
	return d
}

// sparing returns a wish without what keeps a policy of others from holding that holds now: nothing as a rule, since
// what they name and stand on is left out before. Of the rest, every part is left out after which one would not hold.
func sparing(now, wish State, others []State) State {
	others = slices.DeleteFunc(slices.Clone(others), func(other State) bool { return !holds(now, other) })
	harmless := func(wish State) bool {
		then := after(now, wish)
		return !slices.ContainsFunc(others, func(other State) bool { return !holds(then, other) })
	}
	if harmless(wish) {
		return wish
	}
	var spared State
	for _, part := range partsOf(wish) {
		more := State{Interfaces: slices.Concat(spared.Interfaces, part.Interfaces), DNS: spared.DNS}
		more.Routes.Config = slices.Concat(spared.Routes.Config, part.Routes.Config)
		more.RouteRules.Config = slices.Concat(spared.RouteRules.Config, part.RouteRules.Config)
		if part.DNS.Config != nil {
			more.DNS = part.DNS
		}
		if harmless(more) {
			spared = more
		}
	}
	return spared
}

// partsOf returns the entries of a wish, each as a wish of its own.
func partsOf(wish State) []State {
	var parts []State
	for _, d := range wish.Interfaces {
		parts = append(parts, State{Interfaces: []Interface{d}})
	}
	for _, route := range wish.Routes.Config {
		parts = append(parts, State{Routes: Routes{Config: []Route{route}}})
	}
	for _, rule := range wish.RouteRules.Config {
		parts = append(parts, State{RouteRules: RouteRules{Config: []RouteRule{rule}}})
	}
	if wish.DNS.Config != nil {
		parts = append(parts, State{DNS: wish.DNS})
	}
	return parts
}

// holds reports whether there is nothing to do for a desired state. Of which other policy an address is does not
// matter.
func holds(current, desired State) bool {
	current.Interfaces = slices.Clone(current.Interfaces)
	for n, i := range current.Interfaces {
		link := &current.Interfaces[n]
		link.IPv4, link.IPv6 = i.IPv4.disowned(), i.IPv6.disowned()
	}
	steps, err := Plan(Own(current, desired), desired)
	return err == nil && !slices.ContainsFunc(steps, func(s Step) bool { return s.Kind != StepManager })
}

// disowned returns an IP configuration with addresses that are nobody's of ours.
func (ip *IP) disowned() *IP {
	if ip == nil || len(ip.Address) == 0 {
		return ip
	}
	bare := *ip
	bare.Address = slices.Clone(ip.Address)
	for n := range bare.Address {
		bare.Address[n].Owned = false
	}
	return &bare
}

// after returns a state once the steps towards a wish are taken.
func after(current, wish State) State {
	steps := PlanBack(current, wish)
	current = WithoutLeases(current.complete())
	for _, step := range steps {
		if next, err := current.Apply(step); err == nil {
			current = next
		}
	}
	return current
}

// Kept returns what of a policy that is undone has to be made again after a boot, since other policies stand on it: its
// links with their ports, up and as large as they are, without addresses unless routes need them.
func (r Removal) Kept(current State) State {
	wishes := make([]State, len(r.Desired))
	for n, desired := range r.Desired {
		wishes[n] = Revert(r.Before, desired)
	}
	var others, kept State
	for _, other := range r.Others {
		others.Interfaces = append(others.Interfaces, other.Interfaces...)
		others.Routes.Config = append(others.Routes.Config, other.Routes.Config...)
	}
	g, theirs := groundOf(current, others, wishes), Held(others)
	for _, desired := range r.Desired {
		for _, d := range desired.Interfaces {
			_, twice := kept.Interface(d.Name)
			if twice || !d.wanted() || g.now[d.Name] == nil || theirs[d.Name] || !g.stood[d.Name] && !g.plugged[d.Name] {
				continue
			}
			if !g.goes[d.Name] {
				d = Interface{Name: d.Name, Type: d.Type, State: d.State, MTU: d.MTU, IPv4: d.IPv4, IPv6: d.IPv6,
					Identifier: d.Identifier, MAC: d.MAC}
				if !d.byMAC() {
					d.MAC = nil
				}
			}
			if !g.routed[d.Name] {
				d.IPv4, d.IPv6 = nil, nil
			}
			kept.Interfaces = append(kept.Interfaces, d)
		}
	}
	return kept
}
