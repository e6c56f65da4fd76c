// SPDX-License-Identifier: Apache-2.0

package nad

import (
	"encoding/json"
	"fmt"
	"reflect"

	"k8s.io/utils/ptr"
)

// bridgeOptions are the options of the bridge plugin, in its types.
type bridgeOptions struct {
	Bridge           string      `json:"bridge"`
	IsGateway        bool        `json:"isGateway"`
	IsDefaultGateway bool        `json:"isDefaultGateway"`
	ForceAddress     bool        `json:"forceAddress"`
	IPMasq           bool        `json:"ipMasq"`
	IPMasqBackend    string      `json:"ipMasqBackend"`
	MTU              int         `json:"mtu"`
	HairpinMode      bool        `json:"hairpinMode"`
	PromiscMode      bool        `json:"promiscMode"`
	VLAN             int         `json:"vlan"`
	VLANTrunk        []*trunking `json:"vlanTrunk"`
	PreserveDefault  bool        `json:"preserveDefaultVlan"`
	MACSpoofCheck    bool        `json:"macspoofchk"`
	EnableDAD        bool        `json:"enabledad"`
	DisableInterface bool        `json:"disableContainerInterface"`
	PortIsolation    bool        `json:"portIsolation"`
	IPAM             struct {
		Type string `json:"type"`
	} `json:"ipam"`
	Args struct {
		CNI macOptions `json:"cni"`
	} `json:"args"`
	RuntimeConfig macOptions `json:"runtimeConfig"`
}

type trunking struct {
	MinID *uint `json:"minID"`
	MaxID *uint `json:"maxID"`
	ID    *uint `json:"id"`
}

// bridge reads and judges the options of the bridge plugin as the plugin does when a pod is attached.
func (r *configReader) bridge(v value, prefix string) *Bridge {
	var o bridgeOptions
	if json.Unmarshal(passedOn(r.source[v.start:v.end]), &o) != nil { // decodable has told it
		return nil
	}
	// at is the value of an option that is there.
	at := func(name string) value {
		if found := v.folded(name); found != nil {
			return *found
		}
		return v
	}
	if named := v.folded("bridge"); named != nil && named.kind == text && o.Bridge == "" {
		r.wrong(*named, "%sbridge is empty: name it, or leave it out for cni0, which the plugin makes", prefix)
	}
	if wrong := checkInterface(o.Bridge); wrong != "" {
		r.wrong(at("bridge"), "%sbridge is %q: it %s", prefix, o.Bridge, wrong)
	}
	if o.VLAN < 0 || o.VLAN > maxVID {
		r.wrong(at("vlan"), "%svlan is %d: want 0 to %d", prefix, o.VLAN, maxVID)
	}
	if o.MTU != 0 && (o.MTU < minMTU || o.MTU > maxMTU) {
		r.wrong(at("mtu"), "%smtu is %d: want %d to %d, or 0 for the kernel's default", prefix, o.MTU, minMTU, maxMTU)
	}
	if o.HairpinMode && o.PromiscMode {
		r.wrong(at("hairpinMode"), "%shairpinMode and promiscMode exclude each other: leave one out", prefix)
	}
	if o.DisableInterface && o.IPAM.Type != "" {
		r.wrong(
			at("disableContainerInterface"), "%sdisableContainerInterface excludes addresses: leave out ipam.type", prefix,
		)
	}
	gateway := (o.IsGateway || o.IsDefaultGateway) && o.IPAM.Type != "" // without addresses there is none for the bridge
	bridge := &Bridge{Name: o.Bridge, VLAN: o.VLAN, Gateway: gateway}
	for i, element := range at("vlanTrunk").elements {
		var t *trunking
		if json.Unmarshal(passedOn(r.source[element.start:element.end]), &t) != nil {
			return nil // as above
		}
		ranges, wrong := t.ranges()
		if wrong != "" {
			r.wrong(element, "%svlanTrunk[%d]: %s", prefix, i, wrong)
		}
		bridge.Trunk = append(bridge.Trunk, ranges...)
	}
	return bridge
}

// maxOVS is the highest VLAN that the database of Open vSwitch takes.
const maxOVS = 4095

// trunk judges the trunk of a port of Open vSwitch as ovs-cni and the database do.
func (r *configReader) trunk(v value, prefix string) {
	written := v.folded("trunk")
	if written == nil || len(written.elements) == 0 {
		return
	}
	some := false // has a VLAN, or was told what is wrong with it
	for i, e := range written.elements {
		var t *trunking
		if json.Unmarshal(passedOn(r.source[e.start:e.end]), &t) != nil {
			return // decodable has told it
		}
		name := fmt.Sprintf("%strunk[%d]", prefix, i)
		if t == nil {
			r.wrong(e, "%s is null: want {\"id\": ...} or {\"minID\": ..., \"maxID\": ...}", name)
			some = true
			continue
		}
		first, last, id := ptr.Deref(t.MinID, 0), ptr.Deref(t.MaxID, 0), ptr.Deref(t.ID, 0)
		switch {
		case max(first, last, id) > maxOVS:
			r.wrong(e, "%s: want VLANs from 1 to %d", name, maxVID)
			some = true
		case t.MaxID != nil && first > last:
			r.wrong(e, "%s: minID %d is above maxID %d", name, first, last)
			some = true
		case first > 0 && last > 0, t.ID != nil:
			some = true
		default:
			r.warn(e, "%s has no VLAN: want {\"id\": ...} or {\"minID\": ..., \"maxID\": ...}, from 1 to %d", name, maxVID)
		}
	}
	if !some {
		r.wrong(*written, "%strunk has no VLAN, with which the plugin fails: %s", prefix,
			exampleOf(reflect.TypeFor[[]*trunking](), ""))
	}
}

// ranges returns the VLANs of an element of vlanTrunk: a single one, a range, or both.
func (t *trunking) ranges() ([]VLANRange, string) {
	if t == nil {
		return nil, "is null: want {\"id\": ...} or {\"minID\": ..., \"maxID\": ...}"
	}
	var ranges []VLANRange
	switch {
	case t.MinID == nil && t.MaxID == nil && t.ID == nil:
		return nil, "want {\"id\": ...} or {\"minID\": ..., \"maxID\": ...}"
	case (t.MinID == nil) != (t.MaxID == nil):
		return nil, "minID and maxID need each other"
	case t.MinID != nil && *t.MinID > *t.MaxID:
		return nil, fmt.Sprintf("minID %d is above maxID %d", *t.MinID, *t.MaxID)
	case t.MinID != nil:
		ranges = append(ranges, VLANRange{First: int(*t.MinID), Last: int(*t.MaxID)})
	}
	if t.ID != nil {
		ranges = append(ranges, VLANRange{First: int(*t.ID), Last: int(*t.ID)})
	}
	for _, vlans := range ranges {
		if vlans.First < 1 || vlans.Last > maxVID {
			return nil, fmt.Sprintf("want VLANs from 1 to %d", maxVID)
		}
	}
	return ranges, ""
}
