// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Check lists why a desired state that is valid in itself cannot be applied to a node with this current
// state: a NIC, base, port or controller that does not exist, an MTU beyond the driver's limits, a link that
// is somebody else's. Admission shows them as warnings; on the node they fail the plan. Paths begin with at.
func Check(current, desired State, at *field.Path) field.ErrorList {
	desired = Resolve(current, desired)
	return checkMerged(current.complete().heeding(desired), desired, Merge(current, desired), at)
}

func checkMerged(current, desired, target State, at *field.Path) field.ErrorList {
	c := newChecker(current, desired, target)
	errs := checkIdentified(current, desired, at)
	for n, d := range desired.Interfaces {
		here := desired.pathOf(at, n)
		switch {
		case d.State == StateAbsent:
			errs = append(errs, c.checkAbsent(d, here)...)
		case d.wanted():
			errs = append(errs, c.checkWanted(d, here)...)
		}
	}
	errs = append(errs, c.checkRings(desired, at)...)
	for n, route := range desired.Routes.Config {
		if route.State != StateAbsent && route.NextHopInterface != "" {
			here := child(at, "routes").Child("config").Index(n)
			errs = append(errs, c.checkRoute(route, here)...)
			errs = append(errs, checkTaught(route, target.Routes.Running, here)...)
		}
	}
	return errs
}

// checkAbsent refuses to remove what is somebody else's, or what somebody else is plugged into.
func (c checker) checkAbsent(d Interface, at *field.Path) field.ErrorList {
	now := c.now[d.Name]
	switch {
	case now == nil:
		return nil
	case now.theirs():
		return field.ErrorList{field.Forbidden(at.Child("state"),
			d.Name+" is a "+string(now.Type)+" that belongs to somebody else")}
	case now.Type == TypeLoopback:
		return field.ErrorList{field.Forbidden(at.Child("state"), "the loopback interface cannot be absent")}
	case now.Type == TypeEthernet:
		return nil
	}
	return append(c.checkForeignPorts(*now, at.Child("state")), c.checkCarried(*now, at.Child("state"))...)
}

// checkForeignPorts refuses to take a controller away from under foreign ports.
func (c checker) checkForeignPorts(now Interface, at *field.Path) field.ErrorList {
	foreign := foreignPorts(now, c.now)
	foreign = slices.DeleteFunc(foreign, func(port string) bool { return c.wish[port] != nil })
	if len(foreign) == 0 {
		return nil
	}
	return field.ErrorList{field.Forbidden(at,
		now.Name+" still has ports that belong to somebody else, such as a VM: "+strings.Join(foreign, ", "))}
}

func (c checker) checkWanted(d Interface, at *field.Path) field.ErrorList {
	now, target := c.now[d.Name], c.target[d.Name]
	if d.byMAC() && now == nil {
		return nil // checkIdentified has said so
	}
	if now == nil && d.Type == "" {
		return field.ErrorList{field.NotFound(at.Child("name"),
			d.Name+": it does not exist, and without a type it cannot be made")}
	}
	if now == nil && !makeable(d.Type) {
		return missing(at.Child("name"), d.Name)
	}
	if now != nil && !sameType(*now, d) {
		if errs := c.checkReplaced(*now, d, at); len(errs) > 0 {
			return errs
		}
	}
	if target == nil {
		return field.ErrorList{field.Forbidden(at.Child("state"), d.Name+" is deleted together with its base interface")}
	}
	errs := append(c.checkParts(d, *target, at), c.checkRemade(d, at)...)
	errs = append(errs, checkBondMAC(d, *target, at)...)
	errs = append(errs, checkBondDelays(d, *target, at)...)
	errs = append(errs, c.checkTwins(*target, at)...)
	errs = append(errs, c.checkIPv6(d, *target, at.Child("ipv6"))...)
	errs = append(errs, c.checkBase(*target, at)...)
	errs = append(errs, c.checkPorts(d, at)...)
	errs = append(errs, c.checkController(d, *target, at)...)
	errs = append(errs, c.checkMTU(d, *target, at)...)
	if d.CopyMACFrom != nil && c.now[*d.CopyMACFrom] == nil {
		errs = append(errs, missing(at.Child("copy-mac-from"), *d.CopyMACFrom)...)
	}
	return append(errs, checkHardware(now, d, at)...)
}

