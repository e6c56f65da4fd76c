// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	"github.com/bridgehead-dev/bridgehead/api/nmstate/v1beta1"
)

// enactment returns the name of the own enactment of a policy.
func (c *cluster) enactment(policy string) string { return nmstate.EnactmentName(c.node, policy) }

// errFinished says that a turn was finished before: the cache is behind.
var errFinished = errors.New("the turn is finished")

// A claim is what an agent knows when it claims a turn.
type claim struct {
	// repeated says that this process has claimed it before and has not heard whether it got it: if it has, that is no
	// further attempt.
	repeated bool
	// again says that the turn was finished before, and is taken once more.
	again bool
}

// begin claims a turn: from then on the controller knows that the node is at work. It fails where the turn was taken
// back meanwhile, and with errFinished where it was finished unless it is taken again.
func (c *cluster) begin(ctx context.Context, p Policy, how claim, now metav1.Time) error {
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	var e v1beta1.NodeNetworkConfigurationEnactment
	if err := c.live.Get(ctx, types.NamespacedName{Name: c.enactment(p.Name)}, &e); err != nil {
		return fmt.Errorf("claim the turn: %w", err)
	}
	if turn := nmstate.TurnOf(e.Annotations); turn != p.Generation {
		return fmt.Errorf("claim the turn: it is for generation %d by now, not %d", turn, p.Generation)
	}
	p.Status = e.Status
	finished := p.finished()
	if finished && !how.again {
		return errFinished
	}
	if finished {
		e.Status.RetryCount = nil // those attempts were reported
	}
	claimed := e.Status.PolicyGeneration == p.Generation
	if how.repeated && claimed && nmstate.IsTrue(e.Status.Conditions, nmstate.EnactmentProgressing) {
		return nil
	}
	e.Status = begin(e.Status, p.Generation, now)
	if err := c.live.Status().Update(ctx, &e); err != nil {
		return fmt.Errorf("claim the turn: %w", err)
	}
	return nil
}

// end reports a result.
func (c *cluster) end(ctx context.Context, r Result, now metav1.Time) error {
	var e v1beta1.NodeNetworkConfigurationEnactment
	err := c.live.Get(ctx, types.NamespacedName{Name: c.enactment(r.Policy)}, &e)
	if err != nil {
		return client.IgnoreNotFound(err) // the policy is gone, and nobody asks any more
	}
	if nmstate.TurnOf(e.Annotations) != r.Generation {
		return nil // it is about a newer one by now
	}
	if e.Status, err = end(e.Status, c.node, r, now); err != nil {
		return err
	}
	return c.live.Status().Update(ctx, &e)
}
