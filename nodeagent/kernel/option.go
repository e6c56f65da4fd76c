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

// key returns the option of one key of T, which is nil where it is not set. encode and decode are false for what has no
// value in the other form.
func key[T, V any](
	attr uint16, field func(*T) **V, encode func(V) ([]byte, bool), decode func([]byte) (V, bool),
) option[T] {
	return option[T]{
		attr: attr,
		encode: func(from *T) ([]byte, bool) {
			if v := *field(from); v != nil {
				return encode(*v)
			}
			return nil, false
		},
		decode: func(to *T, value []byte) {
			if v, ok := decode(value); ok {
				*field(to) = &v
			}
		},
	}
}

// number returns an integer of size bytes, in units of scale: a key in seconds that the kernel keeps in
// hundredths has a scale of 100.
func number[T any](attr uint16, size, scale int, field func(*T) **int) option[T] {
	return key(attr, field,
		func(v int) ([]byte, bool) { return encodeUint(uint64(v*scale), size), true },
		func(b []byte) (int, bool) { return int(decodeUint(b)) / scale, true },
	)
}

// flag returns a boolean of size bytes.
func flag[T any](attr uint16, size int, field func(*T) **bool) option[T] {
	return key(attr, field,
		func(v bool) ([]byte, bool) {
			if v {
				return encodeUint(1, size), true
			}
			return encodeUint(0, size), true
		},
		func(b []byte) (bool, bool) { return decodeUint(b) != 0, true },
	)
}

// choice returns an enumeration of size bytes: the word's place in the list is its number.
func choice[T any](attr uint16, size int, field func(*T) **string, words ...string) option[T] {
	return key(attr, field,
		func(v string) ([]byte, bool) {
			n := slices.Index(words, v)
			return encodeUint(uint64(n), size), n >= 0
		},
		func(b []byte) (string, bool) {
			if n := decodeUint(b); n < uint64(len(words)) {
				return words[n], true
			}
			return "", false
		},
	)
}

// hardware returns a MAC address.
func hardware[T any](attr uint16, field func(*T) **netstate.MAC) option[T] {
	return key(attr, field,
		func(v netstate.MAC) ([]byte, bool) { return v[:], true },
		func(b []byte) (netstate.MAC, bool) {
			if len(b) != len(netstate.MAC{}) {
				return netstate.MAC{}, false
			}
			return netstate.MAC(b), true
		},
	)
}

// The Ethernet types of VLAN tags.
const (
	etherTypeQ  = 0x8100
	etherTypeAD = 0x88a8
)

// tagProtocol returns the protocol of a VLAN tag, an Ethernet type in network order.
func tagProtocol[T any](attr uint16, field func(*T) **string) option[T] {
	return key(attr, field,
		func(v string) ([]byte, bool) {
			kind := uint16(etherTypeQ)
			if v == "802.1ad" {
				kind = etherTypeAD
			}
			return binary.BigEndian.AppendUint16(nil, kind), true
		},
		func(b []byte) (string, bool) {
			if len(b) == 2 && binary.BigEndian.Uint16(b) == etherTypeAD {
				return "802.1ad", true
			}
			return "802.1q", true
		},
	)
}

// hardwareAddress returns a MAC of 6 bytes; nil for any other length.
func hardwareAddress(b []byte) *netstate.MAC {
	if len(b) != len(netstate.MAC{}) {
		return nil
	}
	return new(netstate.MAC(b))
}

// encodeUint returns v in size bytes of the host's order.
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
