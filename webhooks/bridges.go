// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/bridgehead-dev/bridgehead/api/nmstate/v1"
	"github.com/bridgehead-dev/bridgehead/api/nmstate/v1beta1"
	"github.com/bridgehead-dev/bridgehead/nad"
	"github.com/bridgehead-dev/bridgehead/netstate"
)

// Bridges knows which bridges the cluster offers: those that a node has as a resource, and those that a policy
// declares. The zero Bridges knows nothing yet; Run keeps it. It may be used by many at once.
type Bridges struct {
	nodes, policies nameStore
}

// Offered reports whether a node has a bridge, or a policy declares it. Until that is known every bridge counts as
// offered: a pod that waits for nothing can be helped, one on the wrong network cannot.
func (b *Bridges) Offered(bridge string) bool {
	return !b.Ready() || b.nodes.has(bridge) || b.policies.has(bridge)
}

// settleTime is how long it may take until every replica knows that a bridge is offered, should its watch be cut.
const settleTime = time.Minute

// Settled reports whether a bridge is known to be offered, and has been for so long that every replica knows it.
func (b *Bridges) Settled(bridge string) bool {
	return b.Ready() && (b.nodes.hasFor(bridge, settleTime) || b.policies.hasFor(bridge, settleTime))
}

// Ready reports whether all nodes and policies have been read.
func (b *Bridges) Ready() bool { return b.nodes.ready() && b.policies.ready() }

// Run watches nodes and policies until ctx is done.
func (b *Bridges) Run(ctx context.Context, c client.WithWatch) {
	var running sync.WaitGroup
	running.Go(func() { b.nodes.keep(ctx, c, &corev1.Node{}, &corev1.NodeList{}) })
	running.Go(func() {
		b.policies.keep(ctx, c, &v1.NodeNetworkConfigurationPolicy{}, &v1.NodeNetworkConfigurationPolicyList{})
	})
	running.Wait()
}

// namesIn returns the bridges that an object offers, or the addresses that the NICs of a node have. A bridge that a
// node has none of at this moment is offered all the same.
func namesIn(o any) ([]string, error) {
	var bridges []string
	switch o := o.(type) {
	case *corev1.Node:
		for name := range o.Status.Allocatable {
			if bridge, ok := strings.CutPrefix(string(name), nad.BridgePrefix); ok {
				bridges = append(bridges, bridge)
			}
		}
	case *v1.NodeNetworkConfigurationPolicy:
		state, _ := netstate.Parse(wishOf(o.Spec)) // what cannot be read declares nothing
		bridges = slices.Sorted(maps.Keys(state.DeclaredBridges()))
	case *v1beta1.NodeNetworkState:
		return addressesOfNode(o), nil
	default:
		return nil, fmt.Errorf("take in a %T: want a Node, a policy or a NodeNetworkState", o)
	}
	return bridges, nil
}