func (c checker) checkIPv6(d, target Interface, at *field.Path) field.ErrorList {
	now := c.now[d.Name]
	switch {
	case target.Type == TypeLoopback && now.IPv6.active() && !target.IPv6.active():
		return field.ErrorList{field.Forbidden(at.Child("enabled"), "the loopback interface keeps ::1")}
	case d.IPv6 != nil && d.IPv6.Token != nil && target.IPv6.Token != nil && !target.takesToken():
		return field.ErrorList{field.Forbidden(at.Child("token"), "a "+string(target.Type)+" asks no routers: leave it out")}
	}
	return nil
}

// checkReplaced refuses to replace a link by one of another type where that is not ours to do.
func (c checker) checkReplaced(now, d Interface, at *field.Path) field.ErrorList {
	if now.theirs() || !makeable(now.Type) || !makeable(d.Type) {
		return field.ErrorList{field.Invalid(at.Child("type"), string(d.Type), d.Name+" is a "+string(now.Type))}
	}
	return append(c.checkForeignPorts(now, at.Child("type")), c.checkCarried(now, at.Child("type"))...)
}

func (c checker) checkPorts(d Interface, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for n, name := range d.Ports() {
		here := at.Child(d.partKey(), "port").Index(n)
		port, now := c.target[name], c.now[name]
		if port == nil {
			errs = append(errs, missing(here, name)...)
			continue
		}
		errs = append(errs, validatePort(d, *port, here)...)
		errs = append(errs, c.checkUnburdened(name, *c.target[d.Name], here)...)
		if now == nil || now.Controller == nil || *now.Controller == d.Name {
			continue
		}
		if c.keepsPort(*now.Controller, name) {
			errs = append(errs, field.Invalid(here, name,
				"is a port of "+*now.Controller+": remove it there first, or in the same policy"))
		}
	}
	return errs
}

// keepsPort reports whether nothing in the desired state takes the port away from its controller.
func (c checker) keepsPort(controller, port string) bool {
	wish, target := c.wish[controller], c.target[controller]
	if target == nil || target.Type != c.now[controller].Type || c.wish[port] != nil && c.wish[port].Controller != nil {
		return false
	}
	return wish == nil || wish.Ports() == nil
}

func (c checker) checkController(d, target Interface, at *field.Path) field.ErrorList {
	if target.Controller == nil {
		return nil
	}
	controller := c.target[*target.Controller]
	if controller == nil {
		return missing(at.Child("controller"), *target.Controller)
	}
	var errs field.ErrorList
	if !slices.Contains([]LinkType{TypeBridge, TypeBond, TypeVRF}, controller.Type) {
		errs = append(errs, field.Invalid(at.Child("controller"), controller.Name,
			"is a "+string(controller.Type)+", which has no ports"))
	}
	if controller.Type == TypeVRF {
		return errs
	}
	if !slices.Contains(c.wish[controller.Name].ports(), d.Name) { // or checkPorts says so
		errs = append(errs, c.checkUnburdened(d.Name, *controller, at.Child("controller"))...)
	}
	if d.IPv4.wantsAddresses() {
		errs = append(errs, ipOnPort(d.Name, controller.Name, at.Child("ipv4")))
	}
	if d.IPv6.wantsAddresses() {
		errs = append(errs, ipOnPort(d.Name, controller.Name, at.Child("ipv6")))
	}
	return errs
}

