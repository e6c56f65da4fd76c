package webhooks

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/bridgehead-dev/bridgehead/nad"
)

// A reportedState is what is read of the current state of a node, as nmstate writes it.
type reportedState struct {
	Interfaces []reportedInterface `json:"interfaces"`
}

type reportedInterface struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Bridge struct {
		Port []reportedPort `json:"port"`
	} `json:"bridge"`
}

type reportedPort struct {
	Name string        `json:"name"`
	VLAN *reportedVLAN `json:"vlan"`
}

type reportedVLAN struct {
	Mode      string `json:"mode"`
	Tag       int    `json:"tag"`
	Native    bool   `json:"enable-native"`
	TrunkTags []struct {
		ID    int `json:"id"`
		Range *struct {
			Min int `json:"min"`
			Max int `json:"max"`
		} `json:"id-range"`
	} `json:"trunk-tags"`
}

// unserved says why a node, by its reported state, does not take the VLANs of a network from its bridge to the wire.
// It is empty where it does, and where there is no such bridge: no pod of the network comes to be there.
func unserved(node string, currentState []byte, b nad.Bridge) (string, error) {
	var state reportedState
	if err := json.Unmarshal(currentState, &state); err != nil {
		return "", fmt.Errorf("read the state of node %s: %w", node, err)
	}
	i := slices.IndexFunc(state.Interfaces, func(i reportedInterface) bool { return i.Name == b.Name && i.Type == "linux-bridge" })
	if i < 0 {
		return "", nil
	}
	ports := state.Interfaces[i].Bridge.Port
	uplinks := slices.DeleteFunc(slices.Clone(ports), func(p reportedPort) bool { return !state.wired(p.Name) })
	if len(uplinks) == 0 {
		return fmt.Sprintf("node %s: bridge %s has no uplink", node, b.Name), nil
	}
	if !slices.ContainsFunc(ports, func(p reportedPort) bool { return p.VLAN.filters() }) {
		return fmt.Sprintf("node %s: bridge %s does not filter VLANs: frames would leave it untagged", node, b.Name), nil
	}
	for _, vlans := range vlansOf(b) {
		if !slices.ContainsFunc(uplinks, func(p reportedPort) bool { return p.VLAN.carries(vlans) }) {
			return fmt.Sprintf("node %s: no uplink of bridge %s carries VLAN %s", node, b.Name, written(vlans)), nil
		}
	}
	return "", nil
}

// wired says whether a port leads out of the node: the others are those of pods and VMs.
func (s reportedState) wired(port string) bool {
	return slices.ContainsFunc(s.Interfaces, func(i reportedInterface) bool {
		return i.Name == port && slices.Contains([]string{"ethernet", "bond", "vlan", "vxlan"}, i.Type)
	})
}

// filters says whether a port has a configuration of VLANs, which it has only on a bridge that filters.
func (v *reportedVLAN) filters() bool {
	return v != nil && v.Mode != ""
}

// carries says whether all the VLANs pass a port.
func (v *reportedVLAN) carries(vlans nad.VLANRange) bool {
	if !v.filters() {
		return vlans.First == 1 && vlans.Last == 1 // what a port has by default
	}
	for id := vlans.First; id <= vlans.Last; id++ {
		if !v.carriesOne(id) {
			return false
		}
	}
	return true
}

func (v *reportedVLAN) carriesOne(id int) bool {
	if (v.Mode == "access" || v.Native) && v.Tag == id {
		return true
	}
	for _, tags := range v.TrunkTags {
		if tags.ID == id || tags.Range != nil && tags.Range.Min <= id && id <= tags.Range.Max {
			return true
		}
	}
	return false
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
