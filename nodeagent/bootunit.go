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
// policy's annotation forbids it. next are records of policies that are about to be applied: the unit is there before
// they are, or a power cut in between would leave the node without its network.
func (a *Agent) keepBootUnit(next ...journal.Record) {
	if a.options.BootUnit == nil {
		return
	}
	current, err := a.keeper.Latest()
	if err != nil {
		return // it is said where that is reported
	}
	records := slices.Concat(slices.Collect(maps.Values(a.keeper.records)), next)
	needed, known := needsBootUnit(current, records, a.NodeAddresses())
	switch {
	case needed && !a.installed.there:
		err = a.options.BootUnit.Install()
	case known && !a.keeper.unread && !needed && !a.installed.gone:
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
// is known only while the node has all of its addresses.
func needsBootUnit(current netstate.State, records []journal.Record, addresses []netip.Addr) (needed, known bool) {
	known = hasAll(current, addresses)
	for _, r := range records {
		needed = needed || !r.NoBootUnit && ownPath(current, netstate.State(r.Desired), addresses) != ""
	}
	return needed, known
}

// hasAll reports whether a node has all of its addresses, and is known to have any.
func hasAll(current netstate.State, addresses []netip.Addr) bool {
	return len(addresses) > 0 && !slices.ContainsFunc(addresses, func(address netip.Addr) bool {
		return !slices.ContainsFunc(current.Interfaces, func(i netstate.Interface) bool {
			own := []netip.Addr{address}
			return hasAny(i.IPv4, own) || hasAny(i.IPv6, own)
		})
	})
}
