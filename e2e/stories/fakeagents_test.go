// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	v1 "github.com/bridgehead-dev/bridgehead/api/nmstate/v1"
	"github.com/bridgehead-dev/bridgehead/api/nmstate/v1beta1"
)

// fakeAgents plays the agents of nodes: each takes the turns it is granted, and says how they went. Some fail, and some
// do not finish before they are told to.
type fakeAgents struct {
	t      *testing.T
	client client.WithWatch

	mu     sync.Mutex
	broken map[string]bool
	held   bool
	// latest are the enactments as the watch showed them last; most is how many of a policy were unavailable at a time.
	latest map[string]*v1beta1.NodeNetworkConfigurationEnactment
	most   map[string]int
}

// startAgents makes Nodes that are ready and have agents, and has their agents played until the test is over.
func startAgents(t *testing.T, c client.WithWatch, nodes ...string) *fakeAgents {
	t.Helper()
	w := &fakeAgents{
		t: t, client: c, broken: map[string]bool{},
		latest: map[string]*v1beta1.NodeNetworkConfigurationEnactment{}, most: map[string]int{},
	}
	ctx, cancel := context.WithCancel(context.Background())
	events, err := c.Watch(ctx, &v1beta1.NodeNetworkConfigurationEnactmentList{})
	require.NoError(t, err)
	for _, name := range nodes {
		w.addNode(t, name)
	}
	var jobs sync.WaitGroup
	jobs.Go(func() {
		for e := range events.ResultChan() {
			if ctx.Err() == nil { // else the watch ends, and may say so
				w.observe(e)
			}
		}
	})
	jobs.Go(func() { wait.UntilWithContext(ctx, w.work, moment) })
	t.Cleanup(func() {
		cancel()
		events.Stop()
		jobs.Wait()
	})
	return w
}

func (w *fakeAgents) addNode(t *testing.T, name string) {
	t.Helper()
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kubernetes.io/hostname": name}},
		Status: corev1.NodeStatus{
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		},
	}
	require.NoError(t, w.client.Create(t.Context(), node))
	w.addState(t, name)
}

// addState has the node's agent show itself.
func (w *fakeAgents) addState(t *testing.T, node string) {
	t.Helper()
	require.NoError(t, w.client.Create(t.Context(), &v1beta1.NodeNetworkState{ObjectMeta: metav1.ObjectMeta{Name: node}}))
}

// work has every agent do what is next for it.
func (w *fakeAgents) work(ctx context.Context) {
	w.mu.Lock()
	enactments := make([]*v1beta1.NodeNetworkConfigurationEnactment, 0, len(w.latest))
	for _, e := range w.latest {
		enactments = append(enactments, e.DeepCopy())
	}
	w.mu.Unlock()
	for _, e := range enactments {
		if state, ok := w.next(e); ok {
			e.Status.PolicyGeneration = turnOf(e)
			e.Status.Conditions = []nmstate.Condition{
				{Type: state, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()},
			}
			// It may be outdated, as an agent's view may be. Then the agent looks again.
			if err := w.client.Status().Update(ctx, e); err != nil {
				continue
			}
		}
	}
}

// next returns what an agent says next of its enactment, if anything.
func (w *fakeAgents) next(e *v1beta1.NodeNetworkConfigurationEnactment) (state nmstate.ConditionType, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	turn := turnOf(e)
	switch is := func(t nmstate.ConditionType) bool { return nmstate.IsTrue(e.Status.Conditions, t) }; {
	case turn == 0, e.Status.PolicyGeneration > turn: // the turn is spent
		return "", false
	case e.Status.PolicyGeneration == turn && (is(nmstate.EnactmentAvailable) || is(nmstate.EnactmentFailing)):
		return "", false
	case !is(nmstate.EnactmentProgressing) || e.Status.PolicyGeneration != turn:
		return nmstate.EnactmentProgressing, true
	case w.held:
		return "", false
	case w.broken[e.Labels[nmstate.NodeLabel]]:
		return nmstate.EnactmentFailing, true
	}
	return nmstate.EnactmentAvailable, true
}

