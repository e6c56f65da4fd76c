// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"encoding/binary"
	"slices"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// An option is one key of T and the netlink attribute that carries it. The same table reads and writes, so
// the two cannot disagree.
type option[T any] struct {
	attr uint16
	// encode returns the attribute's value, or false when the key is not set.
	encode func(*T) ([]byte, bool)
	// decode sets the key. Values the table has no word for leave it alone.
	decode func(*T, []byte)
}

// encodeOptions appends the attributes of all keys that are set.
func encodeOptions[T any](a *attributes, options []option[T], from *T) {
	for _, o := range options {
		if value, set := o.encode(from); set {
			a.add(o.attr, value)
		}
	}
}

// decodeOptions sets every key that an attribute carries.
func decodeOptions[T any](options []option[T], attrs []byte, to *T) {
	for attr, value := range each(attrs) {
		for _, o := range options {
			if o.attr == attr {
				o.decode(to, value)
			}
		}
	}
}

// number is an integer of size bytes, in units of scale: a key in seconds that the kernel keeps in
// hundredths has a scale of 100.
func number[T any](attr uint16, size, scale int, field func(*T) **int) option[T] {
	return option[T]{
		attr: attr,
		encode: func(from *T) ([]byte, bool) {
			p := *field(from)
			if p == nil {
				return nil, false
			}
			return encodeUint(uint64(*p*scale), size), true
		},
		decode: func(to *T, value []byte) { *field(to) = new(int(decodeUint(value)) / scale) },
	}
}

// flag is a boolean of size bytes.
func flag[T any](attr uint16, size int, field func(*T) **bool) option[T] {
	return option[T]{
		attr: attr,
		encode: func(from *T) ([]byte, bool) {
			p := *field(from)
			if p == nil {
				return nil, false
			}
			v := uint64(0)
			if *p {
				v = 1
			}
			return encodeUint(v, size), true
		},
		decode: func(to *T, value []byte) { *field(to) = new(decodeUint(value) != 0) },
	}
}

// choice is an enumeration of size bytes: the word's place in the list is its number.
func choice[T any](attr uint16, size int, field func(*T) **string, words ...string) option[T] {
	return option[T]{
		attr: attr,
		encode: func(from *T) ([]byte, bool) {
			p := *field(from)
			if p == nil {
				return nil, false
			}
			n := slices.Index(words, *p)
			return encodeUint(uint64(n), size), n >= 0
		},
		decode: func(to *T, value []byte) {
			if n := decodeUint(value); n < uint64(len(words)) {
				*field(to) = &words[n]
			}
		},
	}
}

// hardware is a MAC address.
func hardware[T any](attr uint16, field func(*T) **netstate.MAC) option[T] {
	return option[T]{
		attr: attr,
		encode: func(from *T) ([]byte, bool) {
			p := *field(from)
			if p == nil {
				return nil, false
			}
			return p[:], true
		},
		decode: func(to *T, value []byte) { *field(to) = hardwareAddress(value) },
	}
}

// The Ethernet types of VLAN tags.
const (
	etherTypeQ  = 0x8100
	etherTypeAD = 0x88a8
)

// tagProtocol is the protocol of a VLAN tag, an Ethernet type in network order.
func tagProtocol[T any](attr uint16, field func(*T) **string) option[T] {
	return option[T]{
		attr: attr,
		encode: func(from *T) ([]byte, bool) {
			p := *field(from)
			if p == nil {
				return nil, false
			}
			kind := uint16(etherTypeQ)
			if *p == "802.1ad" {
				kind = etherTypeAD
			}
			return binary.BigEndian.AppendUint16(nil, kind), true
		},
		decode: func(to *T, value []byte) {
			name := "802.1q"
			if len(value) == 2 && binary.BigEndian.Uint16(value) == etherTypeAD {
				name = "802.1ad"
			}
			*field(to) = &name
		},
	}
}

// hardwareAddress is a MAC of 6 bytes; nil for any other length.
func hardwareAddress(b []byte) *netstate.MAC {
	if len(b) != len(netstate.MAC{}) {
		return nil
	}
	return new(netstate.MAC(b))
}

// encodeUint is v in size bytes of the host's order.
func encodeUint(v uint64, size int) []byte {
	switch size {
	case 1:
		return []byte{byte(v)}
	case 2:
		return binary.NativeEndian.AppendUint16(nil, uint16(v))
	case 4:
		return binary.NativeEndian.AppendUint32(nil, uint32(v))
	}
	return binary.NativeEndian.AppendUint64(nil, v)
}

// decodeUint reads an integer of the host's order, of whatever size the kernel sent.
func decodeUint(b []byte) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.NativeEndian.Uint16(b))
	case 4:
		return uint64(binary.NativeEndian.Uint32(b))
	case 8:
		return binary.NativeEndian.Uint64(b)
	}
	return 0
}
