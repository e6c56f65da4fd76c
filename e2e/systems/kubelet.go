// SPDX-License-Identifier: Apache-2.0

package systems

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/bridgehead-dev/bridgehead/e2e/cluster"
	"github.com/bridgehead-dev/bridgehead/e2e/controlplane/binaries"
)

const (
	// KubeletAccess is where kubelet of a system has its kubeconfig. While there is none, it is not started.
	KubeletAccess = "/etc/kubernetes/kubelet.kubeconfig"
	// KubeletAddress is where it has the address of the node, as NODE_IP=<address>.
	KubeletAddress = "/etc/kubernetes/kubelet.env"
	// NodeName is the name of the node that a system is.
	NodeName = "system"
)

// contentOf is what is on the disk of a system.
func contentOf(ctx context.Context, o Options) (content, error) {
	c := content{kind: "system", packages: wanted(o.Kubelet), files: configuration()}
	if !o.Kubelet {
		return c, nil
	}
	c.kind = "node"
	programs, err := binaries.Ensure(ctx, binaries.Options{Set: binaries.Node, Out: o.Log})
	if err != nil {
		return content{}, fmt.Errorf("provide the programs of a node: %w", err)
	}
	c.programs = map[string]string{"/usr/bin/kubelet": filepath.Join(programs, "kubelet")}
	for path, name := range map[string]string{
		"/etc/containerd/config.toml": "containerd.toml", "/etc/kubernetes/kubelet.yaml": "kubelet.yaml",
	} {
		if c.files[path], err = cluster.NodeFile(name); err != nil {
			return content{}, err
		}
	}
	c.files["/etc/cni/net.d/10-pods.conflist"] = `{"cniVersion":"0.4.0","name":"pods","plugins":[{"type":"ptp"}]}`
	// As the packages of Kubernetes have it, with the address that the tests give it.
	c.files["/etc/systemd/system/kubelet.service"] = "[Unit]\nDescription=kubelet\n" +
		"Wants=network-online.target containerd.service\nAfter=network-online.target containerd.service\n" +
		"ConditionPathExists=" + KubeletAccess + "\n" +
		"[Service]\nEnvironmentFile=" + KubeletAddress + "\nRestart=always\nRestartSec=1\n" +
		"ExecStart=/usr/bin/kubelet --config=/etc/kubernetes/kubelet.yaml --kubeconfig=" + KubeletAccess +
		" --hostname-override=" + NodeName + " --node-ip=${NODE_IP}\n"
	return c, nil
}
