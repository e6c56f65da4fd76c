// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
)

// policy returns policy p at generation 2, for a number of nodes at a time.
func policy(limit int) *Policy {
	return &Policy{Name: "p", UID: "p-uid", Generation: 2, MaxUnavailable: &intstr.IntOrString{IntVal: int32(limit)}}
}

func ready(name string) Node {
	return Node{Name: name, UID: types.UID(name + "-uid"), Agent: true}
}

func notReadyNode(name string) Node {
	n := ready(name)
	n.NotReady = true
	return n
}

// enactment returns one of policy p. What it says is a generation and the types of the conditions that are True.
func enactment(node string, turn, says int64, what ...nmstate.ConditionType) Enactment {
	e := Enactment{
		Name: node + ".p", Node: node, NodeUID: types.UID(node + "-uid"), PolicyUID: "p-uid", Turn: turn, Generation: says,
	}
	for _, t := range what {
		e.Conditions = append(e.Conditions, nmstate.Condition{Type: t, Status: corev1.ConditionTrue})
	}
	return e
}

// short names of what enactments say
const (
	available = nmstate.EnactmentAvailable
	failing   = nmstate.EnactmentFailing
	working   = nmstate.EnactmentProgressing
	pending   = nmstate.EnactmentPending
	aborted   = nmstate.EnactmentAborted
)

