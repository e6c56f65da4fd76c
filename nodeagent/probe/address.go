// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// Addresses returns the probe of the addresses by which others know the node: each must be on some link that is up.
// wanted returns them; it may change its mind, as when kubelet has told the API server another address.
func Addresses(node Reader, wanted func() []netip.Addr) Probe {
	return addresses{node: node, wanted: wanted}
}

type addresses struct {
	node   Reader
	wanted func() []netip.Addr
}

func (a addresses) String() string { return "address of the node" }

// Ask looks for them.
func (a addresses) Ask(context.Context) error {
	wanted := a.wanted()
	if len(wanted) == 0 {
		return fmt.Errorf("the Node names no address: %w", ErrNobody)
	}
	state, err := a.node.Read()
	if err != nil {
		return err
	}
	var gone []string
	for _, address := range wanted {
		if !slices.ContainsFunc(state.Interfaces, func(i netstate.Interface) bool { return has(i, address) }) {
			gone = append(gone, address.String())
		}
	}
	if len(gone) > 0 {
		return fmt.Errorf("%s is on no link that is up", strings.Join(gone, ", "))
	}
	return nil
}

// has reports whether a link is up and has an address.
func has(i netstate.Interface, address netip.Addr) bool {
	if i.State == netstate.StateDown {
		return false
	}
	for _, ip := range []*netstate.IP{i.IPv4, i.IPv6} {
		if ip != nil && slices.ContainsFunc(ip.Address, func(a netstate.Address) bool { return a.IP == address }) {
			return true
		}
	}
	return false
}
