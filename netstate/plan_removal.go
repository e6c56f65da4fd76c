// SPDX-License-Identifier: Apache-2.0

package netstate

import "slices"

// PlanRemoval returns the steps towards wishes, what Revert returned for a policy that is gone and its earlier
// generations, one after the other. It is PlanBack, which never fails, with what NetworkManager has of the links taken
// over before: it would act in the middle. systemd-networkd acts on its files alone, and has nothing to be told.
func PlanRemoval(current State, wishes []State) []Step {
	var steps []Step
	now := current
	for _, wish := range wishes {
		more := PlanBack(now, wish)
		now = WithoutLeases(now.complete())
		for _, step := range more {
			if after, err := now.Apply(step); err == nil {
				now = after
			}
		}
		steps = append(steps, more...)
	}
	return slices.Concat(takeOverFrom(NetworkManager, managedLinks(current), touchedBy(steps)), steps)
}

// Without returns a wish without what others name: links they ask something of, routes and rules they want, and name
// servers if they have an opinion on them. A port that they name stays where it is.
func Without(current, wish, others State) State {
	theirs, now := Held(others), current.index()
	plugged := map[string]string{}
	for _, i := range others.Interfaces {
		theirs[i.Name] = true
		if i.wanted() {
			plugged[i.Name] = deref(i.Controller)
		}
	}
	var rest []Interface
	for _, i := range wish.Interfaces {
		if theirs[i.Name] {
			continue
		}
		elsewhere := func(port string) bool {
			return theirs[port] && (now[port] == nil || deref(now[port].Controller) != i.Name)
		}
		i = i.WithoutPorts(elsewhere)
		if link := now[i.Name]; link != nil && i.Ports() != nil {
			for _, port := range link.Ports() {
				if plugged[port] == i.Name {
					i = i.withPortOf(*link, port)
				}
			}
		}
		rest = append(rest, i)
	}
	wish.Interfaces = rest
	wish.Routes.Config = slices.DeleteFunc(slices.Clone(wish.Routes.Config), func(route Route) bool {
		return slices.ContainsFunc(others.Routes.Config, func(r Route) bool { return r.matches(route) })
	})
	wish.RouteRules.Config = slices.DeleteFunc(slices.Clone(wish.RouteRules.Config), func(rule RouteRule) bool {
		return slices.ContainsFunc(others.RouteRules.Config, func(r RouteRule) bool { return r.matches(rule) })
	})
	if others.DNS.Config != nil {
		wish.DNS = DNS{}
	}
	return wish
}
