// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
)

// ownPath is the first link that a policy holds and by which the node reaches others, as it is after the change: it has
// an address of the node or a default route, or is a port of such a link or what that stands on; "" for none.
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

// A BootUnit is the unit of the host that restores the network before kubelet starts (docs/boot.md).
type BootUnit interface {
	// Install makes it be there; Remove makes it not be there. Both may be called again and again.
	Install() error
	Remove() error
}

// installed is what an agent made of the unit: neither, or one of both, and what it said of the last failure.
type installed struct {
	there, gone bool
	failure     string
}

// keepBootUnit has the unit be on the host while a policy holds the link by which the node reaches others, unless that
// policy's annotation forbids it.
func (a *Agent) keepBootUnit() {
	if a.options.BootUnit == nil {
		return
	}
	current, err := a.keeper.Latest()
	if err != nil {
		return // it is said where that is reported
	}
	needed, known := needsBootUnit(current, a.keeper.records, a.NodeAddresses())
	switch {
	case needed && !a.installed.there:
		err = a.options.BootUnit.Install()
	case known && !needed && !a.installed.gone:
		err = a.options.BootUnit.Remove()
	default:
		return
	}
	if err == nil {
		a.installed = installed{there: needed, gone: !needed}
	} else if a.installed.failure != err.Error() {
		a.installed.failure = err.Error()
		a.options.Event("", corev1.EventTypeWarning, "BootUnitFailed", oneLine(err))
	}
}

// needsBootUnit reports whether a policy that allows it holds the link by which the node reaches others. That none does
// is known only while the node has one of its addresses.
func needsBootUnit(current netstate.State, records map[string]journal.Record, addresses []netip.Addr) (needed, known bool) {
	for _, i := range current.Interfaces {
		known = known || hasAny(i.IPv4, addresses) || hasAny(i.IPv6, addresses)
	}
	for _, r := range records {
		needed = needed || !r.NoBootUnit && ownPath(current, netstate.State(r.Desired), addresses) != ""
	}
	return needed, known
}

// bootNote says what a reboot means for a node whose own path a policy holds, if nothing on the host restores that
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
		a.options.Log.Error(err, "Not known whether the host restores its network at boot")
	}
	if restored || err != nil {
		return ""
	}
	return "the node reaches others by " + link + ", and bridgehead-restore.service is not enabled on the host: after a " +
		"reboot it comes back only if it reaches the API server without this policy (docs/boot.md; impossible on hosts to " +
		"which no unit can be added, as Talos)"
}
