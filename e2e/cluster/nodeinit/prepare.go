// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/e2e/cluster/boot"
)

// The addresses of a guest of qemu's user network: its own, and the host's.
const (
	ownAddress = "10.0.2.15/24"
	hostIP     = "10.0.2.2"
)

// prepare does what systemd does of a machine before kubelet starts.
func prepare(config boot.Config) error {
	for _, m := range []mount{
		{"cgroup2", "/sys/fs/cgroup", "cgroup2"}, {"securityfs", "/sys/kernel/security", "securityfs"},
		{"tmpfs", "/run", "tmpfs"}, {"tmpfs", "/tmp", "tmpfs"}, {"devpts", "/dev/pts", "devpts"},
		{"shm", "/dev/shm", "tmpfs"}, {"mqueue", "/dev/mqueue", "mqueue"},
	} {
		if err := m.make(); err != nil && !errors.Is(err, unix.EBUSY) {
			return err
		}
	}
	if err := unix.Mount("", "/", "", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("share mounts with containers: %w", err)
	}
	if err := os.Chmod("/tmp", 0o1777); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(config.Name)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	return errors.Join(delegateControllers(), forward(), connect(config), masquerade(config.PodNetwork))
}

// delegateControllers leaves the root control group: controllers can be enabled below a group that has no processes
// only (Documentation/admin-guide/cgroup-v2.rst, "no internal process constraint").
func delegateControllers() error {
	const root = "/sys/fs/cgroup"
	init := filepath.Join(root, "init")
	if err := os.MkdirAll(init, 0o755); err != nil {
		return fmt.Errorf("make a control group: %w", err)
	}
	pids, err := os.ReadFile(filepath.Join(root, "cgroup.procs"))
	if err != nil {
		return fmt.Errorf("list processes: %w", err)
	}
	for _, pid := range bytes.Fields(pids) {
		// The kernel's own threads cannot be moved and do not count.
		_ = os.WriteFile(filepath.Join(init, "cgroup.procs"), pid, 0)
	}
	controllers, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("list controllers: %w", err)
	}
	var enable []string
	for _, c := range bytes.Fields(controllers) {
		enable = append(enable, "+"+string(c))
	}
	if err := os.WriteFile(
		filepath.Join(root, "cgroup.subtree_control"), []byte(strings.Join(enable, " ")), 0,
	); err != nil {
		return fmt.Errorf("enable controllers: %w", err)
	}
	return nil
}

// forward makes the node a router for its pods.
func forward() error {
	for _, name := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
		err := os.WriteFile("/proc/sys/net/"+name, []byte("1"), 0)
		if err != nil && !errors.Is(err, os.ErrNotExist) { // a kernel without IPv6
			return fmt.Errorf("forward packets: %w", err)
		}
	}
	return nil
}

// connect gives the machine its addresses and routes. eth1 comes up without an address: it is for policies.
func connect(config boot.Config) error {
	for _, l := range []struct{ name, address string }{
		{"lo", ""}, {"eth0", ownAddress}, {"eth1", ""}, {"eth2", config.Address},
	} {
		if err := linkUp(l.name, l.address); err != nil {
			return err
		}
	}
	if err := netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(hostIP), Protocol: unix.RTPROT_STATIC}); err != nil {
		return fmt.Errorf("add the default route: %w", err)
	}
	for _, r := range config.Routes {
		_, network, err := net.ParseCIDR(r.Network)
		if err != nil {
			return fmt.Errorf("read a route: %w", err)
		}
		if err := netlink.RouteAdd(
			&netlink.Route{Dst: network, Gw: net.ParseIP(r.Via), Protocol: unix.RTPROT_STATIC},
		); err != nil {
			return fmt.Errorf("add a route to %s: %w", r.Network, err)
		}
	}
	return nil
}

func linkUp(name, address string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	if address != "" {
		parsed, err := netlink.ParseAddr(address)
		if err != nil {
			return fmt.Errorf("read the address of %s: %w", name, err)
		}
		if err := netlink.AddrAdd(link, parsed); err != nil {
			return fmt.Errorf("address %s: %w", name, err)
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring %s up: %w", name, err)
	}
	return nil
}

// masquerade hides pods behind the node where qemu's user network, which knows the node only, begins.
func masquerade(pods string) error {
	cmd := exec.Command("/usr/sbin/nft", "-f", "-")
	cmd.Stdin = strings.NewReader(`table ip node {
	chain postrouting {
		type nat hook postrouting priority srcnat
		oifname "eth0" ip saddr ` + pods + ` masquerade
	}
}`)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("masquerade pods: %w: %s", err, out)
	}
	return nil
}
