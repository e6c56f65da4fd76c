// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// CheckAccess returns what the process lacks to work on the network of its node, as a container does that was not given
// its capabilities or its mounts. It changes nothing.
func (h *Host) CheckAccess() error {
	return errors.Join(checkCapabilities(), checkSysctls(h.Kernel.Sysctls))
}

// A capability is one the agent needs, and what for.
type capability struct {
	bit       int
	name, use string
}

func neededCapabilities() []capability {
	return []capability{
		{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN", "links, addresses and routes cannot be changed"},
		{unix.CAP_NET_RAW, "CAP_NET_RAW", "DHCP does not work, gateways cannot be probed and LLDP neighbours are not heard"},
		{unix.CAP_NET_BIND_SERVICE, "CAP_NET_BIND_SERVICE", "DHCP leases cannot be renewed (from port 68) or requested (from port 546)"},
	}
}

func checkCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData // 32 capabilities each
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("read the capabilities of the process: %w", err)
	}
	var lacking []error
	for _, c := range neededCapabilities() {
		if data[c.bit/32].Effective&(1<<(c.bit%32)) == 0 {
			lacking = append(lacking, fmt.Errorf("%s is missing: %s", c.name, c.use))
		}
	}
	return errors.Join(lacking...)
}

// checkSysctls looks at how the folder is mounted. Whether its files may be written, each file's writing shows.
func checkSysctls(folder string) error {
	var mount unix.Statfs_t
	if err := unix.Statfs(folder, &mount); err != nil {
		return fmt.Errorf("look at %s: %w", folder, err)
	}
	if mount.Flags&unix.ST_RDONLY != 0 {
		return fmt.Errorf("%s is read-only, so links cannot be made: "+
			"in a container, mount the host's writable below --host-root", folder)
	}
	return nil
}
