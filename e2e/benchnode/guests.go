// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"github.com/bridgehead-dev/bridgehead/e2e/node"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
)

// guestPolicy is the story's.
const guestPolicy = `
apiVersion: nmstate.io/v1
kind: NodeNetworkConfigurationPolicy
metadata: {name: bench}
spec:
  desiredState:
    interfaces:
    - {name: br0, type: linux-bridge, state: up, bridge: {options: {stp: {enabled: false}}, port: [{name: eth1}]}}
`

// byHand is the bridge that is made by hand, on an uplink so that it is offered.
const (
	byHand     = "br9"
	makeByHand = "ip link add br9 type bridge && ip link set uplink master br9 && ip link set br9 up"
)

func countWords(text string) int { return len(strings.Fields(text)) }

// measureGuests measures two nodes with real kernels.
func (r *report) measureGuests(ctx context.Context, rounds int, idle time.Duration) (err error) {
	fmt.Println("Starting two nodes in qemu.")
	c, err := node.StartCluster(ctx, node.ClusterOptions{Nodes: 2, Suite: suite.Options{Replicas: 1}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	for _, n := range c.Nodes {
		if _, err := c.Kubectl(ctx, "wait", "nns/"+n.Name, "--for=create", "--timeout", patience.String()); err != nil {
			return err
		}
	}
	began := time.Now()
	if _, err := c.KubectlInput(ctx, guestPolicy, "apply", "-f", "-"); err != nil {
		return err
	}
	_, err = c.Kubectl(ctx, "wait", "nncp", "bench", "--for=condition=Available", "--timeout", patience.String())
	if err != nil {
		return err
	}
	g := &r.Guests
	g.AvailableSeconds = time.Since(began).Seconds()
	fmt.Printf("policy created -> Available on two nodes, one after the other: %.1f s\n", g.AvailableSeconds)
	if err := r.measureBridges(ctx, c, rounds); err != nil {
		return err
	}
	return r.measureIdle(ctx, c.Nodes[0], idle)
}

// measureBridges makes a bridge by hand, again and again, and watches for when the API server knows. The floor is what
// it would take at least: to run the commands in the guest, and to patch.
func (r *report) measureBridges(ctx context.Context, c *node.Cluster, rounds int) error {
	n := c.Nodes[0]
	for _, line := range []string{"ip link add uplink type dummy", "ip link set uplink up"} {
		if _, err := n.Exec(ctx, strings.Fields(line)...); err != nil {
			return err
		}
	}
	seen, err := watchNode(ctx, c, n.Name)
	if err != nil {
		return err
	}
	var capacity, state, floor []time.Duration
	for range rounds {
		f, err := floorOnce(ctx, n, seen)
		if err != nil {
			return err
		}
		began := time.Now()
		if _, err := n.Exec(ctx, "sh", "-c", makeByHand); err != nil {
			return err
		}
		at, err := seen.both(ctx, true)
		if err != nil {
			return err
		}
		capacity, state = append(capacity, at.capacity.Sub(began)), append(state, at.state.Sub(began))
		floor = append(floor, f)
		if _, err := n.Exec(ctx, "ip", "link", "del", byHand); err != nil {
			return err
		}
		if _, err := seen.both(ctx, false); err != nil {
			return err
		}
	}
	g := &r.Guests
	g.Capacity, g.NodeState, g.Floor = distributionOf(capacity), distributionOf(state), distributionOf(floor)
	g.Capacity.print("ip link add " + byHand + " and up -> in the Node's capacity")
	g.NodeState.print("ip link add " + byHand + " and up -> in the NodeNetworkState")
	g.Floor.print("floor: three commands in the guest, and one patch")
	return nil
}

// floorOnce runs as many commands in the guest as it takes to make the bridge, and patches the Node at once.
func floorOnce(ctx context.Context, n *node.Node, seen *sight) (time.Duration, error) {
	began := time.Now()
	if _, err := n.Exec(ctx, "sh", "-c", "ip link set uplink down && ip link set uplink up && ip link set uplink up"); err != nil {
		return 0, err
	}
	patch := `{"metadata":{"annotations":{"bench":"` + began.Format(time.RFC3339Nano) + `"}}}`
	if _, err := seen.nodes.Patch(ctx, n.Name, "application/merge-patch+json", []byte(patch), metav1.PatchOptions{}); err != nil {
		return 0, err
	}
	return time.Since(began), nil
}

// measureIdle watches an agent that has nothing to do.
func (r *report) measureIdle(ctx context.Context, n *node.Node, idle time.Duration) error {
	before, err := n.Agent(ctx)
	if err != nil {
		return err
	}
	if err := suite.Sleep(ctx, idle); err != nil {
		return err
	}
	after, err := n.Agent(ctx)
	if err != nil {
		return err
	}
	g := &r.Guests
	g.RSSMiB = float64(after.RSS) / (1 << 20)
	g.CPUPerCent = float64(after.CPUSeconds-before.CPUSeconds) / idle.Seconds()
	fmt.Printf("agent, idle for %s: RSS %.0f MiB, %.2f %% of an emulated processor\n", idle, g.RSSMiB, g.CPUPerCent)
	return nil
}

func (d distribution) print(what string) {
	fmt.Printf("%-60s p50 %6.0f ms   p99 %6.0f ms\n", what, d.P50, d.P99)
}

func distributionOf(all []time.Duration) distribution {
	slices.Sort(all)
	at := func(part float64) float64 {
		return float64(all[min(len(all)-1, int(part*float64(len(all))))].Microseconds()) / 1000
	}
	return distribution{P50: at(0.5), P99: at(0.99)}
}

// A sight is what watches say of a node.
type sight struct {
	nodes  dynamic.NamespaceableResourceInterface
	events chan sighting
}

// A sighting is that a bridge was there, or not, at a time.
type sighting struct {
	kind  string
	there bool
	at    time.Time
}

// times are when both were seen.
type times struct{ capacity, state time.Time }

func watchNode(ctx context.Context, c *node.Cluster, name string) (*sight, error) {
	client, err := dynamic.NewForConfig(c.Config)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	s := &sight{nodes: client.Resource(corev1.SchemeGroupVersion.WithResource("nodes")), events: make(chan sighting, 1000)}
	states := client.Resource(
		schema.GroupVersionResource{Group: "nmstate.io", Version: "v1beta1", Resource: "nodenetworkstates"},
	)
	only := metav1.ListOptions{FieldSelector: "metadata.name=" + name}
	for kind, resource := range map[string]dynamic.NamespaceableResourceInterface{"capacity": s.nodes, "state": states} {
		w, err := resource.Watch(ctx, only)
		if err != nil {
			return nil, fmt.Errorf("watch %s: %w", name, err)
		}
		go s.follow(w, kind)
	}
	return s, nil
}

func (s *sight) follow(w watch.Interface, kind string) {
	for event := range w.ResultChan() {
		o, ok := event.Object.(*unstructured.Unstructured)
		if !ok {
			continue
		}
		text, err := o.MarshalJSON()
		if err != nil {
			continue
		}
		mark := `"name":"` + byHand + `"`
		if kind == "capacity" {
			mark = "bridge.network.kubevirt.io/" + byHand
		}
		s.events <- sighting{kind, strings.Contains(string(text), mark), time.Now()}
	}
}

// both waits until capacity and state say that the bridge is there, or not.
func (s *sight) both(ctx context.Context, there bool) (times, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var t times
	for t.capacity.IsZero() || t.state.IsZero() {
		select {
		case e := <-s.events:
			switch {
			case e.there != there:
			case e.kind == "capacity" && t.capacity.IsZero():
				t.capacity = e.at
			case e.kind == "state" && t.state.IsZero():
				t.state = e.at
			}
		case <-ctx.Done():
			return t, fmt.Errorf("wait for the API server to know of %s: %w", byHand, ctx.Err())
		}
	}
	return t, nil
}
