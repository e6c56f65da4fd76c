// SPDX-License-Identifier: Apache-2.0

package netstate

// A Manager is a program other than us that configures links of a node. The zero Manager is none.
type Manager string

// The managers that links can be taken over from.
const (
	NetworkManager Manager = "NetworkManager"
	Networkd       Manager = "systemd-networkd"
)

// The managers that have no switch: what they do to a link has to be ended in their own configuration.
const (
	Ifupdown Manager = "ifupdown"
	Wicked   Manager = "wicked"
	Connman  Manager = "connman"
	Dhcpcd   Manager = "dhcpcd"
	Netifrc  Manager = "netifrc"
	Talos    Manager = "Talos"
)

// Yields reports whether the manager can be told to leave a link alone.
func (m Manager) Yields() bool { return m == NetworkManager || m == Networkd }
