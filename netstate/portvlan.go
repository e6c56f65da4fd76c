// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"cmp"
	"fmt"
	"slices"
)

// The modes of a PortVLAN. The empty mode means access.
const (
	ModeTrunk  = "trunk"
	ModeAccess = "access"
)

// A PortVLAN says which VLANs a bridge port carries. Entries translates it into what the kernel keeps,
// and PortVLANFromEntries back.
type PortVLAN struct {
	Mode *string `json:"mode,omitzero" words:"trunk access"`
	// Tag is the VLAN of an access port, or the native VLAN of a trunk with EnableNative.
	Tag          *int       `json:"tag,omitzero"           range:"0 4094"`
	EnableNative *bool      `json:"enable-native,omitzero"`
	TrunkTags    []TrunkTag `json:"trunk-tags,omitzero"`
}

// A TrunkTag is one VLAN or a range of them: exactly one of the two fields is set.
type TrunkTag struct {
	ID      *int     `json:"id,omitzero"       range:"1 4094"`
	IDRange *IDRange `json:"id-range,omitzero"`
}

// An IDRange is the VLANs from Min to Max, both included.
type IDRange struct {
	Min int `json:"min" range:"1 4094"`
	Max int `json:"max" range:"1 4094"`
}

// A VLANEntry is a run of VLANs with the same flags, as the kernel keeps them for a bridge port.
type VLANEntry struct {
	Min, Max       int
	PVID, Untagged bool
}

// Entries returns the VLANs the kernel has to keep for a port that is wanted to carry v, sorted, on a
// bridge with the given default PVID (0 for none). Neighbouring VLANs with equal flags are one entry.
//
// A nil or empty v is the default PVID, untagged. A VLAN of the port's own that is PVID replaces the
// default PVID, as NetworkManager does; the default PVID in the trunk tags is carried tagged.
func (v *PortVLAN) Entries(defaultPVID int) []VLANEntry {
	native := 0
	if v != nil && v.Tag != nil && (v.mode() == ModeAccess || isTrue(v.EnableNative)) {
		native = *v.Tag
	}
	var entries []VLANEntry
	if v != nil && v.mode() == ModeTrunk {
		entries = trunkEntries(v.TrunkTags, native)
	}
	pvid := native
	if pvid == 0 {
		pvid = defaultPVID
	}
	if pvid == 0 || covers(entries, pvid) {
		return entries
	}
	at, _ := slices.BinarySearchFunc(entries, pvid, func(e VLANEntry, vid int) int { return cmp.Compare(e.Min, vid) })
	return slices.Insert(entries, at, VLANEntry{Min: pvid, Max: pvid, PVID: true, Untagged: true})
}

// PortVLANFromEntries returns the PortVLAN that nmstate would show for what the kernel keeps. The entry
// that is the default PVID, untagged, is not shown; nil when nothing is left. It is the inverse of Entries
// up to spelling.
func PortVLANFromEntries(entries []VLANEntry, defaultPVID int) *PortVLAN {
	native := 0
	tags := make([]TrunkTag, 0, len(entries))
	for _, e := range entries {
		switch {
		case e.PVID && e.Untagged && e.Min == defaultPVID && e.Max == defaultPVID:
		case e.PVID && e.Untagged:
			native = e.Min
		default:
			tags = append(tags, trunkTag(e.Min, e.Max))
		}
	}
	switch {
	case native == 0 && len(tags) == 0:
		return nil
	case len(tags) == 0:
		return &PortVLAN{Mode: new(ModeAccess), Tag: &native, TrunkTags: tags}
	case native != 0:
		return &PortVLAN{Mode: new(ModeTrunk), Tag: &native, EnableNative: new(true), TrunkTags: tags}
	}
	return &PortVLAN{Mode: new(ModeTrunk), EnableNative: new(false), TrunkTags: tags}
}

// canonical returns v spelt the way it would be read back.
func (v *PortVLAN) canonical(defaultPVID int) *PortVLAN {
	return PortVLANFromEntries(v.Entries(defaultPVID), defaultPVID)
}

// trunkEntries returns tags, without native, as sorted tagged entries that neither touch nor overlap.
func trunkEntries(tags []TrunkTag, native int) []VLANEntry {
	runs := make([]VLANEntry, 0, len(tags)+1)
	for _, tag := range tags {
		low, high := tag.bounds()
		if low <= native && native <= high {
			runs = appendRun(runs, low, native-1)
			low = native + 1
		}
		runs = appendRun(runs, low, high)
	}
	slices.SortFunc(runs, func(a, b VLANEntry) int { return cmp.Compare(a.Min, b.Min) })
	merged := runs[:0]
	for _, run := range runs {
		if last := len(merged) - 1; last >= 0 && run.Min <= merged[last].Max+1 {
			merged[last].Max = max(merged[last].Max, run.Max)
			continue
		}
		merged = append(merged, run)
	}
	return merged
}

func appendRun(runs []VLANEntry, low, high int) []VLANEntry {
	if low > high {
		return runs
	}
	return append(runs, VLANEntry{Min: low, Max: high})
}

func covers(entries []VLANEntry, vid int) bool {
	return slices.ContainsFunc(entries, func(e VLANEntry) bool { return e.Min <= vid && vid <= e.Max })
}

// bounds returns the first and the last VLAN of the tag.
func (t TrunkTag) bounds() (low, high int) {
	switch {
	case t.IDRange != nil:
		return t.IDRange.Min, t.IDRange.Max
	case t.ID != nil:
		return *t.ID, *t.ID
	}
	return 1, 0
}

func trunkTag(low, high int) TrunkTag {
	if low == high {
		return TrunkTag{ID: &low}
	}
	return TrunkTag{IDRange: &IDRange{Min: low, Max: high}}
}

func (v *PortVLAN) mode() string {
	if v.Mode == nil {
		return ModeAccess
	}
	return *v.Mode
}

// empty reports whether v says "no VLANs", as the vlan key {} does.
func (v *PortVLAN) empty() bool {
	return v == nil || v.Mode == nil && v.Tag == nil && v.EnableNative == nil && v.TrunkTags == nil
}

// String returns the tag as nmstate's messages have it: id=5 or id-range=[2,9].
func (t TrunkTag) String() string {
	if t.IDRange != nil {
		return fmt.Sprintf("id-range=[%d,%d]", t.IDRange.Min, t.IDRange.Max)
	}
	low, _ := t.bounds()
	return fmt.Sprintf("id=%d", low)
}