func (c checker) checkMTU(d, target Interface, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if d.MTU != nil {
		if target.MaxMTU != nil && *d.MTU > *target.MaxMTU {
			errs = append(errs, field.Invalid(at.Child("mtu"), *d.MTU,
				fmt.Sprintf("is bigger than the maximum of %s, %d", d.Name, *target.MaxMTU)))
		}
		if target.MinMTU != nil && *d.MTU < *target.MinMTU {
			errs = append(errs, field.Invalid(at.Child("mtu"), *d.MTU,
				fmt.Sprintf("is smaller than the minimum of %s, %d", d.Name, *target.MinMTU)))
		}
		base := c.target[target.Base()]
		if stated := c.wish[target.Base()]; base != nil && base.MTU != nil && *d.MTU > *base.MTU && target.VXLAN == nil &&
			(stated == nil || stated.MTU == nil) {
			errs = append(errs, mtuAboveBase(Interface{MTU: d.MTU, VLAN: target.VLAN, MACVLAN: target.MACVLAN}, *base.MTU, at))
		}
	}
	statically := d.MTU != nil && d.IPv6 != nil && isTrue(d.IPv6.Enabled)
	if !statically && (d.MTU != nil || d.IPv6 != nil) && target.MTU != nil && *target.MTU < minIPv6MTU &&
		target.IPv6.active() {
		errs = append(errs, mtuBelowIPv6(target, at))
	}
	return errs
}

func (c checker) checkRings(desired State, at *field.Path) field.ErrorList {
	below := map[string][]string{}
	for name, link := range c.target {
		below[name] = append(below[name], link.Ports()...)
		if base := link.Base(); base != "" {
			below[name] = append(below[name], base)
		}
	}
	for n, d := range desired.Interfaces {
		if ring := findRing(below, d.Name); ring != nil {
			return field.ErrorList{field.Invalid(desired.pathOf(at, n).Child("name"), d.Name,
				"is its own base: "+strings.Join(append(ring, d.Name), " → "))}
		}
	}
	return nil
}

func (c checker) checkRoute(route Route, at *field.Path) field.ErrorList {
	if route.Source.IsValid() && !hasAddress(c.target, route.Source) {
		return field.ErrorList{field.NotFound(at.Child("source"), route.Source.String())}
	}
	if errs := c.checkGateway(route, at.Child("next-hop-address")); len(errs) > 0 {
		return errs
	}
	at = at.Child("next-hop-interface")
	link := c.target[route.NextHopInterface]
	switch {
	case link == nil:
		return missing(at, route.NextHopInterface)
	case link.State == StateDown:
		return field.ErrorList{field.Invalid(at, link.Name, "is down")}
	case link.Type != TypeLoopback && !link.ip(route.Destination).active():
		return field.ErrorList{field.Invalid(at, link.Name, "has no address of the IP version of the route")}
	}
	return nil
}

// checkGateway refuses addresses of the node itself, and those by which everybody on the link is meant.
func (c checker) checkGateway(route Route, at *field.Path) field.ErrorList {
	gateway := known(route.NextHopAddress)
	if !gateway.IsValid() {
		return nil
	}
	if hasAddress(c.target, gateway) {
		return field.ErrorList{field.Invalid(at, gateway.String(), "is an address of this node")}
	}
	link := c.target[route.NextHopInterface]
	if link != nil && link.IPv4 != nil &&
		slices.ContainsFunc(link.IPv4.Address, func(a Address) bool { return a.broadcast() == gateway }) {
		return field.ErrorList{field.Invalid(at, gateway.String(), "is the broadcast address of "+link.Name)}
	}
	return nil
}

// checkTaught refuses an IPv4 route beside one that somebody teaches and that differs only in where it leads: the
// kernel would use that, and who teaches it would teach it again.
func checkTaught(wanted Route, running []Route, at *field.Path) field.ErrorList {
	if !wanted.Destination.IsValid() || !wanted.Destination.Addr().Is4() {
		return nil
	}
	first := slices.IndexFunc(running, func(r Route) bool {
		return r.Learnt() && wanted.complete().sharesKey(r.complete()) && !wanted.complete().sameHop(r.complete())
	})
	if first < 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(at.Child("metric"), *wanted.complete().Metric,
		"is that of a learnt route, which the kernel would use: "+running[first].String()+": write another metric")}
}
