// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"encoding/json"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/nmstate/v1beta1"
	"github.com/bridgehead-dev/bridgehead/macpool"
)

// NodeAddresses knows the addresses that the NICs of nodes have, by the NodeNetworkStates. A VM with one of them would
// have what is meant for the node. The zero NodeAddresses knows none; Run keeps it. It may be used by many at once.
type NodeAddresses struct {
	// Changed, if set, is called with all of them whenever they change.
	Changed func([]macpool.MAC)

	store nameStore
}

// Run watches NodeNetworkStates until ctx is done.
func (n *NodeAddresses) Run(ctx context.Context, c client.WithWatch) {
	n.store.changed = func() {
		if n.Changed != nil {
			n.Changed(n.all())
		}
	}
	n.store.keep(ctx, c, &v1beta1.NodeNetworkState{}, &v1beta1.NodeNetworkStateList{})
}

// Ready reports whether the states of all nodes have been read.
func (n *NodeAddresses) Ready() bool { return n.store.ready() }

// Node returns a node that has a NIC with the address; empty if there is none.
func (n *NodeAddresses) Node(m macpool.MAC) string {
	n.store.mu.RLock()
	defer n.store.mu.RUnlock()
	if n.store.count[m.String()] == 0 {
		return ""
	}
	for _, node := range sortedKeys(n.store.byName) {
		if slices.Contains(n.store.byName[node], m.String()) {
			return node
		}
	}
	return ""
}

func (n *NodeAddresses) all() []macpool.MAC {
	n.store.mu.RLock()
	defer n.store.mu.RUnlock()
	var macs []macpool.MAC
	for text := range n.store.count {
		if m, err := macpool.ParseMAC(text); err == nil {
			macs = append(macs, m)
		}
	}
	slices.SortFunc(macs, macpool.MAC.Compare)
	return macs
}

// addressesOfNode returns the addresses that a node answers to: those of its NICs and of what it builds on them, and
// those that NICs have again once they leave a bond. The ends of pods' and VMs' interfaces are not the node's.
func addressesOfNode(o *v1beta1.NodeNetworkState) []string {
	if o.Status.CurrentState == nil {
		return nil
	}
	var state struct {
		Interfaces []struct {
			Type      string `json:"type"`
			Address   string `json:"mac-address"`
			Permanent string `json:"permanent-mac-address"`
		} `json:"interfaces"`
	}
	if json.Unmarshal(o.Status.CurrentState.Raw, &state) != nil {
		return nil // another program's, of a shape we do not know
	}
	var found []string
	// Not veth, tun and tap, which are of pods and VMs, nor what has the address of another, as ipvlan.
	own := []string{
		"ethernet", "bond", "vlan", "linux-bridge", "ovs-interface", "team", "mac-vlan", "mac-vtap", "dummy", "vxlan",
		"macsec", "hsr",
	}
	for _, i := range state.Interfaces {
		if !slices.Contains(own, i.Type) {
			continue
		}
		for _, address := range []string{i.Address, i.Permanent} {
			m, err := macpool.ParseInterfaceMAC(address)
			if err == nil && !slices.Contains(found, m.String()) {
				found = append(found, m.String())
			}
		}
	}
	return found
}
