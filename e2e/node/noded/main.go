// SPDX-License-Identifier: Apache-2.0

// Command noded is the one program of a guest that plays a Kubernetes node. It stands in for systemd and kubelet as far
// as the node agent can tell: it mounts the disk, gives eth0 its address, keeps the agent running, and does what the
// test asks for.
package main

import (
	"encoding/json"
	"fmt"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"os/exec"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/e2e/guestrpc"
)

// The addresses of a guest of qemu's user network: its own, and the host's.
const (
	ownAddress = "10.0.2.15/24"
	gateway    = "10.0.2.2"
)

func main() {
	if err := run(); err != nil {
		fmt.Println("noded:", err)
		os.Exit(1)
	}
}

func run() error {
	text, err := os.ReadFile(guestrpc.ConfigPath)
	if err != nil {
		return err
	}
	var config guestrpc.Config
	if err := json.Unmarshal(text, &config); err != nil {
		return fmt.Errorf("read %s: %w", guestrpc.ConfigPath, err)
	}
	if err := prepare(config); err != nil {
		return err
	}
	port, err := guestrpc.OpenPort()
	if err != nil {
		return err
	}
	node := newNode(config)
	server := rpc.NewServer()
	if err := server.RegisterName("Node", node); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	go server.ServeCodec(jsonrpc.NewServerCodec(port))
	go node.keepAgent()
	<-node.over
	return unix.Unmount(config.StateDir, 0)
}

// prepare makes the guest what a node is before kubelet starts.
func prepare(config guestrpc.Config) error {
	if err := unix.Sethostname([]byte(config.Name)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	if err := os.MkdirAll(config.StateDir, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("/dev/vda", config.StateDir, "ext4", 0, ""); err != nil {
		return fmt.Errorf("mount the disk: %w", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	if err := os.Symlink("/run", "/var/run"); err != nil {
		return err
	}
	if out, err := exec.Command("/bin/busybox", "--install", "-s", "/bin").CombinedOutput(); err != nil {
		return fmt.Errorf("install busybox: %w: %s", err, out)
	}
	return addressUp("eth0")
}

func addressUp(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	address, err := netlink.ParseAddr(ownAddress)
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(link, address); err != nil {
		return fmt.Errorf("address %s: %w", name, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring %s up: %w", name, err)
	}
	via, err := netlink.ParseAddr(gateway + "/32")
	if err != nil {
		return err
	}
	if err := netlink.RouteAdd(
		&netlink.Route{LinkIndex: link.Attrs().Index, Gw: via.IP, Protocol: unix.RTPROT_STATIC},
	); err != nil {
		return fmt.Errorf("route by %s: %w", name, err)
	}
	return nil
}
