// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// neighbourMessage is the kernel's struct ndmsg.
type neighbourMessage struct {
	Family uint8
	_      uint8
	_      uint16
	Index  int32
	State  uint16
	Flags  uint8
	_      uint8
}

// Entries of forwarding tables (include/uapi/linux/neighbour.h).
const (
	neighbourMAC    = 2
	neighbourVLAN   = 5
	neighbourMaster = 9

	neighbourNoARP     = 0x40
	neighbourPermanent = 0x80

	flagMaster = 0x04
	flagKept   = 0x40 | 0x10 // sticky, and learnt by a control plane
)

// readStaticMACs adds to the ports of bridges the entries of the forwarding table that somebody configured.
func (k *Kernel) readStaticMACs(links map[int]*link) error {
	bridges := map[int]bool{}
	for index, l := range links {
		bridges[index] = l.iface.Bridge != nil
	}
	for index, isBridge := range bridges {
		if !isBridge {
			continue
		}
		var filter attributes
		filter.addUint32(neighbourMaster, uint32(index))
		messages, err := k.dump(unix.RTM_GETNEIGH, message(neighbourMessage{Family: unix.AF_BRIDGE}), filter)
		if err != nil {
			return fmt.Errorf("list the forwarding table of %s: %w", links[index].iface.Name, err)
		}
		for _, msg := range messages {
			addStatic(msg, links)
		}
	}
	return nil
}

// addStatic reads one RTM_NEWNEIGH message. An entry for the address of a port or of its bridge is the bridge's own.
func addStatic(msg []byte, links map[int]*link) {
	about, attrs := header[neighbourMessage](msg)
	port := links[int(about.Index)]
	if port == nil || port.controller == 0 || about.State&(neighbourNoARP|neighbourPermanent) == 0 {
		return
	}
	entry := netstate.StaticMAC{State: int(about.State), Flags: int(about.Flags & flagKept)}
	ofBridge := false
	for attr, value := range each(attrs) {
		switch attr {
		case neighbourMAC:
			if mac := hardwareAddress(value); mac != nil {
				entry.MAC = *mac
			}
		case neighbourVLAN:
			entry.VLAN = int(decodeUint(value))
		case neighbourMaster:
			ofBridge = int(decodeUint(value)) == port.controller
		}
	}
	own := func(l *link) bool { return l != nil && l.iface.MAC != nil && *l.iface.MAC == entry.MAC }
	if ofBridge && !own(port) && !own(links[port.controller]) {
		port.static = append(port.static, entry)
	}
}

// addStaticMACs gives the port of a bridge entries of the forwarding table.
func (k *Kernel) addStaticMACs(index int, entries []netstate.StaticMAC) error {
	for _, e := range entries {
		about := neighbourMessage{Family: unix.AF_BRIDGE, Index: int32(index), State: uint16(e.State),
			Flags: flagMaster | uint8(e.Flags)}
		var attrs attributes
		attrs.add(neighbourMAC, e.MAC[:])
		if e.VLAN != 0 {
			attrs.add(neighbourVLAN, encodeUint(uint64(e.VLAN), 2))
		}
		err := k.request(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_EXCL, message(about), attrs)
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("add the static address %s: %w", e.MAC, err)
		}
	}
	return nil
}
