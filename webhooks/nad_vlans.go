// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"fmt"
	"slices"

	"github.com/bridgehead-dev/bridgehead/nad"
	"github.com/bridgehead-dev/bridgehead/netstate"
)

// defaultPVID is the VLAN that a port of a bridge has by default (Linux).
const defaultPVID = 1

// unserved returns why a node, by its reported state and what policies wish for there, does not take the VLANs of a
// network from its bridge to the wire. It is empty where it does, and where there is no such bridge: no pod of the
// network comes to be there.
func unserved(node string, currentState []byte, wished netstate.State, b nad.Bridge) (string, error) {
	state, problems := netstate.Parse(currentState) // what another version reports beyond our schema is passed over
	if len(problems) > 0 && len(state.Interfaces) == 0 {
		return "", fmt.Errorf("read the state of node %s: %w", node, problems.ToAggregate())
	}
	bridge, found := state.Interface(b.Name)
	if !found || bridge.Type != netstate.TypeBridge || bridge.Bridge == nil {
		return "", nil
	}
	uplinks := netstate.Own(state, wished).Uplinks()[b.Name]
	if len(uplinks) == 0 {
		return fmt.Sprintf("node %s: bridge %s has no uplink", node, b.Name), nil
	}
	ports := bridge.Bridge.Port
	if !slices.ContainsFunc(ports, func(p netstate.BridgePort) bool { return p.VLAN != nil && p.VLAN.Mode != nil }) {
		return fmt.Sprintf("node %s: bridge %s does not filter VLANs: frames would leave it untagged", node, b.Name), nil
	}
	for _, vlans := range vlansOf(b) {
		carried := slices.ContainsFunc(ports, func(p netstate.BridgePort) bool {
			return slices.Contains(uplinks, p.Name) && carries(p.VLAN, vlans)
		})
		if !carried {
			return fmt.Sprintf("node %s: no uplink of bridge %s carries VLAN %s", node, b.Name, written(vlans)), nil
		}
	}
	return "", nil
}

// carries reports whether all the VLANs pass a port.
func carries(port *netstate.PortVLAN, vlans nad.VLANRange) bool {
	next := vlans.First
	for _, run := range port.Entries(defaultPVID) { // they are sorted
		if run.Min <= next && next <= run.Max {
			next = run.Max + 1
		}
	}
	return next > vlans.Last
}

func vlansOf(b nad.Bridge) []nad.VLANRange {
	vlans := slices.Clone(b.Trunk)
	if b.VLAN != 0 {
		vlans = append(vlans, nad.VLANRange{First: b.VLAN, Last: b.VLAN})
	}
	return vlans
}

func written(vlans nad.VLANRange) string {
	if vlans.First == vlans.Last {
		return fmt.Sprint(vlans.First)
	}
	return fmt.Sprintf("%d-%d", vlans.First, vlans.Last)
}
