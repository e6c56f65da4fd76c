// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// The kernel looks for duplicates of a new IPv6 address for a second or two (RFC 4862, 5.4) and takes it for no source
// of a route before.
const (
	sourceWait = 15 * time.Second
	sourcePoll = 50 * time.Millisecond
)

// awaitSource waits until the IPv6 source of a route is no longer tentative.
func (k *Kernel) awaitSource(r netstate.Route) error {
	if !r.Source.Is6() {
		return nil
	}
	until := time.NewTimer(sourceWait)
	defer until.Stop()
	again := time.NewTicker(sourcePoll)
	defer again.Stop()
	for {
		tentative, err := k.tentative(r.Source)
		if err != nil || !tentative {
			return err
		}
		select {
		case <-until.C:
			return fmt.Errorf("its source address %s is still being checked for duplicates on the link; does the link have a carrier?", r.Source)
		case <-again.C:
		}
	}
}

// tentative reports whether the kernel is still looking for duplicates of an address.
func (k *Kernel) tentative(address netip.Addr) (bool, error) {
	messages, err := k.dump(unix.RTM_GETADDR, message(unix.IfAddrmsg{Family: unix.AF_INET6}), nil)
	if err != nil {
		return false, fmt.Errorf("list addresses: %w", err)
	}
	for _, msg := range messages {
		about, attrs := header[unix.IfAddrmsg](msg)
		flags, found := uint64(about.Flags), false
		for attr, value := range each(attrs) {
			switch attr {
			case unix.IFA_ADDRESS:
				other, _ := netip.AddrFromSlice(value)
				found = other == address
			case unix.IFA_FLAGS:
				flags = decodeUint(value)
			}
		}
		if found && flags&unix.IFA_F_TENTATIVE != 0 && flags&unix.IFA_F_DADFAILED == 0 {
			return true, nil
		}
	}
	return false, nil
}
