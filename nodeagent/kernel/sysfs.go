// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// sysfsLinks has a folder for every link, with what netlink does not tell.
const sysfsLinks = "/sys/class/net"

// keepsMAC reports whether the MAC of a bridge was set, as opposed to taken from a port; nil if nothing tells: the
// folder is that of another namespace.
func keepsMAC(l *link) *bool {
	const set = 3 // NET_ADDR_SET of include/uapi/linux/netdevice.h
	how := sysfsNumber(l, "addr_assign_type")
	if sysfsNumber(l, "ifindex") != l.index || how < 0 {
		return nil
	}
	return new(how == set)
}

// sysfsNumber returns what a file of a link says, -1 if nothing.
func sysfsNumber(l *link, file string) int {
	text, err := os.ReadFile(filepath.Join(sysfsLinks, l.iface.Name, file))
	if err != nil {
		return -1
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return -1
	}
	return n
}

// uppersOf lists the names of the links that stand on a link, of the same namespace: the kernel would delete them with
// it. A plan has deleted its own before.
func uppersOf(l *link) []string {
	const upper = "upper_"
	files, err := filepath.Glob(filepath.Join(sysfsLinks, l.iface.Name, upper+"*"))
	if err != nil || sysfsNumber(l, "ifindex") != l.index {
		return nil
	}
	names := make([]string, len(files))
	for n, file := range files {
		names[n] = strings.TrimPrefix(filepath.Base(file), upper)
	}
	return names
}

// withMAC returns a value that has a link keep its MAC, with that MAC: written again it counts as set. The kernel has
// no way to unset it.
func withMAC(to netstate.Interface, l *link) netstate.Interface {
	if isTrue(to.KeepsMAC) && to.MAC == nil {
		to.MAC = l.iface.MAC
	}
	return to
}
