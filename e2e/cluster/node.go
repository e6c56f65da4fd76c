// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/bridgehead-dev/bridgehead/e2e/cluster/boot"
	"github.com/bridgehead-dev/bridgehead/e2e/controlplane"
	"github.com/bridgehead-dev/bridgehead/e2e/vmrun/guest"
)

// podNetwork is what all pods have addresses of: node01's have 10.244.1.0/24, and so on.
const podNetwork = "10.244.0.0/16"

// A Node is a guest that is a Kubernetes node: kubelet, kube-proxy, containerd, Multus and the CNI project's plugins,
// on a disk that lives through reboots. eth0 leads to the API server, eth1 is plugged into the cluster's Segment and is
// for policies, eth2 carries what nodes and pods say to each other.
type Node struct {
	// Name is the node's name.
	Name string
	// Address is the node's on eth2, and its InternalIP.
	Address string

	machine *machine
	proxy   string // where its CONNECT proxy is on this machine
}

// newNode describes the n-th node of a cluster of count nodes, from 1.
func (c *Cluster) newNode(ctx context.Context, n, count int) (*Node, error) {
	name := fmt.Sprintf("node%02d", n)
	ports, err := controlplane.FreePorts(1)
	if err != nil {
		return nil, err
	}
	node := &Node{Name: name, Address: nodeAddress(n), proxy: fmt.Sprintf("127.0.0.1:%d", ports[0])}
	files, err := c.nodeFiles(n, name)
	if err != nil {
		return nil, err
	}
	disk := filepath.Join(c.dir, name+".qcow2")
	if err := newOverlay(ctx, c.base, disk); err != nil {
		return nil, err
	}
	node.machine = &machine{
		dir:      c.dir,
		programs: c.programs,
		memory:   1536,
		files:    files,
		disks:    []guest.Disk{{Path: disk, Format: "qcow2", Volatile: true}},
		kernel:   c.options.KernelArgs,
		config: boot.Config{
			Name: name, Address: node.Address + "/24", PodNetwork: podNetwork, Routes: routes(n, count),
			Services: []boot.Service{containerd(), kubelet(name, node.Address), kubeProxy(name), kubeProxyWatch()},
		},
		nics: []guest.NIC{
			{MAC: fmt.Sprintf("52:55:00:d1:55:%02x", n), Netdev: "user,hostfwd=tcp:" + node.proxy + "-:" + boot.ConnectPort},
			{MAC: fmt.Sprintf("52:55:00:d1:56:%02x", n-1), Netdev: c.Segment.Netdev()},
			{MAC: fmt.Sprintf("52:55:00:d1:57:%02x", n), Netdev: c.backbone.Netdev()},
		},
	}
	return node, nil
}

// nodeAddress returns the address of the n-th node.
func nodeAddress(n int) string { return fmt.Sprintf("192.168.77.%d", 10+n) }

// podSubnet has the addresses of the pods of the n-th node.
func podSubnet(n int) string { return fmt.Sprintf("10.244.%d.0/24", n) }

// routes lead from the n-th node to the pods of all others.
func routes(n, count int) (all []boot.Route) {
	for other := 1; other <= count; other++ {
		if other != n {
			all = append(all, boot.Route{Network: podSubnet(other), Via: nodeAddress(other)})
		}
	}
	return all
}

func containerd() boot.Service {
	return boot.Service{Name: "containerd", Argv: []string{"/usr/bin/containerd"}}
}

func kubelet(name, address string) boot.Service {
	return boot.Service{Name: "kubelet", After: boot.ContainerdSocket, Argv: []string{
		"/usr/bin/kubelet", "--config=/etc/kubernetes/kubelet.yaml", "--kubeconfig=/etc/kubernetes/kubelet.kubeconfig",
		"--hostname-override=" + name, "--node-ip=" + address, "--housekeeping-interval=1m", "--v=2",
	}}
}

func kubeProxy(name string) boot.Service {
	return boot.Service{Name: "kube-proxy", Argv: []string{
		"/usr/bin/kube-proxy", "--kubeconfig=/etc/kubernetes/proxy.kubeconfig", "--proxy-mode=nftables",
		"--hostname-override=" + name, "--cluster-cidr=" + podNetwork, "--conntrack-max-per-core=0", "--v=2",
	}}
}

