// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	v1 "github.com/bridgehead-dev/bridgehead/api/nmstate/v1"
	"github.com/bridgehead-dev/bridgehead/api/nmstate/v1beta1"
	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/netstate/render"
)

// A PolicyView is what a cluster has of policies and of nodes that run an agent.
type PolicyView struct {
	// Labels are those of every node, by its name.
	Labels map[string]map[string]string
	// Agents are the nodes that run an agent.
	Agents   []string
	Policies []v1.NodeNetworkConfigurationPolicy
	// States are what nodes reported, by node, and Enactments how they took policies; of the nodes that were asked about.
	States     map[string]v1beta1.NodeNetworkState
	Enactments []v1beta1.NodeNetworkConfigurationEnactment
}

// selected returns the nodes with an agent that a selector selects, in order.
func (v PolicyView) selected(selector map[string]nmstate.LabelValue) []string {
	nodes := slices.DeleteFunc(slices.Clone(v.Agents), func(node string) bool { return !v.selects(selector, node) })
	slices.Sort(nodes)
	return nodes
}

// report returns the view with what nodes reported. If that cannot be read it is said so.
func (v PolicyView) report(
	ctx context.Context, source PolicySource, nodes []string, verdict *Verdict,
) (view PolicyView, ok bool) {
	reported, err := source.Report(ctx, v, nodes)
	if err != nil {
		verdict.warn("the state of nodes could not be read: the effect of the policy on them is not known")
		verdict.Notes = append(verdict.Notes, fmt.Sprintf("cannot read the state of nodes: %v", err))
	}
	return reported, err == nil
}

// selects reports whether a selector selects a node.
func (v PolicyView) selects(selector map[string]nmstate.LabelValue, node string) bool {
	labels, exists := v.Labels[node]
	for key, want := range selector {
		if got, ok := labels[key]; !ok || got != string(want) {
			return false
		}
	}
	return exists
}

// wished returns what all policies wish for on a node, as they are written: without what captures fill in.
func (v PolicyView) wished(node string) netstate.State {
	var all netstate.State
	for _, p := range v.Policies {
		if p.DeletionTimestamp != nil || !v.selects(p.Spec.NodeSelector, node) {
			continue
		}
		state, _ := netstate.Parse(wishOf(p.Spec)) // of what cannot be read nothing is known
		all.Interfaces = append(all.Interfaces, state.Interfaces...)
	}
	return all
}

// declared returns what policies declared on a node, by their enactments.
func (v PolicyView) declared(node string) netstate.State {
	var all netstate.State
	for _, e := range v.Enactments {
		if e.Labels[nmstate.NodeLabel] != node || e.Status.DesiredState == nil {
			continue
		}
		state, _ := netstate.Parse(e.Status.DesiredState.Raw) // what cannot be read was not applied
		all.Interfaces = append(all.Interfaces, state.Interfaces...)
	}
	return all
}

// captured returns what the captures of a policy found on a node before.
func (v PolicyView) captured(policy, node string) map[string]nmstate.CapturedState {
	for _, e := range v.Enactments {
		if e.Labels[nmstate.PolicyLabel] == policy && e.Labels[nmstate.NodeLabel] == node {
			return e.Status.CapturedStates
		}
	}
	return nil
}

// A nodePlan is what a policy would do to a node: a plan, or the problems that stand in its way.
type nodePlan struct {
	node     string
	plan     string
	problems []string
	// changed is when the state that this was worked out from changed last, as the node reported.
	changed time.Time
}

// nodePlans returns those of the nodes that have reported their state; of those for which there is time until ctx is
// done, and unseen counts the others.
func (v PolicyView) nodePlans(
	ctx context.Context, p *v1.NodeNetworkConfigurationPolicy, desired netstate.State, nodes []string,
) (
	all []nodePlan, unseen int,
) {
	for _, node := range nodes {
		s, reported := v.States[node]
		switch {
		case ctx.Err() != nil:
			unseen++
		case reported && s.Status.CurrentState != nil:
			one := nodePlan{node: node, changed: s.Status.LastSuccessfulUpdateTime.Time}
			one.plan, one.problems = v.planOn(p, desired, s)
			all = append(all, one)
		}
	}
	return all, unseen
}

// planOn plans a policy on a node.
func (v PolicyView) planOn(p *v1.NodeNetworkConfigurationPolicy, desired netstate.State, s v1beta1.NodeNetworkState) (
	plan string, problems []string,
) {
	current, _ := netstate.Parse(
		s.Status.CurrentState.Raw,
	) // what another version reports beyond our schema is passed over
	if len(p.Spec.Capture) > 0 {
		var err error
		desired, _, err = render.Policy(p.Spec, current, v.captured(p.Name, s.Name), metav1.Time{})
		if err != nil {
			return "", []string{err.Error()}
		}
	}
	current = netstate.Own(netstate.Own(current, v.declared(s.Name)), desired)
	if wrong := netstate.Check(current, desired, nil); len(wrong) > 0 {
		for _, problem := range wrong {
			problems = append(problems, problem.Error())
		}
		return "", problems
	}
	steps, err := netstate.Plan(current, desired)
	if err != nil {
		return "", []string{err.Error()}
	}
	return netstate.Explain(current, steps), nil
}

// grouped returns the nodes of which the same is to be said, in the order in which it is first said.
func grouped(all []nodePlan, say func(nodePlan) []string) (said []string, nodes map[string][]nodePlan) {
	nodes = map[string][]nodePlan{}
	for _, p := range all {
		for _, text := range say(p) {
			if nodes[text] == nil {
				said = append(said, text)
			}
			nodes[text] = append(nodes[text], p)
		}
	}
	return said, nodes
}

// warnProblems warns of what stands in the way of a policy on some nodes.
func warnProblems(verdict *Verdict, all []nodePlan) {
	said, nodes := grouped(all, func(p nodePlan) []string { return p.problems })
	for _, text := range said {
		first, _, _ := strings.Cut(text, "\n")
		verdict.warn("%s", someOf(names(nodes[text]))+": "+first)
	}
}

// names returns those of the nodes, each once.
func names(all []nodePlan) []string {
	unique := map[string]bool{}
	for _, p := range all {
		unique[p.node] = true
	}
	return slices.Sorted(maps.Keys(unique))
}

// someOf names nodes: all of few, one of many.
func someOf(nodes []string) string {
	switch len(nodes) {
	case 0:
		return "no node"
	case 1:
		return "node " + nodes[0]
	case 2:
		return "nodes " + nodes[0] + " and " + nodes[1]
	default:
		return fmt.Sprintf("%d nodes (%s …)", len(nodes), nodes[0])
	}
}
