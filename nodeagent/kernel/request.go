// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"unsafe"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Attributes are netlink attributes in the making: type, length and value after one another.
type attributes []byte

// add appends one attribute.
func (a *attributes) add(kind uint16, value []byte) {
	*a = binary.NativeEndian.AppendUint16(*a, uint16(unix.SizeofRtAttr+len(value)))
	*a = binary.NativeEndian.AppendUint16(*a, kind)
	*a = append(*a, value...)
	for len(*a)%unix.RTA_ALIGNTO != 0 {
		*a = append(*a, 0)
	}
}

func (a *attributes) addUint32(kind uint16, v uint32) {
	a.add(kind, binary.NativeEndian.AppendUint32(nil, v))
}

func (a *attributes) addString(kind uint16, s string) { a.add(kind, append([]byte(s), 0)) }

// nest appends attributes as the value of one attribute.
func (a *attributes) nest(kind uint16, value attributes) { a.add(kind|unix.NLA_F_NESTED, value) }

// each yields the attributes of a message, without the flags of their types. A broken rest is left out.
func each(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.SizeofRtAttr {
			size := int(binary.NativeEndian.Uint16(b))
			kind := binary.NativeEndian.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
			if size < unix.SizeofRtAttr || size > len(b) {
				return
			}
			if !yield(kind, b[unix.SizeofRtAttr:size]) {
				return
			}
			b = b[min(len(b), (size+unix.RTA_ALIGNTO-1)&^(unix.RTA_ALIGNTO-1)):]
		}
	}
}

// message returns the bytes of a fixed-size header of the kernel.
func message[T any](header T) []byte { return bytesOf(&header) }

// header reads a fixed-size header of the kernel; the zero value when the message is too short.
func header[T any](b []byte) (h T, rest []byte) {
	if len(b) < int(unsafe.Sizeof(h)) {
		return h, nil
	}
	copy(bytesOf(&h), b)
	return h, b[unsafe.Sizeof(h):]
}

func bytesOf[T any](h *T) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(h)), unsafe.Sizeof(*h)) }

// request sends one request and waits for the kernel's verdict.
func (k *Kernel) request(kind, flags int, header []byte, attrs attributes) error {
	_, err := k.exchange(kind, flags|unix.NLM_F_ACK, header, attrs)
	return err
}

// exchange sends one request and returns the messages of the answer.
func (k *Kernel) exchange(kind, flags int, header []byte, attrs attributes) ([][]byte, error) {
	req := nl.NewNetlinkRequest(kind, flags)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: k.socket}
	req.AddRawData(header)
	req.AddRawData(attrs)
	return req.Execute(unix.NETLINK_ROUTE, 0)
}

// dumpTries is how often a dump is started again when the kernel's tables change under it. Under heavy
// churn the last try may still be torn: then Read fails rather than report what never was.
const dumpTries = 25

// dump asks for a table and returns its messages, consistent with each other.
func (k *Kernel) dump(kind int, header []byte, attrs attributes) ([][]byte, error) {
	for range dumpTries {
		messages, err := k.exchange(kind, unix.NLM_F_DUMP, header, attrs)
		if !errors.Is(err, nl.ErrDumpInterrupted) {
			return messages, err
		}
	}
	return nil, fmt.Errorf("the kernel's table changed during each of %d dumps: %w", dumpTries, nl.ErrDumpInterrupted)
}
