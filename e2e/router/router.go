// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package router is an IPv6 router for tests in a guest of e2e/vmrun: it advertises itself and a prefix.
package router

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/mdlayher/ndp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/e2e/hosts"
)

// Advertise has a host advertise itself as a router through one of its links, with a prefix of 64 bits for SLAAC, every
// half second until the test ends. Routers live for a quarter of an hour, and addresses for as long.
func Advertise(t *testing.T, h hosts.Host, link string, prefix netip.Prefix) {
	t.Helper()
	advertiseWith(t, h, link, prefix, false)
}

// AdvertiseManaged does so, and says that there are addresses to be had by DHCPv6.
func AdvertiseManaged(t *testing.T, h hosts.Host, link string, prefix netip.Prefix) {
	t.Helper()
	advertiseWith(t, h, link, prefix, true)
}

func advertiseWith(t *testing.T, h hosts.Host, link string, prefix netip.Prefix, managed bool) {
	t.Helper()
	conn := listen(t, h, link)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		advertise(ctx, conn, prefix, managed)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		assert.NoError(t, conn.Close())
	})
}

// listen opens a socket as soon as the link has an address of its own that is not tentative.
func listen(t *testing.T, h hosts.Host, link string) (conn *ndp.Conn) {
	t.Helper()
	require.Eventually(t, func() bool {
		h.Do(t, func() error {
			ifi, err := net.InterfaceByName(link)
			if err != nil {
				return err
			}
			conn, _, err = ndp.Listen(ifi, ndp.LinkLocal)
			if err != nil {
				conn = nil // the address is still to come
			}
			return nil
		})
		return conn != nil
	}, time.Minute, 100*time.Millisecond, "%s has a link-local address", link)
	return conn
}

func advertise(ctx context.Context, conn *ndp.Conn, prefix netip.Prefix, managed bool) {
	const lifetime = 15 * time.Minute
	message := &ndp.RouterAdvertisement{
		CurrentHopLimit: 64, RouterLifetime: lifetime, ManagedConfiguration: managed,
		Options: []ndp.Option{&ndp.PrefixInformation{
			PrefixLength: uint8(prefix.Bits()), OnLink: true, AutonomousAddressConfiguration: true,
			ValidLifetime: lifetime, PreferredLifetime: lifetime, Prefix: prefix.Masked().Addr(),
		}},
	}
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	for {
		// What is lost, or sent while the link has no carrier, is sent again.
		_ = conn.WriteTo(message, nil, netip.MustParseAddr("ff02::1"))
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
