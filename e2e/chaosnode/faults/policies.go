// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bridgehead-dev/bridgehead/e2e/node"
)

// primaryPolicy makes eth0, through which the node reaches the API server, a port of a bridge without an address.
const primaryPolicy = `
apiVersion: nmstate.io/v1
kind: NodeNetworkConfigurationPolicy
metadata: {name: greedy}
spec:
  nodeSelector: {kubernetes.io/hostname: node01}
  desiredState:
    interfaces:
    - {name: br1, type: linux-bridge, state: up, bridge: {port: [{name: eth0}]}}
`

// gatewayPolicy routes by a gateway that is not there.
const gatewayPolicy = `
apiVersion: nmstate.io/v1
kind: NodeNetworkConfigurationPolicy
metadata: {name: astray}
spec:
  nodeSelector: {kubernetes.io/hostname: node01}
  desiredState:
    interfaces:
    - {name: eth0, type: ethernet, state: up}
    routes:
      config:
      - {state: absent, destination: 0.0.0.0/0, next-hop-interface: eth0}
      - {destination: 0.0.0.0/0, next-hop-interface: eth0, next-hop-address: 10.0.2.99}
`

func (f *Field) takePrimary(ctx context.Context) (string, error) {
	return f.undone(ctx, "greedy", primaryPolicy, "API server")
}

func (f *Field) loseGateway(ctx context.Context) (string, error) {
	return f.undone(ctx, "astray", gatewayPolicy, "default gateway")
}

// undone applies a policy that costs node01 something it lives by, and sees it undone and not tried again.
func (f *Field) undone(ctx context.Context, policy, manifest, lost string) (string, error) {
	n := f.Nodes[0]
	before, err := f.primary(ctx, n)
	if err != nil {
		return "", err
	}
	if err := f.apply(ctx, manifest); err != nil {
		return "", err
	}
	message, took, err := f.enactmentSays(ctx, n, policy, "Failing")
	if err != nil {
		return "", err
	}
	if !strings.Contains(message, lost) || strings.Contains(message, "\n") {
		return "", fmt.Errorf("the reason is not readable: %q", message)
	}
	if _, err := f.Kubectl(
		ctx, "wait", "nncp", policy, "--for=condition=Degraded", "--timeout", patience.String(),
	); err != nil {
		return "", err
	}
	after, err := f.primary(ctx, n)
	if err != nil {
		return "", err
	}
	if after != before {
		return "", fmt.Errorf("eth0 is not as it was:\n%s\nbefore:\n%s", after, before)
	}
	tries, err := f.Kubectl(ctx, "get", "nnce", n.Name+"."+policy, "-o=jsonpath={.status.retryCount}")
	if err != nil {
		return "", err
	}
	if tries != `{"1":1}` {
		return "", fmt.Errorf("it was tried again: %s", tries)
	}
	return fmt.Sprintf("undone and reported in %s, tried once", took.Round(100*time.Millisecond)), f.remove(ctx, policy)
}

// primary returns the configuration of eth0 and the routes.
func (f *Field) primary(ctx context.Context, n *node.Node) (string, error) {
	addresses, err := onNode(ctx, n, "ip -br -4 addr show eth0")
	if err != nil {
		return "", err
	}
	routes, err := onNode(ctx, n, "ip route show")
	return addresses + routes, err
}

// halfPolicy names a NIC that only one of the nodes has.
const halfPolicy = `
apiVersion: nmstate.io/v1
kind: NodeNetworkConfigurationPolicy
metadata: {name: half}
spec:
  maxUnavailable: 1
  desiredState:
    interfaces:
    - {name: br2, type: linux-bridge, state: up, bridge: {port: [{name: spare}]}}
`

