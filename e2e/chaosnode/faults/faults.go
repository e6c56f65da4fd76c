// SPDX-License-Identifier: Apache-2.0

// Package faults has the faults that nodes must survive. Each leaves the cluster as it found it: two nodes with br0 on
// eth1, by a policy.
package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/bridgehead-dev/bridgehead/e2e/node"
)

const (
	// patience is how long what must happen may take on a busy machine.
	patience = 3 * time.Minute
	poll     = 50 * time.Millisecond
	resource = `bridge\.network\.kubevirt\.io/br0`
)

// A Fault is one thing that happens. Do makes it happen and returns figures in words; an error if it did harm.
type Fault struct {
	Title string
	// Short faults take seconds.
	Short bool
	Do    func(ctx context.Context) (figures string, err error)
}

// A Field is a cluster to do harm to.
type Field struct {
	*node.Cluster
	bumps int
}

// basePolicy is what every fault starts from. %d makes a new generation.
const basePolicy = `
apiVersion: nmstate.io/v1
kind: NodeNetworkConfigurationPolicy
metadata: {name: base}
spec:
  maxUnavailable: 100%%
  desiredState:
    interfaces:
    - name: br0
      description: take %d
      type: linux-bridge
      state: up
      bridge:
        options: {stp: {enabled: false}}
        port:
        - name: eth1
    - name: br0.7
      type: vlan
      state: up
      vlan: {base-iface: br0, id: 7}
      ipv4: {enabled: true, address: [{ip: 192.0.2.1, prefix-length: 24}]}
`

// New brings the nodes to where every fault starts.
func New(ctx context.Context, c *node.Cluster) (*Field, error) {
	f := &Field{Cluster: c}
	for _, n := range c.Nodes {
		if _, err := c.Kubectl(ctx, "wait", "nns/"+n.Name, "--for=create", "--timeout", patience.String()); err != nil {
			return nil, fmt.Errorf("%s does not report its network: %w", n.Name, err)
		}
	}
	return f, errors.Join(f.bump(ctx), f.converged(ctx))
}

// All returns the faults, in an order that makes them quick.
func (f *Field) All() []Fault {
	return []Fault{
		{"A bridge is deleted by hand", true, f.deleteBridge},
		{"A port is detached by hand", true, f.detachPort},
		{"Somebody else's veth is on the bridge when the policy is applied again", true, f.keepVeth},
		{"Kubelet zeroes the capacity", true, f.zeroCapacity},
		{"A policy takes the primary NIC, and with it the API server", true, f.takePrimary},
		{"A policy sends the default route to nobody", true, f.loseGateway},
		{"A policy fails on one of two nodes, and one may be unavailable", true, f.failOnOne},
		{"The API server is away while a bridge is deleted", true, f.healAlone},
		{"A virtual address stands beside that of a policy", false, f.keepVirtual},
		{"A VM with a low MAC starts on the node's own bridge, under DHCP", false, f.keepLease},
		{"The NIC that a policy names comes late", true, f.waitForNIC},
		{"The agent is killed -9 at twenty moments of an apply", false, f.killAgent},
		{"The manager that hands out turns is killed in mid-rollout", false, f.killManager},
		{"The power is cut at six moments of an apply", false, f.cutPower},
		{"The power is cut in the middle of a change, and then there is another lease", false, f.cutPowerBeforeAnotherLease},
		{"A node boots without API server", false, f.bootAlone},
		{"A node is removed", true, f.removeNode},
	}
}

// bump makes a new generation of the base policy.
func (f *Field) bump(ctx context.Context) error {
	f.bumps++
	return f.apply(ctx, fmt.Sprintf(basePolicy, f.bumps))
}

func (f *Field) apply(ctx context.Context, manifest string) error {
	_, err := f.KubectlInput(ctx, manifest, "apply", "-f", "-")
	return err
}

// converged waits until the base policy is Available in its newest generation on every node.
func (f *Field) converged(ctx context.Context) error {
	generation, err := f.Kubectl(ctx, "get", "nncp", "base", "-o=jsonpath={.metadata.generation}")
	if err != nil {
		return err
	}
	for _, n := range f.Nodes {
		if _, err := f.until(ctx, n.Name+": "+generation+" Available", func(ctx context.Context) (bool, error) {
			out, err := f.Kubectl(ctx, "get", "nnce", n.Name+".base",
				`-o=jsonpath={.status.policyGeneration} {.status.conditions[?(@.status=="True")].type}`)
			return err == nil && strings.TrimSpace(out) == generation+" Available", nil
		}); err != nil {
			return err
		}
		// After a power cut the enactment is what it was, and the node may not be yet.
		if _, err := f.until(ctx, n.Name+": eth1 on br0", func(ctx context.Context) (bool, error) {
			links, err := onNode(ctx, n, "ip -br link show master br0")
			return err == nil && strings.Contains(links, "eth1"), nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// until waits for something and says how long it took.
func (f *Field) until(ctx context.Context, what string, so wait.ConditionWithContextFunc) (time.Duration, error) {
	began := time.Now()
	if err := wait.PollUntilContextTimeout(ctx, poll, patience, true, so); err != nil {
		return 0, fmt.Errorf("wait for %s: %w", what, err)
	}
	return time.Since(began), nil
}

// onNode runs a command line on a node.
func onNode(ctx context.Context, n *node.Node, line string) (string, error) {
	return n.Exec(ctx, strings.Fields(line)...)
}

// enactmentSays waits until an enactment is in a state, and returns its message.
func (f *Field) enactmentSays(ctx context.Context, n *node.Node, policy, state string) (string, time.Duration, error) {
	took, err := f.until(ctx, n.Name+"."+policy+" "+state, func(ctx context.Context) (bool, error) {
		out, err := f.Kubectl(
			ctx, "get", "nnce", n.Name+"."+policy, `-o=jsonpath={.status.conditions[?(@.status=="True")].type}`,
		)
		return err == nil && strings.TrimSpace(out) == state, nil
	})
	if err != nil {
		return "", 0, err
	}
	message, err := f.Kubectl(
		ctx, "get", "nnce", n.Name+"."+policy, `-o=jsonpath={.status.conditions[?(@.status=="True")].message}`,
	)
	return message, took, err
}

// remove deletes a policy and waits until its enactments are gone.
func (f *Field) remove(ctx context.Context, policy string) error {
	if _, err := f.Kubectl(ctx, "delete", "nncp", policy); err != nil {
		return err
	}
	_, err := f.Kubectl(
		ctx, "wait", "nnce", "--for=delete", "-l", "nmstate.io/policy="+policy, "--timeout", patience.String(),
	)
	return err
}
