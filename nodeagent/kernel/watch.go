// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// A Change says what may be different from the last Change on. Reading the state tells what it is now.
type Change struct {
	// Links has the names of links that came, went or changed, their VLANs as ports included.
	Links map[string]bool
	// Addresses, Routes and Rules say that some came or went.
	Addresses, Routes, Rules bool
	// Overrun says that the kernel dropped notifications: anything may be different.
	Overrun bool
}

// merge adds another change to c.
func (c *Change) merge(other Change) {
	if c.Links == nil {
		c.Links = map[string]bool{}
	}
	maps.Copy(c.Links, other.Links)
	c.Addresses = c.Addresses || other.Addresses
	c.Routes = c.Routes || other.Routes
	c.Rules = c.Rules || other.Rules
	c.Overrun = c.Overrun || other.Overrun
}

// Watch returns a channel of changes, from now on until ctx ends; then it is closed. What changes while
// nobody receives is merged into one Change, so a slow receiver loses nothing but the number of changes.
// The channel is also closed when the subscription fails for good; then ctx.Err() is nil and the caller
// should read the state and watch again.
func (k *Kernel) Watch(ctx context.Context) (<-chan Change, error) {
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE,
		unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV6_IFINFO,
		unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE)
	if err != nil {
		return nil, fmt.Errorf("subscribe to changes: %w", err)
	}
	context.AfterFunc(ctx, socket.Close)
	heard, changes := make(chan Change), make(chan Change)
	go hear(ctx, socket, heard)
	go coalesce(ctx, heard, changes)
	return changes, nil
}

// hear sends what a subscription yields until it ends.
func hear(ctx context.Context, socket *nl.NetlinkSocket, heard chan<- Change) {
	defer close(heard)
	for {
		messages, _, err := socket.Receive()
		var change Change
		switch {
		case errors.Is(err, unix.ENOBUFS):
			change.Overrun = true
		case err != nil:
			return
		}
		for _, m := range messages {
			change.merge(parseChange(m.Header.Type, m.Data))
		}
		select {
		case heard <- change:
		case <-ctx.Done():
			return
		}
	}
}

// coalesce passes changes on, merging those that come while nobody receives.
func coalesce(ctx context.Context, heard <-chan Change, changes chan<- Change) {
	defer close(changes)
	var pending Change
	var out chan<- Change // nil while nothing is pending
	for {
		select {
		case change, open := <-heard:
			if !open {
				return
			}
			pending.merge(change)
			out = changes
		case out <- pending:
			pending, out = Change{}, nil
		case <-ctx.Done():
			return
		}
	}
}

// parseChange returns what one notification is about.
func parseChange(kind uint16, msg []byte) Change {
	switch kind {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		_, attrs := header[unix.IfInfomsg](msg)
		for attr, value := range each(attrs) {
			if attr == unix.IFLA_IFNAME {
				return Change{Links: map[string]bool{text(value): true}}
			}
		}
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		return Change{Addresses: true}
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		return Change{Routes: true}
	case unix.RTM_NEWRULE, unix.RTM_DELRULE:
		return Change{Rules: true}
	}
	return Change{}
}
