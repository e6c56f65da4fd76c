// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bridgehead-dev/bridgehead/e2e/node"
)

// virtual is an address as keepalived and kube-vip put it beside a node's own.
const virtual = "203.0.113.250/32"

// staticPolicy gives a link of node01 an address of its own. What it makes goes with it.
const staticPolicy = `
apiVersion: nmstate.io/v1
kind: NodeNetworkConfigurationPolicy
metadata: {name: static, annotations: {bridgehead.dev/on-delete: revert}}
spec:
  nodeSelector: {kubernetes.io/hostname: node01}
  desiredState:
    interfaces:
    - name: br0.8
      type: vlan
      state: up
      vlan: {base-iface: br0, id: 8}
      ipv4:
        enabled: true
        address:
        - {ip: 203.0.113.1, prefix-length: 24}
`

// greedy is an interface more, with which a policy cuts the node off.
const greedy = "    - {name: br1, type: linux-bridge, state: up, bridge: {port: [{name: eth0}]}}\n"

// staticAndGreedy is a later generation of it that brings the address of the first an own neighbour, and cuts the node
// off.
const staticAndGreedy = staticPolicy + "        - {ip: 203.0.113.2, prefix-length: 24}\n" + greedy

// keepVirtual has an address come beside that of a policy: healing, undoing and applying leave it alone.
func (f *Field) keepVirtual(ctx context.Context) (string, error) {
	n := f.Nodes[0]
	if err := errors.Join(f.apply(ctx, staticPolicy), f.available(ctx, n, "static")); err != nil {
		return "", err
	}
	if _, err := onNode(ctx, n, "ip addr add "+virtual+" dev br0.8"); err != nil {
		return "", err
	}
	before, err := addressesOf(ctx, n, "br0.8")
	if err != nil {
		return "", err
	}
	unharmed := func(after string) error {
		_, err := f.until(ctx, "the addresses of br0.8 after "+after, func(ctx context.Context) (bool, error) {
			now, err := addressesOf(ctx, n, "br0.8")
			if err == nil && !strings.Contains(now, virtual) {
				return false, fmt.Errorf("%s is gone: %s", virtual, now)
			}
			return err == nil && now == before, nil
		})
		return err
	}
	if _, err := onNode(ctx, n, "ip addr del 203.0.113.1/24 dev br0.8"); err != nil {
		return "", err
	}
	if err := unharmed("it was healed"); err != nil {
		return "", err
	}
	if err := f.apply(ctx, staticAndGreedy); err != nil {
		return "", err
	}
	if _, _, err := f.enactmentSays(ctx, n, "static", "Failing"); err != nil {
		return "", err
	}
	if err := unharmed("a change was undone"); err != nil {
		return "", err
	}
	if err := errors.Join(f.apply(ctx, staticPolicy), f.available(ctx, n, "static")); err != nil {
		return "", err
	}
	if err := unharmed("it was applied again"); err != nil {
		return "", err
	}
	_, err = onNode(ctx, n, "ip addr del "+virtual+" dev br0.8")
	return virtual + " stayed while its neighbour was healed, undone and applied",
		errors.Join(err, f.remove(ctx, "static"), f.gone(ctx, n, "br0.8"))
}

// addressesOf are those of a link, sorted, with a space before each.
func addressesOf(ctx context.Context, n *node.Node, link string) (string, error) {
	out, err := onNode(ctx, n, "ip -br -4 addr show "+link)
	if err != nil {
		return "", err
	}
	words := strings.Fields(out)
	addresses := words[min(2, len(words)):] // after the name and the state
	slices.Sort(addresses)
	return " " + strings.Join(addresses, " "), nil
}

// lanPolicy makes a bridge of node01's own, that has its address by DHCP, and waits long for the node to answer. What
// it makes goes with it.
const lanPolicy = `
apiVersion: nmstate.io/v1
kind: NodeNetworkConfigurationPolicy
metadata:
  name: lan
  annotations: {bridgehead.dev/on-delete: revert, bridgehead.dev/probe-deadline: 120s}
spec:
  nodeSelector: {kubernetes.io/hostname: node01}
  desiredState:
    interfaces:
    - {name: eth1.9, type: vlan, state: up, vlan: {base-iface: eth1, id: 9}}
    - name: br3
      type: linux-bridge
      state: up
      bridge: {options: {stp: {enabled: false}}, port: [{name: eth1.9}]}
      ipv4: {enabled: true, dhcp: true}
`

