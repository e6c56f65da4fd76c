// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package hosts makes neighbours for tests in a guest of e2e/vmrun: hosts with a network of their own (a
// network namespace), and cables (veth pairs) between them and the network of the test.
package hosts

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/e2e/vmrun/inguest"
)

// A Host is a neighbour with a network of its own, in which lo is up. It lasts as long as the test.
type Host struct {
	// Path is where its network namespace is bound to.
	Path string
}

// New makes a Host.
func New(tb testing.TB) Host {
	tb.Helper()
	inguest.Require(tb)
	h := Host{Path: filepath.Join(tb.TempDir(), "net")}
	require.NoError(tb, os.WriteFile(h.Path, nil, 0o600))
	made := make(chan error)
	go func() { // the thread is in the new namespace, so it ends with this goroutine
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			made <- err
			return
		}
		made <- unix.Mount("/proc/thread-self/ns/net", h.Path, "none", unix.MS_BIND, "")
	}()
	require.NoError(tb, <-made)
	tb.Cleanup(func() { assert.NoError(tb, unix.Unmount(h.Path, unix.MNT_DETACH)) })
	h.SetUp(tb, "lo", true)
	return h
}

// Do calls f in the host's network: sockets that f opens are the host's, whoever uses them. f must not
// start goroutines that open more.
func (h Host) Do(tb testing.TB, f func() error) {
	tb.Helper()
	done := make(chan error)
	go func() { // the thread is in the host's namespace, so it ends with this goroutine
		runtime.LockOSThread()
		handle, err := netns.GetFromPath(h.Path)
		if err != nil {
			done <- err
			return
		}
		defer func() { _ = handle.Close() }()
		if err := netns.Set(handle); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	require.NoError(tb, <-done)
}

// Plug lays a cable from a new link near of the test to a new link far of the host, with an address there.
// Both are up.
func (h Host) Plug(tb testing.TB, near, far, address string) {
	tb.Helper()
	handle, err := netns.GetFromPath(h.Path)
	require.NoError(tb, err)
	defer func() { _ = handle.Close() }()
	cable := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: near}, PeerName: far, PeerNamespace: netlink.NsFd(handle)}
	require.NoError(tb, netlink.LinkAdd(cable))
	tb.Cleanup(func() {
		if link, err := netlink.LinkByName(near); err == nil {
			assert.NoError(tb, netlink.LinkDel(link))
		}
	})
	h.AddAddress(tb, far, address)
	h.SetUp(tb, far, true)
	link, err := netlink.LinkByName(near)
	require.NoError(tb, err)
	require.NoError(tb, netlink.LinkSetUp(link))
}

// AddAddress gives a link of the host one more address.
func (h Host) AddAddress(tb testing.TB, link, address string) {
	tb.Helper()
	h.Do(tb, func() error {
		l, err := netlink.LinkByName(link)
		if err != nil {
			return err
		}
		parsed, err := netlink.ParseAddr(address)
		if err != nil {
			return err
		}
		return netlink.AddrAdd(l, parsed)
	})
}

// SetUp sets a link of the host up or down. The other end of its cable gains or loses its carrier.
func (h Host) SetUp(tb testing.TB, link string, up bool) {
	tb.Helper()
	h.Do(tb, func() error {
		l, err := netlink.LinkByName(link)
		if err != nil {
			return err
		}
		if up {
			return netlink.LinkSetUp(l)
		}
		return netlink.LinkSetDown(l)
	})
}

// SetMAC changes the MAC of a link of the test.
func SetMAC(tb testing.TB, link, mac string) {
	tb.Helper()
	l, err := netlink.LinkByName(link)
	require.NoError(tb, err)
	parsed, err := net.ParseMAC(mac)
	require.NoError(tb, err)
	require.NoError(tb, netlink.LinkSetHardwareAddr(l, parsed))
}