func turnOf(e *v1beta1.NodeNetworkConfigurationEnactment) int64 {
	turn, err := strconv.ParseInt(e.Annotations[nmstate.TurnAnnotation], 10, 64)
	if err != nil {
		return 0
	}
	return turn
}

// observe takes in what the watch says, and counts who is unavailable.
func (w *fakeAgents) observe(event watch.Event) {
	e, ok := event.Object.(*v1beta1.NodeNetworkConfigurationEnactment)
	if !ok {
		w.t.Errorf("watch of enactments: %v", event.Object)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if event.Type == watch.Deleted {
		delete(w.latest, e.Name)
		return
	}
	w.latest[e.Name] = e
	policy := e.Labels[nmstate.PolicyLabel]
	var newest int64
	for _, other := range w.latest {
		if other.Labels[nmstate.PolicyLabel] == policy {
			newest = max(newest, turnOf(other))
		}
	}
	count := 0
	for _, other := range w.latest {
		if other.Labels[nmstate.PolicyLabel] == policy && unavailable(other, newest) {
			count++
		}
	}
	w.most[policy] = max(w.most[policy], count)
}

// unavailable reports whether a node is at work, may begin any time, or has failed with the newest generation.
func unavailable(e *v1beta1.NodeNetworkConfigurationEnactment, newest int64) bool {
	is := func(t nmstate.ConditionType) bool { return nmstate.IsTrue(e.Status.Conditions, t) }
	turn, says := turnOf(e), e.Status.PolicyGeneration
	finished := says > turn || says == turn && (is(nmstate.EnactmentAvailable) || is(nmstate.EnactmentFailing))
	return is(nmstate.EnactmentProgressing) || turn != 0 && !finished || is(nmstate.EnactmentFailing) && says == newest
}

// requireMost checks how many nodes of a policy were unavailable at a time, of all times.
func (w *fakeAgents) requireMost(t *testing.T, policy string, want int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	assert.Equal(t, want, w.most[policy], "nodes unavailable at a time")
}

// set changes how the agents behave.
func (w *fakeAgents) set(change func(w *fakeAgents)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w)
}

// says returns what an enactment says, as types of the conditions that are True; empty if there is no such enactment.
func (w *fakeAgents) says(enactment string) []nmstate.ConditionType {
	w.mu.Lock()
	defer w.mu.Unlock()
	var types []nmstate.ConditionType
	if e := w.latest[enactment]; e != nil {
		for _, c := range e.Status.Conditions {
			if c.Status == corev1.ConditionTrue {
				types = append(types, c.Type)
			}
		}
	}
	return types
}

// turn returns the turn of an enactment; zero if it has none.
func (w *fakeAgents) turn(enactment string) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e := w.latest[enactment]; e != nil {
		return turnOf(e)
	}
	return 0
}

// names returns the enactments of a policy.
func (w *fakeAgents) names(policy string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for name, e := range w.latest {
		if e.Labels[nmstate.PolicyLabel] == policy {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// requireMessage waits until the condition of a policy that is True has a message.
func (w *fakeAgents) requireMessage(t *testing.T, policy string, is nmstate.ConditionType, message string) {
	t.Helper()
	var last []nmstate.Condition
	require.Eventually(t, func() bool {
		var p v1.NodeNetworkConfigurationPolicy
		if w.client.Get(t.Context(), types.NamespacedName{Name: policy}, &p) != nil {
			return false
		}
		last = p.Status.Conditions
		c := nmstate.Find(last, is)
		return c != nil && c.Status == corev1.ConditionTrue && c.Message == message
	}, within, moment, "%s: %s", is, message)
	for _, c := range last {
		assert.Equal(t, c.Type == is, c.Status == corev1.ConditionTrue, "%s beside %s", c.Type, is)
	}
}
