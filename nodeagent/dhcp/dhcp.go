// SPDX-License-Identifier: Apache-2.0

// Package dhcp is the DHCP client of the node agent (RFC 2131, RFC 8415): it gets addresses for the links whose
// configuration says `dhcp: true` and keeps them renewed for as long as no step says otherwise.
//
// A machine decides, from what it hears and the time it is told, what to say and which lease is held, and machine6 does
// that for IPv6; place turns a lease into steps, as the auto-* keys order. None has a clock or a socket. Clients is the
// shell: one goroutine a link and version of IP, a socket only while an answer is awaited, the last leases on disk.
//
// Nothing waits for a lease. A link on which somebody else renews an address is left to them.
package dhcp

import (
	"context"

	"github.com/go-logr/logr"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// A Network is where leases are put into force: a *kernel.Kernel, or what guards one. The clients speak in
// the network namespace of the process, so it must be the network of that. If it has a lock, do not hold it
// while calling GiveBack or Do: they wait for clients, which may wait for the lock.
type Network interface {
	kernel.Node
	// Station returns what a client must know about its link, the zero Station for one that does not exist.
	Station(link string) (kernel.Station, error)
	// Station6 does so for IPv6.
	Station6(link string) (kernel.Station, error)
	// Watch tells when something changes, as kernel.Kernel.Watch does.
	Watch(ctx context.Context) (<-chan kernel.Change, error)
}

// Options are what Clients need.
type Options struct {
	Network Network
	// Folder keeps the last lease of each link. It is made when needed.
	Folder string
	// Hostname is the node's name. Servers are told its first label unless the configuration says otherwise.
	Hostname string
	// MachineID is the text of machine-id(5), from which the DUID is made. Without, it is made of the link's MAC.
	MachineID string
	// Boot names the boot of the machine (/proc/sys/kernel/random/boot_id): clients of another boot are not resumed.
	Boot string
	Log  logr.Logger
}

// A Wanted is a link that should have a client.
type Wanted struct {
	Link string
	// IPv6 says that it is a client of that.
	IPv6 bool
	// Orders are the auto-* and dhcp-* keys, and no others.
	Orders netstate.IP
}
