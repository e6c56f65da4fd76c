// SPDX-License-Identifier: Apache-2.0

// Package kernel is the only code that talks to the kernel's network: Kernel.Read returns what there is
// as a netstate.State, Kernel.Do carries out one netstate.Step, Kernel.Watch says when something changed,
// and Apply carries out a plan and undoes it when a step fails. Model does the same in memory, for tests
// on any host.
//
// It needs Linux 5.6 (the VLANs of bridge ports are read with RTM_GETVLAN) and CAP_NET_ADMIN to write.
package kernel

import (
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// A Node is a network that can be read and changed step by step: a Kernel or a Model.
type Node interface {
	// Read returns the current state.
	Read() (netstate.State, error)
	// Do carries out one step whole or not at all, after checking that the node is as the step's From says.
	Do(netstate.Step) error
}

// A Kernel is the network of one namespace. It is safe for use by several goroutines, but steps done at
// the same time may see each other half done: give each namespace one writer.
type Kernel struct {
	// Sysctls is the folder with the settings of the network. Open makes it /proc/sys/net. A container that is not
	// privileged sees that read-only, and needs the host's mounted elsewhere. Set it before anything is done.
	Sysctls string

	// Devices is the folder in which links have their devices. Open makes it /sys/class/net. A container that is not
	// privileged can write there only what is mounted from the host.
	Devices string

	// Secret is what the IPv6 addresses of links with stable-privacy are made of, where the kernel has not been given a
	// secret by others. It has to be the same over reboots, and unlike those of other nodes, such as the machine ID.
	// What a link gets does not tell it.
	Secret string

	socket  *nl.SocketHandle
	ethtool *driver
	// resolver is the file that Read takes the DNS configuration from.
	resolver string
}

// Open returns the network of the namespace the process runs in.
func Open() (*Kernel, error) {
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE) // to nothing: it is for requests
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	driver, err := openDriver()
	if err != nil {
		socket.Close()
		return nil, fmt.Errorf("open a socket for drivers: %w", err)
	}
	k := &Kernel{Sysctls: "/proc/sys/net", Devices: "/sys/class/net", socket: &nl.SocketHandle{Socket: socket},
		ethtool: driver, resolver: "/etc/resolv.conf"}
	fd := k.socket.Socket.GetFd()
	for _, option := range []int{unix.NETLINK_EXT_ACK, unix.NETLINK_GET_STRICT_CHK} {
		if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, option, 1); err != nil {
			k.Close()
			return nil, fmt.Errorf("set up a netlink socket: %w", err)
		}
	}
	return k, nil
}

// Close gives back the sockets. The Kernel is of no use afterwards.
func (k *Kernel) Close() {
	k.socket.Close()
	k.ethtool.close()
}

// Do carries out one step whole or not at all. It first checks that the kernel is as step.From says, in
// every key From sets, and returns a *StaleError when it is not. What the kernel refuses is a
// *RefusedError with its reason in words. Steps that are no business of the kernel (DHCP, LLDP, DNS) do nothing.
func (k *Kernel) Do(step netstate.Step) error {
	switch step.Kind {
	case netstate.StepLink:
		return k.doLink(step)
	case netstate.StepSet:
		return k.doSet(step)
	case netstate.StepPort:
		return k.doPort(step)
	case netstate.StepAddress:
		return k.doAddress(step)
	case netstate.StepRoute:
		return k.doRoute(step)
	case netstate.StepRule:
		return k.doRule(step)
	case netstate.StepDHCP, netstate.StepLLDP, netstate.StepDNS, netstate.StepManager:
		return nil
	}
	return fmt.Errorf("unknown kind of step %q", step.Kind)
}