// failOnOne applies a policy for a NIC that the first node does not have.
func (f *Field) failOnOne(ctx context.Context) (string, error) {
	if _, err := onNode(ctx, f.Nodes[1], "ip link add spare type dummy"); err != nil {
		return "", err
	}
	if err := f.apply(ctx, halfPolicy); err != nil {
		return "", err
	}
	message, _, err := f.enactmentSays(ctx, f.Nodes[0], "half", "Failing")
	if err != nil {
		return "", err
	}
	if !strings.Contains(message, "spare") {
		return "", fmt.Errorf("the reason does not name the NIC: %q", message)
	}
	if _, _, err := f.enactmentSays(ctx, f.Nodes[1], "half", "Aborted"); err != nil {
		return "", err
	}
	status, err := f.Kubectl(ctx, "get", "nncp", "half", `-o=jsonpath={.status.conditions[?(@.status=="True")].message}`)
	if err != nil {
		return "", err
	}
	if links, err := onNode(ctx, f.Nodes[1], "ip -br link"); err != nil || strings.Contains(links, "br2") {
		return "", fmt.Errorf("node02 was configured: %s %w", links, err)
	}
	_, err = onNode(ctx, f.Nodes[1], "ip link del spare")
	return fmt.Sprintf("the other aborted: %q", status), errors.Join(err, f.remove(ctx, "half"))
}

// latePolicy names a NIC that node01 does not have yet. What it makes goes with it.
const latePolicy = `
apiVersion: nmstate.io/v1
kind: NodeNetworkConfigurationPolicy
metadata: {name: late, annotations: {bridgehead.dev/on-delete: revert}}
spec:
  nodeSelector: {kubernetes.io/hostname: node01}
  desiredState:
    interfaces:
    - {name: br4, type: linux-bridge, state: up, bridge: {port: [{name: late0}]}}
`

// waitForNIC has a NIC come after the policy that names it.
func (f *Field) waitForNIC(ctx context.Context) (string, error) {
	n := f.Nodes[0]
	if err := f.apply(ctx, latePolicy); err != nil {
		return "", err
	}
	message, _, err := f.enactmentSays(ctx, n, "late", "Failing")
	if err != nil {
		return "", err
	}
	if !strings.Contains(message, "tried again when the node has late0") {
		return "", fmt.Errorf("the enactment does not say what it waits for: %q", message)
	}
	if _, err := onNode(ctx, n, "ip link add late0 type dummy"); err != nil {
		return "", err
	}
	began := time.Now()
	if err := f.available(ctx, n, "late"); err != nil {
		return "", err
	}
	took := time.Since(began)
	if links, err := onNode(ctx, n, "ip -br link show master br4"); err != nil || !strings.Contains(links, "late0") {
		return "", fmt.Errorf("late0 is not on br4: %s %w", links, err)
	}
	if err := errors.Join(f.remove(ctx, "late"), f.gone(ctx, n, "br4")); err != nil {
		return "", err
	}
	_, err = onNode(ctx, n, "ip link del late0")
	return fmt.Sprintf("Available %s after it came", took.Round(100*time.Millisecond)), err
}

// removeNode has a node go for good: its enactments go too.
func (f *Field) removeNode(ctx context.Context) (string, error) {
	const name = "node99"
	if err := f.AddBareNode(ctx, name); err != nil {
		return "", err
	}
	state := fmt.Sprintf("apiVersion: nmstate.io/v1beta1\nkind: NodeNetworkState\nmetadata: {name: %s}\n", name)
	if err := f.apply(ctx, state); err != nil {
		return "", err
	}
	if _, err := f.Kubectl(ctx, "wait", "nnce/"+name+".base", "--for=create", "--timeout", patience.String()); err != nil {
		return "", err
	}
	if _, err := f.Kubectl(ctx, "delete", "node/"+name, "nns/"+name); err != nil {
		return "", err
	}
	began := time.Now()
	if _, err := f.Kubectl(ctx, "wait", "nnce/"+name+".base", "--for=delete", "--timeout", patience.String()); err != nil {
		return "", err
	}
	return fmt.Sprintf("its enactment went in %s", time.Since(began).Round(time.Millisecond)), f.converged(ctx)
}
