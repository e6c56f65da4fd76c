// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validateRoutes(desired State, at *field.Path) field.ErrorList {
	byName := desired.index()
	errs := validateGateways(desired.Routes.Config, child(at, "routes").Child("config"))
	for n, route := range desired.Routes.Config {
		here := child(at, "routes").Child("config").Index(n)
		if route.State == StateAbsent {
			if route.selectsAll() {
				errs = append(errs, field.Required(here.Child("destination"), "or another key that says which routes to remove"))
			}
			continue
		}
		errs = append(errs, validateDestination(route, here)...)
		errs = append(errs, validateNextHop(route, here)...)
		if i, isDesired := byName[route.NextHopInterface]; isDesired {
			errs = append(errs, validateRouteInterface(route, *i, here.Child("next-hop-interface"))...)
		}
	}
	return errs
}

// validateGateways refuses IPv4 routes that differ in where they lead only and have no weight: the kernel would use the
// first and never the other. IPv6 shares the traffic among them.
func validateGateways(routes []Route, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for n, route := range routes {
		if route.State == StateAbsent || !route.Destination.IsValid() || !route.Destination.Addr().Is4() {
			continue
		}
		first := slices.IndexFunc(routes[:n], func(r Route) bool {
			return r.State != StateAbsent && r.complete().sharesKey(route.complete()) &&
				(r.Weight == nil || route.Weight == nil) && r.complete().key() != route.complete().key()
		})
		if first >= 0 {
			errs = append(errs, field.Invalid(at.Index(n), route.String(), "is the destination, table and metric of "+
				at.Index(first).String()+": give one another metric, or both a weight"))
		}
	}
	return errs
}

func validateDestination(route Route, at *field.Path) field.ErrorList {
	destination := route.Destination
	if !destination.IsValid() {
		return field.ErrorList{field.Required(at.Child("destination"),
			"a network like 198.51.100.0/24, or 0.0.0.0/0 for the default route")}
	}
	if destination.Addr().Is4In6() {
		return field.ErrorList{field.Invalid(at.Child("destination"), destination.String(),
			"is a network of IPv4: write it as one, such as 198.51.100.0/24")}
	}
	zeroNet := netip.MustParsePrefix("0.0.0.0/8")
	if destination.Addr().Is4() && destination.Bits() >= 8 && zeroNet.Contains(destination.Addr()) && route.unicast() {
		return field.ErrorList{field.Invalid(at.Child("destination"), destination.String(),
			"0.0.0.0/8 and its subnets cannot be used, use the default gateway 0.0.0.0/0 instead")}
	}
	return nil
}

func validateNextHop(route Route, at *field.Path) field.ErrorList {
	if !route.unicast() {
		if route.NextHopAddress.IsValid() || route.NextHopInterface != "" && route.NextHopInterface != "lo" {
			return field.ErrorList{field.Forbidden(at, "a "+route.RouteType+" route cannot have a next hop")}
		}
		return nil
	}
	var errs field.ErrorList
	if route.NextHopInterface == "" {
		errs = append(errs, field.Required(at.Child("next-hop-interface"), "the interface the route goes through"))
	} else {
		errs = append(errs, validateName(route.NextHopInterface, at.Child("next-hop-interface"))...)
	}
	errs = append(errs, validateVersion(route.NextHopAddress, route.Destination, at.Child("next-hop-address"))...)
	errs = append(errs, validateGateway(route.NextHopAddress, at.Child("next-hop-address"))...)
	return append(errs, validateVersion(route.Source, route.Destination, at.Child("source"))...)
}

// validateGateway refuses what cannot be the address of a neighbour (fib_check_nh of net/ipv4/fib_semantics.c and
// ip6_validate_gw of net/ipv6/route.c).
func validateGateway(gateway netip.Addr, at *field.Path) field.ErrorList {
	if gateway.IsMulticast() || gateway.IsLoopback() || gateway == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return field.ErrorList{field.Invalid(at, gateway.String(), "cannot be the address of a gateway")}
	}
	return nil
}

func validateVersion(address netip.Addr, destination netip.Prefix, at *field.Path) field.ErrorList {
	if address.Zone() != "" {
		return field.ErrorList{field.Invalid(at, address.String(),
			"has no zone here: next-hop-interface says through which link")}
	}
	if !address.IsValid() || !destination.IsValid() || address.Is4() == destination.Addr().Is4() {
		return nil
	}
	return field.ErrorList{field.Invalid(at, address.String(), "is not of the IP version of the destination")}
}

func validateRouteInterface(route Route, i Interface, at *field.Path) field.ErrorList {
	ip, version := i.IPv4, "IPv4"
	if route.Destination.IsValid() && !route.Destination.Addr().Is4() {
		ip, version = i.IPv6, "IPv6"
	}
	switch {
	case i.State == StateAbsent || i.State == StateDown:
		return field.ErrorList{field.Invalid(at, i.Name, "has state "+string(i.State))}
	case ip != nil && ip.Enabled != nil && !*ip.Enabled:
		return field.ErrorList{field.Invalid(at, i.Name, "has "+version+" disabled")}
	}
	return nil
}

func validateRouteRules(desired State, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for n, rule := range desired.RouteRules.Config {
		here := child(at, "route-rules").Child("config").Index(n)
		if rule.State == StateAbsent {
			if rule.selectsAll() {
				errs = append(errs, field.Required(here.Child("priority"), "or another key that says which rules to remove"))
			}
			continue
		}
		errs = append(errs, validateRouteRule(rule, here)...)
	}
	return errs
}

func validateRouteRule(rule RouteRule, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if rule.IPFrom.IsValid() && rule.IPTo.IsValid() && rule.IPFrom.Addr().Is4() != rule.IPTo.Addr().Is4() {
		errs = append(errs, field.Invalid(at.Child("ip-to"), rule.IPTo.String(), "is not of the IP version of ip-from"))
	}
	if family, known := rule.family(); !known {
		errs = append(errs, field.Required(at.Child("family"), "ipv4 or ipv6, as there is neither ip-from nor ip-to"))
	} else if rule.Family != nil && *rule.Family != family {
		errs = append(errs, field.Invalid(at.Child("family"), *rule.Family, "the addresses of the rule are "+family))
	}
	if rule.IIF != nil && *rule.IIF != "" {
		errs = append(errs, validateName(*rule.IIF, at.Child("iif"))...)
	}
	if rule.FWMask != nil && rule.FWMark == nil {
		errs = append(errs, field.Required(at.Child("fwmark"), "fwmask needs one"))
	}
	return errs
}
