// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// A Station is a link as somebody sees it who talks to the network behind it, such as a DHCP client. The
// zero Station is a link that does not exist.
type Station struct {
	// Index is the kernel's number: a link that was made again has another.
	Index int
	// MAC is the address in use, zero for links without one.
	MAC netstate.MAC
	// Running says that the link is up and has a carrier (IFF_UP, IFF_LOWER_UP), so that sending makes sense.
	Running bool
	// Losses counts how often the carrier was lost. It tells of losses too short to be seen.
	Losses uint32
	// Addresses are the IPv4 addresses.
	Addresses []netstate.Address
}

// Station returns one link in two short requests; Read would dump them all.
func (k *Kernel) Station(name string) (Station, error) {
	var attrs attributes
	attrs.addUint32(unix.IFLA_EXT_MASK, skipStats)
	attrs.addString(unix.IFLA_IFNAME, name)
	messages, err := k.exchange(unix.RTM_GETLINK, 0, message(unix.IfInfomsg{}), attrs)
	if errors.Is(err, unix.ENODEV) {
		return Station{}, nil
	}
	if err != nil || len(messages) == 0 {
		return Station{}, fmt.Errorf("read link %s: %w", name, err)
	}
	info, rest := header[unix.IfInfomsg](messages[0])
	const running = unix.IFF_UP | unix.IFF_LOWER_UP
	s := Station{Index: int(info.Index), Running: info.Flags&running == running}
	for attr, value := range each(rest) {
		switch mac := hardwareAddress(value); {
		case attr == unix.IFLA_ADDRESS && mac != nil:
			s.MAC = *mac
		case attr == unix.IFLA_CARRIER_DOWN_COUNT:
			s.Losses = uint32(decodeUint(value))
		}
	}
	s.Addresses, err = k.linkAddresses(s.Index, netip.IPv4Unspecified())
	return s, err
}
