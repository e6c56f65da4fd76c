// SPDX-License-Identifier: Apache-2.0

// Package boot holds what the guest of a real node is told when it boots.
package boot

import "github.com/bridgehead-dev/bridgehead/e2e/vmrun/script"

const (
	// ConfigPath is where a guest finds its Config, as JSON: in the initramfs, and from then on on its disk.
	ConfigPath = "/etc/bridgehead-node.json"
	// FilesDir is the folder of the initramfs that is copied over the root of the disk at every boot.
	FilesDir = "/node"
	// Program is where the guest's own program lies on the disk. In the initramfs it is /init.
	Program = "/usr/sbin/nodeinit"
	// ConnectPort is where the guest serves HTTP CONNECT into the cluster's network.
	ConnectPort = "6000"
	// ContainerdSocket is what programs that work through containerd wait for.
	ContainerdSocket = "/run/containerd/containerd.sock"
)

// A Config is what makes a guest the node it is.
type Config struct {
	// Name is the node's name and the guest's host name.
	Name string `json:"name"`
	// Modules of the kernel are loaded first, in this order.
	Modules []script.Module `json:"modules"`
	// Address is that of eth2, with a prefix length: the network between the nodes.
	Address string `json:"address"`
	// Routes lead to the pods of other nodes.
	Routes []Route `json:"routes,omitempty"`
	// PodNetwork is what pods have addresses of; they reach the machine that qemu runs on by the node's own.
	PodNetwork string `json:"podNetwork"`
	// Services are kept running.
	Services []Service `json:"services"`
}

// A Route leads to a network.
type Route struct {
	Network string `json:"network"`
	Via     string `json:"via"`
}

// A Service is a program that is started again whenever it ends. What it says is in /var/log/<name>.log.
type Service struct {
	Name string   `json:"name"`
	Argv []string `json:"argv"`
	// After is a file that must be there first; empty means none.
	After string `json:"after,omitempty"`
}
