// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"fmt"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// The VLAN database of bridges (include/uapi/linux/if_bridge.h, rtnetlink.h).
const (
	rtmGetVLAN       = 114
	vlanEntry        = 1 // BRIDGE_VLANDB_ENTRY
	vlanEntryInfo    = 1 // BRIDGE_VLANDB_ENTRY_INFO
	vlanEntryRange   = 2 // BRIDGE_VLANDB_ENTRY_RANGE
	vlanFlagPVID     = 1 << 1
	vlanFlagUntagged = 1 << 2
	vlanRangeBegin   = 1 << 3
	vlanRangeEnd     = 1 << 4
	lastVLAN         = 4094
)

// bridgeVLANMessage is the kernel's struct br_vlan_msg.
type bridgeVLANMessage struct {
	Family    uint8
	_         uint8
	_         uint16
	LinkIndex uint32
}

// bridgeVLANInfo is the kernel's struct bridge_vlan_info.
type bridgeVLANInfo struct{ Flags, VID uint16 }

// readPortVLANs returns the VLANs of all bridges and their ports by index, when there is a bridge.
func (k *Kernel) readPortVLANs(links []*link) (map[int][]netstate.VLANEntry, error) {
	if !slices.ContainsFunc(links, func(l *link) bool { return l.iface.Bridge != nil }) {
		return nil, nil
	}
	return k.dumpVLANs(0)
}

// dumpVLANs returns the VLANs of one bridge port by its index, or of all when the index is 0.
func (k *Kernel) dumpVLANs(index int) (map[int][]netstate.VLANEntry, error) {
	messages, err := k.dump(rtmGetVLAN, message(bridgeVLANMessage{Family: unix.AF_BRIDGE, LinkIndex: uint32(index)}), nil)
	if err != nil {
		return nil, fmt.Errorf("list bridge VLANs: %w", err)
	}
	vlans := map[int][]netstate.VLANEntry{}
	for _, msg := range messages {
		about, attrs := header[bridgeVLANMessage](msg)
		for attr, value := range each(attrs) {
			if attr == vlanEntry {
				vlans[int(about.LinkIndex)] = append(vlans[int(about.LinkIndex)], parseVLANEntry(value))
			}
		}
	}
	return vlans, nil
}

// parseVLANEntry reads one entry of the VLAN database.
func parseVLANEntry(attrs []byte) netstate.VLANEntry {
	var e netstate.VLANEntry
	for attr, value := range each(attrs) {
		switch attr {
		case vlanEntryInfo:
			info, _ := header[bridgeVLANInfo](value)
			e.Min, e.Max = int(info.VID), max(e.Max, int(info.VID))
			e.PVID, e.Untagged = info.Flags&vlanFlagPVID != 0, info.Flags&vlanFlagUntagged != 0
		case vlanEntryRange:
			e.Max = int(decodeUint(value))
		}
	}
	return e
}

// vlanTable is the VLANs of a port, one by one: present, with its flags.
type vlanTable [lastVLAN + 1]struct {
	present        bool
	pvid, untagged bool
}

// expand makes a table of entries.
func expand(entries []netstate.VLANEntry) *vlanTable {
	var t vlanTable
	for _, e := range entries {
		for vid := max(e.Min, 1); vid <= min(e.Max, lastVLAN); vid++ {
			t[vid].present, t[vid].pvid, t[vid].untagged = true, e.PVID, e.Untagged
		}
	}
	return &t
}

// vlanChanges lists what to add and what to remove to get from one list of entries to another.
func vlanChanges(from, to []netstate.VLANEntry) (add, remove []netstate.VLANEntry) {
	before, after := expand(from), expand(to)
	for vid := 1; vid <= lastVLAN; vid++ {
		now := after[vid]
		switch {
		case now.present && now != before[vid]:
			add = extend(add, netstate.VLANEntry{Min: vid, Max: vid, PVID: now.pvid, Untagged: now.untagged})
		case before[vid].present && !now.present:
			remove = extend(remove, netstate.VLANEntry{Min: vid, Max: vid})
		}
	}
	return add, remove
}

// extend appends an entry, or makes the last one longer by it.
func extend(entries []netstate.VLANEntry, e netstate.VLANEntry) []netstate.VLANEntry {
	last := len(entries) - 1
	if last < 0 || entries[last].Max+1 != e.Min || entries[last].PVID != e.PVID || entries[last].Untagged != e.Untagged {
		return append(entries, e)
	}
	entries[last].Max = e.Max
	return entries
}

// encodeVLANEntries returns the IFLA_AF_SPEC of a bridge port.
func encodeVLANEntries(entries []netstate.VLANEntry) attributes {
	var a attributes
	for _, e := range entries {
		flags := uint16(0)
		if e.PVID {
			flags |= vlanFlagPVID
		}
		if e.Untagged {
			flags |= vlanFlagUntagged
		}
		if e.Min == e.Max {
			a.add(nl.IFLA_BRIDGE_VLAN_INFO, message(bridgeVLANInfo{flags, uint16(e.Min)}))
			continue
		}
		a.add(nl.IFLA_BRIDGE_VLAN_INFO, message(bridgeVLANInfo{flags | vlanRangeBegin, uint16(e.Min)}))
		a.add(nl.IFLA_BRIDGE_VLAN_INFO, message(bridgeVLANInfo{flags | vlanRangeEnd, uint16(e.Max)}))
	}
	return a
}

// setVLANs makes the VLANs of a bridge port exactly what is wanted.
func (k *Kernel) setVLANs(index int, want []netstate.VLANEntry) error {
	now, err := k.dumpVLANs(index)
	if err != nil {
		return err
	}
	add, remove := vlanChanges(now[index], want)
	if err := k.changeVLANs(unix.RTM_SETLINK, index, add, 0); err != nil {
		return err
	}
	return k.changeVLANs(unix.RTM_DELLINK, index, remove, 0)
}

// setOwnVLANs makes the VLANs of a bridge itself exactly what is wanted.
func (k *Kernel) setOwnVLANs(name string, want []netstate.VLANEntry) error {
	index := int(k.indexOf(name))
	now, err := k.dumpVLANs(index)
	if err != nil {
		return err
	}
	add, remove := vlanChanges(now[index], want)
	if err := k.changeVLANs(unix.RTM_SETLINK, index, add, bridgeSelf); err != nil {
		return err
	}
	return k.changeVLANs(unix.RTM_DELLINK, index, remove, bridgeSelf)
}

// bridgeSelf says that a request is about a bridge and not about a port (BRIDGE_FLAGS_SELF).
const bridgeSelf = 2

// changeVLANs adds (RTM_SETLINK) or removes (RTM_DELLINK) VLANs of a bridge port.
func (k *Kernel) changeVLANs(kind, index int, entries []netstate.VLANEntry, flags uint16) error {
	if len(entries) == 0 {
		return nil
	}
	var attrs, spec attributes
	if flags != 0 {
		spec.add(nl.IFLA_BRIDGE_FLAGS, encodeUint(uint64(flags), 2))
	}
	attrs.nest(unix.IFLA_AF_SPEC, append(spec, encodeVLANEntries(entries)...))
	return k.request(kind, 0, message(unix.IfInfomsg{Family: unix.AF_BRIDGE, Index: int32(index)}), attrs)
}