func TestDecide(t *testing.T) {
	abc := []Node{ready("a"), ready("b"), ready("c")}
	for name, tc := range map[string]struct {
		policy     *Policy
		nodes      []Node
		enactments []Enactment
		actions    string
		says       string
	}{
		"a new policy gives the first nodes their turns and has the others wait": {
			policy: policy(1), nodes: abc,
			actions: "create a.p turn 2\ncreate b.p\ncreate c.p",
			says:    "Progressing: Policy is progressing 0/3 nodes finished, 2 pending",
		},
		"who has no turn is told that it waits": {
			policy: policy(1), nodes: abc,
			enactments: []Enactment{enactment("a", 2, 0), enactment("b", 0, 0), enactment("c", 0, 2, pending)},
			actions:    "wait b.p",
			says:       "Progressing: Policy is progressing 0/3 nodes finished, 2 pending",
		},
		"a node that finishes makes room for the next": {
			policy: policy(1), nodes: abc,
			enactments: []Enactment{enactment("a", 2, 2, available), enactment("b", 0, 2, pending), enactment("c", 0, 2, pending)},
			actions:    "grant b.p turn 2",
			says:       "Progressing: Policy is progressing 1/3 nodes finished, 1 pending",
		},
		"a node at work keeps its place": {
			policy: policy(1), nodes: abc,
			enactments: []Enactment{enactment("a", 2, 2, available), enactment("b", 2, 2, working), enactment("c", 0, 2, pending)},
			says:       "Progressing: Policy is progressing 1/3 nodes finished, 1 pending",
		},
		"a node that tries again has not failed yet": {
			policy: policy(1), nodes: abc,
			enactments: []Enactment{enactment("a", 2, 2, failing, working), enactment("b", 0, 2, pending), enactment("c", 0, 2, pending)},
			says:       "Progressing: Policy is progressing 0/3 nodes finished, 2 pending",
		},
		"all finished": {
			policy: policy(1), nodes: abc,
			enactments: []Enactment{enactment("a", 2, 2, available), enactment("b", 2, 2, available), enactment("c", 2, 2, available)},
			says:       "Available: 3/3 nodes successfully configured",
		},
		"a failed node counts against the limit, and the others abort": {
			policy: policy(1), nodes: abc,
			enactments: []Enactment{enactment("a", 2, 2, failing), enactment("b", 0, 2, pending), enactment("c", 0, 0)},
			actions:    "abort b.p\nabort c.p",
			says:       "Degraded: 1/3 nodes failed to configure",
		},
		"below the limit a failure takes a place and stops nobody": {
			policy: policy(2), nodes: abc,
			enactments: []Enactment{enactment("a", 2, 2, failing), enactment("b", 0, 2, pending), enactment("c", 0, 2, pending)},
			actions:    "grant b.p turn 2",
			says:       "Degraded: 1/3 nodes failed to configure",
		},
		"a failure while another is at work has the third wait, not abort": {
			policy: policy(2), nodes: abc,
			enactments: []Enactment{enactment("a", 2, 2, failing), enactment("b", 2, 2, working), enactment("c", 0, 2, pending)},
			says:       "Degraded: 1/3 nodes failed to configure",
		},
		"aborted is for good": {
			policy: policy(1), nodes: abc[1:],
			enactments: []Enactment{enactment("b", 0, 2, aborted), enactment("c", 0, 2, aborted)},
			says:       "Degraded: 0/2 nodes failed to configure, 2 nodes aborted configuration",
		},
		"until the policy changes": {
			policy: policy(1), nodes: abc,
			enactments: []Enactment{enactment("a", 1, 1, failing), enactment("b", 0, 1, aborted), enactment("c", 0, 1, aborted)},
			actions:    "grant a.p turn 2\nwait b.p\nwait c.p",
			says:       "Progressing: Policy is progressing 0/3 nodes finished, 2 pending",
		},
		"a node that appears in a rollout that has stopped aborts": {
			policy: policy(1), nodes: abc[:2],
			enactments: []Enactment{enactment("a", 2, 2, failing)},
			actions:    "create b.p",
			says:       "Degraded: 1/2 nodes failed to configure",
		},
		"a change of the policy while a node is at work renews its turn and grants no other": {
			policy: policy(1), nodes: abc,
			enactments: []Enactment{enactment("a", 1, 1, working), enactment("b", 0, 1, pending), enactment("c", 0, 1, pending)},
			actions:    "grant a.p turn 2\nwait b.p\nwait c.p",
			says:       "Progressing: Policy is progressing 0/3 nodes finished, 2 pending",
		},
		"a change while a turn is not begun renews it": {
			policy: policy(1), nodes: abc,
			enactments: []Enactment{enactment("a", 1, 1, available), enactment("b", 1, 1, pending), enactment("c", 0, 1, pending)},
			actions:    "wait a.p\ngrant b.p turn 2\nwait c.p",
			says:       "Progressing: Policy is progressing 0/3 nodes finished, 2 pending",
		},
		"a limit that is lowered while nodes are at work lets one go on and waits for the other": {
			policy: policy(1), nodes: abc,
			enactments: []Enactment{enactment("a", 1, 1, working), enactment("b", 1, 1, working), enactment("c", 0, 2, pending)},
			actions:    "grant a.p turn 2",
			says:       "Progressing: Policy is progressing 0/3 nodes finished, 1 pending",
		},
		"a limit that is lowered takes back the turns not begun, and has them wait later": {
			policy: policy(1), nodes: abc,
			enactments: []Enactment{enactment("a", 1, 1, pending), enactment("b", 1, 1, pending), enactment("c", 1, 0)},
			actions:    "withdraw b.p\nwithdraw c.p\ngrant a.p turn 2",
			says:       "Progressing: Policy is progressing 0/3 nodes finished, 2 pending",
		},
		"a node that is not ready gets its turn last": {
			policy: policy(1), nodes: []Node{notReadyNode("a"), ready("b")},
			actions: "create a.p\ncreate b.p turn 2",
			says:    "Progressing: Policy is progressing 0/1 nodes finished, 1 pending, 1 nodes ignored due to NotReady state",
		},
		"a node that is not ready does get a turn, and nobody waits for it": {
			policy: policy(1), nodes: []Node{notReadyNode("a"), ready("b")},
			enactments: []Enactment{enactment("a", 0, 2, pending), enactment("b", 2, 2, available)},
			actions:    "grant a.p turn 2",
			says:       "Available: 1/2 nodes successfully configured, 1 nodes ignored due to NotReady state",
		},
		"a node that went down with a turn it has not begun yields it": {
			policy: policy(1), nodes: []Node{notReadyNode("a"), ready("b")},
			enactments: []Enactment{enactment("a", 2, 0), enactment("b", 0, 2, pending)},
			actions:    "withdraw a.p\ngrant b.p turn 2",
			says:       "Progressing: Policy is progressing 0/1 nodes finished, 1 pending, 1 nodes ignored due to NotReady state",
		},
		"a node that went down at work does not": {
			policy: policy(1), nodes: []Node{notReadyNode("a"), ready("b")},
			enactments: []Enactment{enactment("a", 2, 2, working), enactment("b", 0, 2, pending)},
			says:       "Progressing: Policy is progressing 0/1 nodes finished, 1 pending, 1 nodes ignored due to NotReady state",
		},
		"where no node is ready, none is ignored": {
			policy: policy(1), nodes: []Node{notReadyNode("a"), notReadyNode("b")},
			enactments: []Enactment{enactment("a", 2, 2, available), enactment("b", 2, 0)},
			says:       "Progressing: Policy is progressing 1/2 nodes finished",
		},
		"a node that was configured is not ignored when it goes down": {
			policy: policy(1), nodes: []Node{notReadyNode("a"), ready("b")},
			enactments: []Enactment{enactment("a", 2, 2, available), enactment("b", 2, 2, available)},
			says:       "Available: 2/2 nodes successfully configured",
		},
		"a node that appears": {
			policy: policy(1), nodes: abc[:2],
			enactments: []Enactment{enactment("a", 2, 2, available)},
			actions:    "create b.p turn 2",
			says:       "Progressing: Policy is progressing 1/2 nodes finished",
		},
		"a node that disappears, or is selected no longer, takes its enactment along and makes room": {
			policy: policy(1), nodes: abc[1:2],
			enactments: []Enactment{enactment("a", 2, 2, working), enactment("b", 0, 2, pending)},
			actions:    "delete a.p\ngrant b.p turn 2",
			says:       "Progressing: Policy is progressing 0/1 nodes finished",
		},
		"a failed node that disappears makes room": {
			policy: policy(1), nodes: abc[1:],
			enactments: []Enactment{enactment("a", 2, 2, failing), enactment("b", 0, 2, aborted), enactment("c", 0, 2, pending)},
			actions:    "delete a.p\ngrant c.p turn 2",
			says:       "Degraded: 0/2 nodes failed to configure, 1 nodes aborted configuration",
		},
		"an enactment that somebody deleted is made again": {
			policy: policy(2), nodes: abc[:2],
			enactments: []Enactment{enactment("b", 2, 2, available)},
			actions:    "create a.p turn 2",
			says:       "Progressing: Policy is progressing 1/2 nodes finished",
		},
		"an enactment of an earlier node of the same name is not this one's": {
			policy: policy(1), nodes: []Node{{Name: "a", UID: "another", Agent: true}},
			enactments: []Enactment{enactment("a", 2, 2, available)},
			actions:    "delete a.p",
			says:       "Ignored: Policy does not match any node",
		},
		"an enactment of an earlier policy of the same name is not this one's": {
			policy: &Policy{Name: "p", UID: "another", Generation: 2}, nodes: abc[:1],
			enactments: []Enactment{enactment("a", 2, 2, available)},
			actions:    "delete a.p",
			says:       "Ignored: Policy does not match any node",
		},
		"a duplicate under another name is deleted": {
			policy: policy(1), nodes: abc[:1],
			enactments: []Enactment{enactment("a", 2, 2, available), {Name: "copy", Node: "a", Turn: 2, Generation: 2}},
			actions:    "delete copy",
			says:       "Available: 1/1 nodes successfully configured",
		},
		"an enactment whose label names another node than its own name does": {
			policy: policy(1), nodes: abc[:1],
			enactments: []Enactment{{Name: "a.p", Node: "b"}},
			actions:    "delete a.p",
			says:       "Ignored: Policy does not match any node",
		},
		"what kubernetes-nmstate had finished is applied once more, by us": {
			policy: policy(1), nodes: abc[:2],
			enactments: []Enactment{{Name: "a.p", Node: "a", Generation: 2, Conditions: enactment("a", 0, 2, available).Conditions}, enactment("b", 2, 2, available)},
			actions:    "wait a.p",
			says:       "Progressing: Policy is progressing 1/2 nodes finished",
		},
		"a turn that somebody took off a node at work is given back": {
			policy: policy(1), nodes: abc[:2],
			enactments: []Enactment{enactment("a", 0, 2, working), enactment("b", 0, 2, pending)},
			actions:    "grant a.p turn 2",
			says:       "Progressing: Policy is progressing 0/2 nodes finished, 1 pending",
		},
		"a node without an agent takes no part": {
			policy: policy(1), nodes: []Node{{Name: "a"}, ready("b")},
			actions: "create b.p turn 2",
			says:    "Progressing: Policy is progressing 0/1 nodes finished",
		},
		"a node whose node state somebody deleted stays": {
			policy: policy(1), nodes: []Node{{Name: "a", UID: "a-uid"}},
			enactments: []Enactment{enactment("a", 2, 2, available)},
			says:       "Available: 1/1 nodes successfully configured",
		},
		"no node": {
			policy: policy(1), says: "Ignored: Policy does not match any node",
		},
		"a policy that desires nothing is available at once, and all take their turns": {
			policy: &Policy{Name: "p", UID: "p-uid", Generation: 2, Empty: true}, nodes: abc,
			actions: "create a.p turn 2\ncreate b.p turn 2\ncreate c.p turn 2",
			says:    "Available: 3/3 nodes successfully configured",
		},
		"a policy that is gone takes its enactments along": {
			enactments: []Enactment{enactment("a", 2, 2, working), enactment("b", 0, 2, pending)},
			actions:    "delete a.p\ndelete b.p",
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := Decide(View{Policy: tc.policy, Nodes: tc.nodes, Enactments: tc.enactments})
			assert.Equal(t, tc.actions, text(d.Actions))
			if tc.policy == nil {
				assert.Nil(t, d.Summary)
				return
			}
			require.NotNil(t, d.Summary)
			assert.Equal(t, tc.says, fmt.Sprintf("%s: %s", d.Summary.State, d.Summary.Message))
		})
	}
}

