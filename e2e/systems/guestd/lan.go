// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/e2e/systems/layout"
)

// lan, which tells systemd at the socket notify when it runs, plays a network with a router that is its DHCP server, in
// a network namespace of its own. It does not return.
func lan(notify string) error {
	var links []netlink.Link
	for _, name := range []string{layout.LANInterface, layout.UplinkInterface} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("find %s: %w", name, err)
		}
		links = append(links, link)
	}
	here, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	runtime.LockOSThread() // for good: the namespace is the thread's
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("make a network namespace: %w", err)
	}
	for _, link := range links {
		if err := here.LinkSetNsPid(link, unix.Gettid()); err != nil {
			return fmt.Errorf("move %s: %w", link.Attrs().Name, err)
		}
	}
	if err := configure(); err != nil {
		return err
	}
	server, err := server4.NewServer(layout.LANInterface, &net.UDPAddr{Port: dhcpv4.ServerPort}, answer)
	if err != nil {
		return fmt.Errorf("serve DHCP: %w", err)
	}
	calls, err := net.Listen("tcp4", ":"+layout.APIPort)
	if err != nil {
		return fmt.Errorf("serve the API server's port: %w", err)
	}
	if err := ready(notify); err != nil {
		return err
	}
	go func() {
		fmt.Fprintln(os.Stderr, "guestd: serve DHCP:", server.Serve())
		os.Exit(1)
	}()
	return handOn(calls)
}

// configure gives the far end its addresses: one without a tag, and one in a VLAN if there is any.
func configure() error {
	link, err := netlink.LinkByName(layout.LANInterface)
	if err != nil {
		return fmt.Errorf("find %s: %w", layout.LANInterface, err)
	}
	uplink, err := netlink.LinkByName(layout.UplinkInterface)
	if err != nil {
		return fmt.Errorf("find %s: %w", layout.UplinkInterface, err)
	}
	if err := errors.Join(address(link, layout.LANAddress), address(uplink, layout.UplinkAddress)); err != nil {
		return err
	}
	if config, err := read(); err == nil && config.Untagged {
		return nil
	}
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.ParentIndex = "tagged", link.Attrs().Index
	vlan := &netlink.Vlan{LinkAttrs: attributes, VlanId: layout.TaggedVLAN}
	if err := netlink.LinkAdd(vlan); err != nil {
		return fmt.Errorf("add VLAN %d: %w", layout.TaggedVLAN, err)
	}
	return address(vlan, layout.TaggedAddress)
}

// address gives a link an address and sets it up.
func address(link netlink.Link, text string) error {
	parsed, err := netlink.ParseAddr(text)
	if err == nil {
		err = errors.Join(netlink.AddrAdd(link, parsed), netlink.LinkSetUp(link))
	}
	if err != nil {
		return fmt.Errorf("give %s its address: %w", link.Attrs().Name, err)
	}
	return nil
}

// answer answers one message as the file says at the moment.
func answer(conn net.PacketConn, peer net.Addr, m *dhcpv4.DHCPv4) {
	config, err := read()
	if err != nil {
		fmt.Println("guestd: read the LAN:", err)
		return
	}
	fmt.Printf("guestd: %s from %s\n", m.MessageType(), m.ClientHWAddr)
	if config.Silent || m.MessageType() == dhcpv4.MessageTypeRelease {
		return
	}
	reply, err := replyTo(m, time.Duration(config.Lease)*time.Second)
	if err != nil {
		fmt.Println("guestd: answer:", err)
		return
	}
	_, _ = conn.WriteTo(reply.ToBytes(), peer) // a lost answer is asked for again
}

// read is what the file says at the moment.
func read() (config layout.LAN, err error) {
	text, err := os.ReadFile(layout.LANConfig)
	if err != nil {
		return config, err
	}
	return config, json.Unmarshal(text, &config)
}

func replyTo(m *dhcpv4.DHCPv4, lease time.Duration) (*dhcpv4.DHCPv4, error) {
	own, _, err := net.ParseCIDR(layout.LANAddress)
	if err != nil {
		return nil, err
	}
	leased, network, err := net.ParseCIDR(layout.LeasedAddress)
	if err != nil {
		return nil, err
	}
	kind := dhcpv4.MessageTypeAck
	if m.MessageType() == dhcpv4.MessageTypeDiscover {
		kind = dhcpv4.MessageTypeOffer
	}
	return dhcpv4.NewReplyFromRequest(m, dhcpv4.WithMessageType(kind), dhcpv4.WithYourIP(leased), dhcpv4.WithServerIP(own),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(own)), dhcpv4.WithNetmask(network.Mask), dhcpv4.WithRouter(own),
		dhcpv4.WithDNS(own), dhcpv4.WithLeaseTime(uint32(lease.Seconds())))
}

// ready tells systemd at its socket that the service runs, as sd_notify(3) does.
func ready(socket string) error {
	conn, err := net.Dial("unixgram", socket)
	if err != nil {
		return fmt.Errorf("tell systemd: %w", err)
	}
	defer conn.Close()
	_, err = conn.Write([]byte("READY=1"))
	return err
}
