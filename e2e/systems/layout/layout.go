// SPDX-License-Identifier: Apache-2.0

// Package layout holds what the host side of a system and the programs in it agree on.
package layout

const (
	// Modules is the folder of the initramfs with the kernel's modules, in the order in which they are loaded.
	Modules = "/modules"
	// Files is the folder of the initramfs with what is put on the disk at each boot.
	Files = "/files"
	// StateDir is the journal of the agent.
	StateDir = "/var/lib/bridgehead"
	// LANConfig is where the DHCP server of the LAN finds its LAN, as JSON; it looks at every message again.
	LANConfig = "/etc/bridgehead-lan.json"
	// LANAddress is the address of the router and DHCP server of the LAN, with its prefix length.
	LANAddress = "192.0.2.1/24"
	// LeasedAddress is the one address it leases, with its prefix length.
	LeasedAddress = "192.0.2.7/24"
	// TaggedAddress is the address of the router in VLAN 100 of the LAN, with its prefix length.
	TaggedAddress = "198.51.100.1/24"
	// TaggedVLAN is that VLAN.
	TaggedVLAN = 100
	// LANInterface is the far end of the cable of eth1. It is moved into a network namespace of its own before anything
	// else looks at links.
	LANInterface = "eth2"
	// UplinkInterface is what the router of the LAN reaches the machine by. It is moved there with LANInterface.
	UplinkInterface = "eth3"
	// UplinkAddress is its address, with its prefix length.
	UplinkAddress = "10.0.2.15/24"
	// UplinkHost is the address of the machine for it.
	UplinkHost = "10.0.2.2"
	// APIPort is where the router of the LAN hands on connections to the API server, at all its addresses.
	APIPort = "6443"
)

// A LAN says how the DHCP server of the LAN answers.
type LAN struct {
	// Lease is the length of leases in seconds.
	Lease int `json:"lease"`
	// Silent makes it answer nobody.
	Silent bool `json:"silent,omitempty"`
	// Untagged has the port of the switch be no trunk any more, from the next boot on: there is nobody in the VLAN.
	Untagged bool `json:"untagged,omitempty"`
	// API is where the API server is, as host:port, for the router to hand on connections to; nowhere if empty.
	API string `json:"api,omitempty"`
}