func text(actions []Action) string {
	var lines []string
	for _, a := range actions {
		lines = append(lines, a.String())
	}
	return strings.Join(lines, "\n")
}

func TestMaxUnavailable(t *testing.T) {
	number := func(n int) *intstr.IntOrString { return &intstr.IntOrString{IntVal: int32(n)} }
	words := func(s string) *intstr.IntOrString { return &intstr.IntOrString{Type: intstr.String, StrVal: s} }
	for name, tc := range map[string]struct {
		limit       *intstr.IntOrString
		nodes, want int
	}{
		"not said, of an even number":      {nil, 10, 5},
		"not said, of an odd number":       {nil, 5, 3},
		"not said, of one":                 {nil, 1, 1},
		"not said, of none":                {nil, 0, 1},
		"a number":                         {number(3), 10, 3},
		"a number above that of the nodes": {number(30), 10, 30},
		"zero":                             {number(0), 10, 1},
		"less than zero":                   {number(-4), 10, 1},
		"a percentage is rounded up":       {words("25%"), 10, 3},
		"no per cent":                      {words("0%"), 10, 1},
		"a hundred per cent":               {words("100%"), 7, 7},
		"a number in quotes":               {words("3"), 10, 5},
		"a word":                           {words("some"), 10, 5},
		"nothing in quotes":                {words(""), 10, 5},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tc.want, maxUnavailable(Policy{MaxUnavailable: tc.limit}, tc.nodes))
		})
	}
}
