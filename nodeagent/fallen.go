// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"context"

	corev1 "k8s.io/api/core/v1"
)

// noteWay has the next boot know by what the node reaches others now. Whether it does is known only while the node has
// all of its addresses.
func (a *Agent) noteWay(ctx context.Context) {
	if a.options.Way == nil || a.keeper.unread {
		return
	}
	current, err := a.keeper.Latest()
	if err != nil {
		return // it is said where that is reported
	}
	addresses := a.NodeAddresses()
	if !hasAll(current, addresses) {
		return
	}
	if err := a.keeper.NoteWay(ctx, addresses, a.options.Way); err != nil {
		a.options.Log.Error(err, "Cannot record by which links the node reaches the network; a boot would not fall back")
	}
}

// tellFallen tells people what the node gave up when it booted. That an agent runs ends the trial of that boot: what
// comes next is found out with the API server.
func (a *Agent) tellFallen() {
	if err := a.keeper.conclude(); err != nil {
		a.options.Log.Error(err, "Cannot note that the agent runs in this boot")
	}
	for _, r := range a.keeper.fallen.Records {
		note := a.keeper.fallback(r.Key())
		a.options.Log.Info("The node gave up a policy at boot", "policy", r.Policy, "why", note)
		a.options.Event(r.Policy, corev1.EventTypeWarning, "FellBackAtBoot", a.options.NodeName+": "+note)
	}
}

// dropFallen forgets what was given up of policies that are gone or not for this node any more: nobody asks for it.
func (a *Agent) dropFallen(policies []Policy) error {
	if len(a.keeper.fallen.Records) == 0 {
		return nil
	}
	wanted := map[string]bool{}
	for _, p := range policies {
		wanted[p.key()], wanted[p.Name] = p.Selected, p.Selected
	}
	var gone []string
	for _, r := range a.keeper.fallen.Records {
		if !wanted[r.Key()] || r.Orphan {
			gone = append(gone, r.Key())
		}
	}
	return a.keeper.takeUp(gone...)
}