// keepLease starts a VM whose veth has a lower MAC than any other port of the node's own bridge: it must stay the one
// that the DHCP server knows.
func (f *Field) keepLease(ctx context.Context) (_ string, err error) {
	n := f.Nodes[0]
	s, err := f.serve(ctx, "198.51.100.50")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.stop(ctx)) }()
	if err := f.takeLease(ctx, n, s); err != nil {
		return "", err
	}
	before, err := onNode(ctx, n, "ip -br link show br3")
	if err != nil {
		return "", err
	}
	for _, line := range []string{
		"ip link add vm0 type veth peer name vm0-in", "ip link set vm0 address 02:00:00:00:00:01",
		"ip link set vm0 master br3", "ip link set vm0-in up", "ip link set vm0 up",
	} {
		if _, err := onNode(ctx, n, line); err != nil {
			return "", err
		}
	}
	if err := s.renewed(ctx); err != nil {
		return "", err
	}
	after, err := onNode(ctx, n, "ip -br link show br3")
	if err != nil {
		return "", err
	}
	addresses, err := addressesOf(ctx, n, "br3")
	if err != nil {
		return "", err
	}
	if after != before || strings.Count(addresses, "/") != 1 || !strings.Contains(addresses, s.lends) {
		return "", fmt.Errorf("br3 was %q, and is %q with %q", before, after, addresses)
	}
	_, err = onNode(ctx, n, "ip link del vm0")
	return "MAC and lease kept, and renewed beside it", errors.Join(err, f.removeLAN(ctx, n))
}

// takeLease has a node make its own bridge, and waits for its address.
func (f *Field) takeLease(ctx context.Context, n *node.Node, s *dhcpServer) error {
	if err := errors.Join(f.apply(ctx, lanPolicy), f.available(ctx, n, "lan")); err != nil {
		return err
	}
	return f.leased(ctx, n, s)
}

// leased waits until the node's own bridge has the address that a server lends, and no other.
func (f *Field) leased(ctx context.Context, n *node.Node, s *dhcpServer) error {
	_, err := f.until(ctx, s.lends+" on br3", func(ctx context.Context) (bool, error) {
		addresses, err := addressesOf(ctx, n, "br3")
		return err == nil && strings.Contains(addresses, " "+s.lends+"/") && strings.Count(addresses, "/") == 1, nil
	})
	return err
}

func (f *Field) removeLAN(ctx context.Context, n *node.Node) error {
	return errors.Join(f.remove(ctx, "lan"), f.gone(ctx, n, "br3"), f.gone(ctx, n, "eth1.9"))
}

// available waits until the newest generation of a policy is Available on a node.
func (f *Field) available(ctx context.Context, n *node.Node, policy string) error {
	generation, err := f.Kubectl(ctx, "get", "nncp", policy, "-o=jsonpath={.metadata.generation}")
	if err != nil {
		return err
	}
	_, err = f.until(ctx, n.Name+": "+policy+" Available", func(ctx context.Context) (bool, error) {
		out, err := f.Kubectl(ctx, "get", "nnce", n.Name+"."+policy,
			`-o=jsonpath={.status.policyGeneration} {.status.conditions[?(@.status=="True")].type}`)
		return err == nil && strings.TrimSpace(out) == generation+" Available", nil
	})
	return err
}

// gone waits until a link is gone from a node.
func (f *Field) gone(ctx context.Context, n *node.Node, link string) error {
	_, err := f.until(ctx, link+" to go from "+n.Name, func(ctx context.Context) (bool, error) {
		links, err := onNode(ctx, n, "ip -br link")
		return err == nil && !strings.Contains("\n"+links, "\n"+link+" ") && !strings.Contains("\n"+links, "\n"+link+"@"), nil
	})
	return err
}
