// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"time"
)

// Report returns what the cluster says of itself, for whoever looks for a fault.
func (c *Cluster) Report(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var report string
	for _, args := range [][]string{
		{"get", "nodes,pods", "-A", "-o", "wide"}, {"get", "events", "-A", "--sort-by=.lastTimestamp"},
		{"logs", "-n", Namespace, "-l", "app.kubernetes.io/name=bridgehead", "--prefix", "--tail=40"},
		{"logs", "-n", AgentNamespace, "-l", "app.kubernetes.io/name=bridgehead-agent", "--prefix", "--tail=40"},
	} {
		out, err := c.Kubectl(ctx, args...)
		if err != nil {
			out += err.Error()
		}
		report += fmt.Sprintf("$ kubectl %v\n%s\n", args, lastLines(out, 60))
	}
	for _, n := range c.Nodes {
		for _, service := range []string{"kubelet", "containerd", "kube-proxy", "kube-proxy-watch"} {
			log, err := n.Log(ctx, service)
			if err != nil {
				log += err.Error()
			}
			report += fmt.Sprintf("--- %s of %s:\n%s\n", service, n.Name, lastLines(log, 15))
		}
		// A Service that refuses connections is in one of these maps and should be in the other.
		for _, services := range []string{"service-ips", "no-endpoint-services"} {
			out, err := n.Exec(ctx, "/usr/sbin/nft", "list", "map", "ip", "kube-proxy", services)
			if err != nil {
				out += err.Error()
			}
			report += fmt.Sprintf("--- %s of %s:\n%s\n", services, n.Name, lastLines(out, 30))
		}
	}
	return report
}
