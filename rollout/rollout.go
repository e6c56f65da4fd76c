// SPDX-License-Identifier: Apache-2.0

// Package rollout hands out the turns by which nodes apply policies, and sums up how they took them.
//
// Decide is the whole of it: a plain function from what there is (a policy, the nodes it selects, their enactments) to
// what is to be done. The Reconciler around it reads, has it decide, and writes. All that is remembered between two
// decisions is which writes a cache must show before the next: a process that ends anywhere between two writes leaves
// nothing behind that the next one has to know.
package rollout

import (
	"cmp"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
)

// A Policy is what a rollout has to know of a policy.
type Policy struct {
	Name       string
	UID        types.UID
	Generation int64
	// MaxUnavailable is as the policy has it; nil if it has none.
	MaxUnavailable *intstr.IntOrString
	// Empty policies desire nothing: no node becomes unavailable by them, and all take their turns at once.
	Empty bool
}

// A Node is a node that the policy selects.
type Node struct {
	Name string
	UID  types.UID
	// NotReady nodes get their turns last, and a rollout is done without them.
	NotReady bool
	// Agent says that the node has a node state, so an agent runs there, or did.
	Agent bool
}

// A View is all that the rollout of one policy is decided by.
type View struct {
	// Policy is nil if there is none (any more).
	Policy *Policy
	// Nodes are those that the policy selects.
	Nodes []Node
	// Enactments are those that say they are of this policy.
	Enactments []Enactment
}

// A Decision is what to do about a View.
type Decision struct {
	// Actions are in the order to take them. Where one fails, those behind it must not be taken if it is urgent: they
	// count on it.
	Actions []Action
	// Summary is what the policy's status is to say; nil if there is no policy.
	Summary *Summary
}

// A Verb is what an Action does.
type Verb string

const (
	// Delete removes an enactment that is of no node or no policy any more.
	Delete Verb = "delete"
	// Withdraw takes back a turn that its node has not begun.
	Withdraw Verb = "withdraw"
	// Create makes an enactment, with a turn if the action has one.
	Create Verb = "create"
	// Grant gives an enactment a turn, or renews the turn it has.
	Grant Verb = "grant"
	// Wait has an enactment say that it waits for its turn.
	Wait Verb = "wait"
	// Abort has an enactment say that it will get no turn, because too many others have failed.
	Abort Verb = "abort"
)

// An Action is one write to one enactment.
type Action struct {
	Verb Verb
	// Enactment is the name of the enactment.
	Enactment string
	// Node is whose enactment it is. It is set where Verb is Create.
	Node Node
	// Turn is the generation to apply, for Create and Grant; zero where no turn is granted.
	Turn int64
}

// Urgent actions make room that later ones fill.
func (a Action) Urgent() bool { return a.Verb == Delete || a.Verb == Withdraw }

// String returns the action as a line of a log.
func (a Action) String() string {
	if a.Turn == 0 {
		return fmt.Sprintf("%s %s", a.Verb, a.Enactment)
	}
	return fmt.Sprintf("%s %s turn %d", a.Verb, a.Enactment, a.Turn)
}

// Decide returns what is to be done about a view. When it is done, and nothing else happens, the next decision has no
// actions. No order of actions, done in part or in full, has more nodes than maxUnavailable at work or failed.
func Decide(v View) Decision {
	if v.Policy == nil {
		var d Decision
		for _, e := range v.Enactments {
			d.Actions = append(d.Actions, Action{Verb: Delete, Enactment: e.Name})
		}
		return d
	}
	members, actions := membersOf(v)
	assignTurns(*v.Policy, members)
	for _, m := range members {
		if a, ok := m.action(*v.Policy); ok {
			actions = append(actions, a)
		}
	}
	slices.SortStableFunc(actions, func(a, b Action) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.Enactment, b.Enactment))
	})
	summary := summarize(*v.Policy, members)
	return Decision{Actions: actions, Summary: &summary}
}

func (a Action) rank() int {
	if a.Urgent() {
		return 0
	}
	return 1
}

// A member is a node that takes part in the rollout.
type member struct {
	node      Node
	enactment *Enactment // nil if there is none yet
	// next is what assignTurns wants of the enactment.
	next next
}

// next is what becomes of a member.
type next int

const (
	stays  next = iota // it is finished, or at work
	gets               // it is to have a turn of the policy's generation
	waits              // it is to wait
	aborts             // it is to give up
)

// membersOf finds the members of a rollout and deletes what belongs to none. A node takes part once an agent has shown
// itself; from then on its enactment keeps it in, so that deleting node states, to have them written again, disturbs
// nothing.
func membersOf(v View) (members []*member, stale []Action) {
	enactments := map[string]*Enactment{}
	for i := range v.Enactments {
		enactments[v.Enactments[i].Name] = &v.Enactments[i]
	}
	for _, n := range v.Nodes {
		name := nmstate.EnactmentName(n.Name, v.Policy.Name)
		e := enactments[name]
		delete(enactments, name)
		if e != nil && e.foreign(n, *v.Policy) {
			stale = append(stale, Action{Verb: Delete, Enactment: name})
			continue
		}
		if e != nil || n.Agent {
			members = append(members, &member{node: n, enactment: e})
		}
	}
	for name := range enactments {
		stale = append(stale, Action{Verb: Delete, Enactment: name})
	}
	slices.SortFunc(members, func(a, b *member) int { return cmp.Compare(a.node.Name, b.node.Name) })
	return members, stale
}

// foreign reports whether the enactment is of an earlier node or policy of the same name.
func (e *Enactment) foreign(n Node, p Policy) bool {
	return e.Node != n.Name ||
		e.NodeUID != "" && e.NodeUID != n.UID ||
		e.PolicyUID != "" && e.PolicyUID != p.UID
}

// action returns the write that brings a member where assignTurns wants it, if it takes one.
func (m *member) action(p Policy) (Action, bool) {
	a := Action{Enactment: nmstate.EnactmentName(m.node.Name, p.Name)}
	e := m.enactment
	switch {
	case e == nil && m.next == gets:
		a.Verb, a.Node, a.Turn = Create, m.node, p.Generation
	case e == nil:
		a.Verb, a.Node = Create, m.node
	case m.next == stays, m.next == gets && e.Turn == p.Generation && !e.outdated(p):
		return Action{}, false
	case m.next == gets && e.outdated(p):
		a.Verb = Wait
	case m.next == gets:
		a.Verb, a.Turn = Grant, p.Generation
	case e.open():
		a.Verb = Withdraw
	case m.next == aborts:
		a.Verb = Abort
	case e.waiting(p):
		return Action{}, false
	default:
		a.Verb = Wait
	}
	return a, true
}

// maxUnavailable returns how many of some nodes may be at work or have failed at a time: at least one, and half of them
// if the policy does not say or says nothing readable. Percentages are rounded up.
func maxUnavailable(p Policy, nodes int) int {
	fallback := intstr.FromString(nmstate.DefaultMaxUnavailable)
	limit, err := intstr.GetScaledValueFromIntOrPercent(cmp.Or(p.MaxUnavailable, &fallback), nodes, true)
	if err != nil {
		limit, err = intstr.GetScaledValueFromIntOrPercent(&fallback, nodes, true)
	}
	if err != nil {
		return 1
	}
	return max(1, limit)
}
