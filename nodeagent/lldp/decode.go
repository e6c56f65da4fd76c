// SPDX-License-Identifier: Apache-2.0

package lldp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// The types of TLVs (IEEE 802.1AB, table 8-1).
const (
	tlvEnd               = 0
	tlvChassisID         = 1
	tlvPortID            = 2
	tlvTTL               = 3
	tlvSystemName        = 5
	tlvSystemDescription = 6
	tlvCapabilities      = 7
	tlvManagementAddress = 8
	tlvOrganization      = 127
)

// maxID is how long what follows the subtype of an id may be (IEEE 802.1AB, 8.5.2.3 and 8.5.3.3), and maxText any other
// text.
const maxID, maxText = 255, 255

// maxAddresses is how many management addresses of a neighbour are kept.
const maxAddresses = 16

// errCut is why a frame is discarded.
const errCut = constError("the frame ends within a TLV")

// A constError is an error that is a constant.
type constError string

func (e constError) Error() string { return string(e) }

// A tlv is one item of an announcement: a type and its value.
type tlv struct {
	kind  int
	value []byte
}

// split splits the payload of a frame into its TLVs, up to the one that ends it, or the end of the frame.
func split(payload []byte) ([]tlv, error) {
	var tlvs []tlv
	for len(payload) > 0 {
		if len(payload) < 2 {
			return nil, errCut
		}
		head := binary.BigEndian.Uint16(payload)
		kind, length := int(head>>9), int(head&0x1ff)
		if kind == tlvEnd {
			return tlvs, nil
		}
		if len(payload) < 2+length {
			return nil, errCut
		}
		tlvs = append(tlvs, tlv{kind, payload[2 : 2+length]})
		payload = payload[2+length:]
	}
	return tlvs, nil
}

// decode reads the payload of a frame. The rules are those of IEEE 802.1AB, 9.2.7.7: it begins with chassis, port and
// time to live, which occur once, or the whole frame is discarded. Other TLVs that are malformed are left out, and so
// are those that nmstate has no words for.
func decode(payload []byte) (announcement, error) {
	tlvs, err := split(payload)
	if err != nil {
		return announcement{}, err
	}
	if len(tlvs) < 3 || tlvs[0].kind != tlvChassisID || tlvs[1].kind != tlvPortID || tlvs[2].kind != tlvTTL {
		return announcement{}, errors.New("the frame does not begin with a chassis, a port and a time to live")
	}
	chassis, port, ttl := tlvs[0].value, tlvs[1].value, tlvs[2].value
	if !isID(chassis) || !isID(port) || len(ttl) < 2 {
		return announcement{}, errors.New("chassis, port or time to live have no usable length")
	}
	r := reader{chassis: chassisItem(chassis), port: portItem(port)}
	for _, t := range tlvs[3:] {
		if t.kind >= tlvChassisID && t.kind <= tlvTTL {
			return announcement{}, fmt.Errorf("there is more than one TLV of type %d", t.kind)
		}
		r.read(t)
	}
	return announcement{
		id:    string([]byte{byte(len(chassis) - 1)}) + string(chassis) + string(port),
		ttl:   time.Duration(binary.BigEndian.Uint16(ttl)) * time.Second,
		items: r.items(),
	}, nil
}

func isID(value []byte) bool { return len(value) >= 2 && len(value) <= 1+maxID }

// A reader collects what TLVs say. Of what may occur once, the first counts.
type reader struct {
	chassis, port                netstate.LLDPItem
	name, description, abilities *netstate.LLDPItem
	addresses                    []netstate.LLDPAddress
	organizations
}

func (r *reader) read(t tlv) {
	switch t.kind {
	case tlvSystemName:
		first(&r.name, netstate.LLDPItem{Type: t.kind, SystemName: text(t.value)})
	case tlvSystemDescription:
		first(&r.description, netstate.LLDPItem{Type: t.kind, SystemDescription: text(t.value)})
	case tlvCapabilities:
		if len(t.value) >= 2 {
			able := capabilities(binary.BigEndian.Uint16(t.value))
			first(&r.abilities, netstate.LLDPItem{Type: t.kind, SystemCapabilities: able})
		}
	case tlvManagementAddress:
		if address, ok := managementAddress(t.value); ok && len(r.addresses) < maxAddresses {
			r.addresses = append(r.addresses, address)
		}
	case tlvOrganization:
		r.organizations.read(t.value)
	}
}

func first[T any](into **T, value T) {
	if *into == nil {
		*into = &value
	}
}

// items are what was said, in the order in which nmstate shows it.
func (r *reader) items() []netstate.LLDPItem {
	var items []netstate.LLDPItem
	add := func(item *netstate.LLDPItem) {
		if item != nil {
			items = append(items, *item)
		}
	}
	add(r.name)
	add(r.description)
	add(r.abilities)
	add(&r.chassis)
	add(&r.port)
	add(r.vlanItem())
	add(r.macPhy)
	add(r.ppvidItem())
	if len(r.addresses) > 0 {
		add(&netstate.LLDPItem{Type: tlvManagementAddress, ManagementAddresses: r.addresses})
	}
	add(r.frameSize)
	return items
}
