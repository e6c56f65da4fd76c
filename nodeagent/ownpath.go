// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// ownPath returns the first link that a policy holds and by which the node reaches others, as it is after the change:
// it has an address of the node or a default route, or is a port of such a link or what that stands on; "" for none.
func ownPath(current, desired netstate.State, addresses []netip.Addr) string {
	path := map[string]bool{}
	for _, i := range current.Interfaces {
		if hasAny(i.IPv4, addresses) || hasAny(i.IPv6, addresses) {
			path[i.Name] = true
		}
	}
	for _, r := range current.Routes.Running {
		if r.Destination.IsValid() && r.Destination.Bits() == 0 && r.NextHopInterface != "" {
			path[r.NextHopInterface] = true
		}
	}
	for known := -1; known < len(path); {
		known = len(path)
		for _, i := range current.Interfaces {
			if path[i.Name] && i.Base() != "" {
				path[i.Base()] = true
			}
			if i.Controller != nil && path[*i.Controller] && !i.Foreign() {
				path[i.Name] = true
			}
		}
	}
	held := netstate.Held(desired)
	for _, link := range slices.Sorted(maps.Keys(held)) {
		if path[link] {
			return link
		}
	}
	return ""
}

func hasAny(ip *netstate.IP, addresses []netip.Addr) bool {
	return ip != nil && slices.ContainsFunc(ip.Address, func(a netstate.Address) bool {
		return slices.Contains(addresses, a.IP)
	})
}

// bootNote returns what a reboot means for a node whose own path a policy holds, if nothing on the host restores that
// before kubelet; "" if that is not so.
func (a *Agent) bootNote(desired netstate.State) string {
	if a.options.RestoredAtBoot == nil {
		return ""
	}
	current, err := a.keeper.Latest()
	if err != nil {
		return ""
	}
	link := ownPath(current, desired, a.NodeAddresses())
	if link == "" {
		return ""
	}
	restored, err := a.options.RestoredAtBoot()
	if err != nil {
		a.options.Log.Error(err, "Cannot find out whether the host restores its network at boot")
	}
	if restored || err != nil {
		return ""
	}
	return "the node reaches its network through " + link + ", and bridgehead-restore.service is not enabled on the host: " +
		"after a reboot the node comes back only if it reaches the API server without this policy (docs/boot.md; hosts " +
		"that take no unit, such as Talos, cannot enable it)"
}