// kubeProxyWatch starts kube-proxy again where the kernel has lost the Service of the API server. On very slow nodes it
// does, between two writes of kube-proxy 1.37, which does not look at what it wrote for an hour.
func kubeProxyWatch() boot.Service {
	const script = `
lost() {
	/usr/sbin/nft list set ip kube-proxy cluster-ips 2>/dev/null | busybox grep -q '10\.96\.0\.1\>' || return 1
	for services in service-ips no-endpoint-services; do
		/usr/sbin/nft list map ip kube-proxy $services | busybox grep -q '10\.96\.0\.1 \. 6 \. 443 ' && return 1
	done
	return 0
}
while sleep 10; do
	lost && sleep 10 && lost && echo "the Service of the API server is lost" && killall kube-proxy
done`
	return boot.Service{Name: "kube-proxy-watch", Argv: []string{"/bin/sh", "-c", script}}
}

// nodeFiles returns the files of the n-th node: its access to the API server, and the network of its pods.
func (c *Cluster) nodeFiles(n int, name string) (map[string]string, error) {
	files := map[string]string{"/etc/kubernetes/ca.crt": string(c.CA())}
	for file, user := range map[string][]string{
		"kubelet": {"system:node:" + name, "system:nodes"}, "proxy": {"system:kube-proxy"}, "multus": {"multus"},
	} {
		text, err := c.access(user[0], user[1:]...)
		if err != nil {
			return nil, err
		}
		files["/etc/kubernetes/"+file+".kubeconfig"] = text
	}
	pods, err := json.Marshal(map[string]any{
		"cniVersion": "0.4.0", "name": "pods", "plugins": []any{map[string]any{"type": "ptp", "ipam": map[string]any{
			"type":   "host-local",
			"ranges": [][]map[string]string{{{"subnet": podSubnet(n)}}},
			"routes": []map[string]string{{"dst": "0.0.0.0/0"}},
		}}},
	})
	if err != nil {
		return nil, fmt.Errorf("write the network of pods: %w", err)
	}
	// A folder of its own: of a list that it is given by its path, Multus forgets what it does not know (4.2.4).
	files["/etc/cni/pods.d/10-pods.conflist"] = string(pods)
	return files, nil
}

// access returns a kubeconfig of a user for programs in guests.
func (c *Cluster) access(user string, groups ...string) (string, error) {
	cfg, err := c.UserConfig(user, groups...)
	if err != nil {
		return "", err
	}
	cfg.Host = strings.Replace(cfg.Host, "127.0.0.1", hostIP, 1)
	return controlplane.Kubeconfig(cfg)
}

// hostIP is this machine for a guest of qemu's user network.
const hostIP = "10.0.2.2"

// Exec runs a program in the guest, as root on the node, and returns its output. A program that fails is an error with
// what it complained of.
func (n *Node) Exec(ctx context.Context, argv ...string) (string, error) {
	return n.machine.exec(ctx, argv...)
}

// Proxy returns the CONNECT proxy of the node, through which this machine reaches pods, Services and nodes.
func (n *Node) Proxy() *url.URL { return &url.URL{Scheme: "http", Host: n.proxy} }

// Log returns what a service of the node ("kubelet", "containerd", "kube-proxy") has said, over all boots.
func (n *Node) Log(ctx context.Context, service string) (string, error) {
	return n.machine.exec(ctx, "cat", "/var/log/"+service+".log")
}

// Kill ends a service of the node at once; it is started again as systemd would start it.
func (n *Node) Kill(ctx context.Context, service string) error {
	_, err := n.machine.exec(ctx, "killall", "-9", service)
	return err
}

// Reboot shuts the node down in order and boots it again with the same disk. It returns when the guest answers; kubelet
// takes longer.
func (n *Node) Reboot(ctx context.Context) error {
	if err := n.machine.powerOff(ctx); err != nil {
		return err
	}
	return n.machine.start(ctx)
}
