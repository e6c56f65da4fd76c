// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// Addresses returns a probe for each address by which others know the node now: it must be on some link that is up,
// unless others know the node by it no more. named returns those addresses; it may change its mind, as when kubelet has
// told the API server another one.
func Addresses(node Reader, named func() []netip.Addr) []Probe {
	var probes []Probe
	for _, addr := range named() {
		probes = append(probes, ownAddress{node: node, named: named, addr: addr})
	}
	return probes
}

type ownAddress struct {
	node  Reader
	named func() []netip.Addr
	addr  netip.Addr
}

func (a ownAddress) String() string { return "address of the node" }

// Ask looks for it.
func (a ownAddress) Ask(context.Context) error {
	if !slices.Contains(a.named(), a.addr) {
		return nil
	}
	state, err := a.node.Read()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(state.Interfaces, func(i netstate.Interface) bool { return has(i, a.addr) }) {
		return fmt.Errorf("%s is on no link that is up", a.addr)
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
