// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	"github.com/bridgehead-dev/bridgehead/api/nmstate/v1beta1"
)

// stories returns what a world may go through.
func stories() map[string]func(*world) {
	return map[string]func(*world){
		"all goes well": func(w *world) { w.converge() },
		"one fails":     func(w *world) { w.broken["b"] = true; w.converge() },
		"too many fail, and the next generation is right": func(w *world) {
			w.broken = map[string]bool{"a": true, "b": true}
			w.converge()
			clear(w.broken)
			w.change(func(*nmstate.PolicySpec) {})
			w.converge()
		},
		"the policy changes while nodes are at work": func(w *world) {
			r := w.reconciler(nil)
			_, _ = r.Reconcile(w.t.Context(), request("p")) // it may die of it
			w.step()
			w.change(func(*nmstate.PolicySpec) {})
			w.converge()
		},
		"a node goes and another comes": func(w *world) {
			w.converge()
			require.NoError(w.t, w.api.Delete(w.t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}}))
			require.NoError(
				w.t, w.api.Create(w.t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "z", UID: "z-uid"}}),
			)
			require.NoError(
				w.t, w.api.Create(w.t.Context(), &v1beta1.NodeNetworkState{ObjectMeta: metav1.ObjectMeta{Name: "z"}}),
			)
			w.converge()
		},
	}
}

// A process dies before or after every single write, and another goes on: the end is the same, and the limit is kept
// after every write.
func TestADeathAtAnyWriteChangesNothing(t *testing.T) {
	for name, story := range stories() {
		t.Run(name, func(t *testing.T) {
			undisturbed := newWorld(t, 2, "a", "b", "c", "d")
			story(undisturbed)
			require.Positive(t, undisturbed.writes)
			for at := 1; at <= undisturbed.writes; at++ {
				for _, halfway := range []bool{false, true} {
					w := newWorld(t, 2, "a", "b", "c", "d")
					w.dieAt, w.halfway = at, halfway
					story(w)
					require.Equal(t, undisturbed.String(), w.String(), "death at write %d, halfway %t", at, halfway)
				}
			}
			t.Logf("%d writes, each with a death before and after; in the end:\n%s", undisturbed.writes, undisturbed)
		})
	}
}

func TestAStoppedRolloutTellsWhomItAborts(t *testing.T) {
	w := newWorld(t, 1, "a", "b")
	w.broken["a"] = true
	w.converge()
	assert.Equal(t, "Degraded: 1/2 nodes failed to configure, 1 nodes aborted configuration\n"+
		"a.p turn 1: Failing@1\nb.p turn : Aborted@1\n", w.String())
	require.Len(t, w.events.Events, 1)
	assert.Equal(t, `Warning ReconcileFailed reconciliation of enactment "b.p" has aborted`, <-w.events.Events)
}

func TestADeletedPolicyTakesItsEnactmentsAlong(t *testing.T) {
	w := newWorld(t, 2, "a", "b", "c")
	w.converge()
	require.NoError(t, w.api.Delete(t.Context(), w.policy()))
	_, err := w.reconciler(nil).Reconcile(t.Context(), request("p"))
	require.NoError(t, err)
	assert.Empty(t, w.enactments())
}

func TestAnEnactmentWithoutLabelsMakesRoom(t *testing.T) {
	w := newWorld(t, 1, "a")
	nobodys := &v1beta1.NodeNetworkConfigurationEnactment{ObjectMeta: metav1.ObjectMeta{Name: "a.p", UID: "hand-made"}}
	require.NoError(t, w.api.Create(t.Context(), nobodys))
	_, err := w.reconciler(nil).Reconcile(t.Context(), request("p"))
	require.ErrorContains(t, err, "already exists")
	w.converge()
	assert.Contains(t, w.String(), "a.p turn 1: Available@1")
}

func TestAnEnactmentOfAnotherPolicyStays(t *testing.T) {
	w := newWorld(t, 1, "a")
	theirs := &v1beta1.NodeNetworkConfigurationEnactment{ObjectMeta: metav1.ObjectMeta{
		Name: "a.p", Labels: map[string]string{nmstate.PolicyLabel: "other"},
	}}
	require.NoError(t, w.api.Create(t.Context(), theirs))
	_, err := w.reconciler(nil).Reconcile(t.Context(), request("p"))
	require.ErrorContains(t, err, "an enactment of policy other has this name")
	assert.Len(t, w.enactments(), 1)
}

// What an agent has said since a decision was read may be that it is at work.
func TestAnEnactmentThatHasChangedSinceItWasReadIsNotWritten(t *testing.T) {
	for _, verb := range []Verb{Grant, Withdraw, Wait, Abort, Delete} {
		t.Run(string(verb), func(t *testing.T) {
			w := newWorld(t, 1, "a")
			r := w.reconciler(nil)
			_, err := r.Reconcile(t.Context(), request("p"))
			require.NoError(t, err)
			view, err := r.read(t.Context(), "p")
			require.NoError(t, err)
			require.True(t, w.step(), "the agent begins")
			before := w.enactments()
			err = r.act(t.Context(), "p", view, []Action{{Verb: verb, Enactment: "a.p", Turn: 7}})
			require.True(t, apierrors.IsConflict(err), "%v", err)
			assert.Equal(t, before, w.enactments())
		})
	}
}

// Without the room that a turn counts on, it would be one too many.
func TestNothingIsGrantedWhereRoomCouldNotBeMade(t *testing.T) {
	w := newWorld(t, 1, "a", "b")
	r := w.reconciler(nil)
	_, err := r.Reconcile(t.Context(), request("p"))
	require.NoError(t, err)
	view, err := r.read(t.Context(), "p")
	require.NoError(t, err)
	require.True(t, w.step(), "node a begins: its turn cannot be taken back any more")
	err = r.act(t.Context(), "p", view, []Action{
		{Verb: Withdraw, Enactment: "a.p"}, {Verb: Grant, Enactment: "b.p", Turn: 1},
	})
	require.ErrorContains(t, err, "withdraw a.p: ")
	assert.Contains(t, w.String(), "b.p turn :\n")
}

func TestNobodyGrantsTurnsAfterTheLeaseIsLost(t *testing.T) {
	w := newWorld(t, 1, "a")
	r := w.reconciler(nil)
	r.Leads = func() error { return errors.New("another replica holds the lease") }
	_, err := r.Reconcile(t.Context(), request("p"))
	require.ErrorContains(t, err, "create a.p turn 1: another replica holds the lease")
	assert.Empty(t, w.enactments())
}

// The cache shows writes late, and nodes that go up and down have others come first: what the cache does not show yet
// must not be granted twice.
func TestACacheThatLagsGrantsNoTurnTwice(t *testing.T) {
	for seed := range uint64(12) {
		chance := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(t, 1, "a", "b", "c", "d", "e")
		cached := &lag{world: w}
		cached.catchUp()
		r := w.reconciler(cached)
		for range 40 {
			if chance.IntN(8) == 0 { // another process takes over, whose cache starts from the past
				r = w.reconciler(cached)
			}
			_, err := r.Reconcile(t.Context(), request("p"))
			require.NoError(t, err)
			w.flip(string(rune('a' + chance.IntN(5))))
			cached.seeNodes()
			if chance.IntN(3) == 0 {
				w.step()
			}
			if chance.IntN(3) == 0 {
				cached.catchUp()
			}
		}
		w.converge()
		require.Contains(t, w.String(), "Available: 5/5 nodes successfully configured", "seed %d", seed)
	}
}

func TestADeletionThatTheCacheDoesNotShowYetIsNotMadeAgain(t *testing.T) {
	w := newWorld(t, 1, "a", "b")
	w.converge()
	require.NoError(t, w.api.Delete(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "b"}}))
	cached := &lag{world: w}
	cached.catchUp()
	r := w.reconciler(cached)
	_, err := r.Reconcile(t.Context(), request("p"))
	require.NoError(t, err)
	require.Len(t, w.enactments(), 1)
	before := w.writes
	_, err = r.Reconcile(t.Context(), request("p"))
	require.NoError(t, err)
	assert.Equal(t, before, w.writes)
}

// Another process has granted a turn that the cache of the next one does not show: it asks before it decides.
func TestAProcessThatBeginsAsksWhatOthersWrote(t *testing.T) {
	w := newWorld(t, 1, "a", "b")
	w.converge()
	w.change(func(*nmstate.PolicySpec) {})
	cached := &lag{world: w}
	cached.catchUp()
	granted := w.enactments()[0]
	granted.Annotations[nmstate.TurnAnnotation] = "2"
	require.NoError(t, w.api.Update(t.Context(), &granted))
	w.flip("a") // so that b comes first
	cached.seeNodes()

	_, err := w.reconciler(cached).Reconcile(t.Context(), request("p")) // which checks the limit at each write
	require.NoError(t, err)
	assert.Equal(t, "1", w.enactments()[1].Annotations[nmstate.TurnAnnotation])
}

// flip has a node go up or down.
func (w *world) flip(node string) {
	var n corev1.Node
	require.NoError(w.t, w.api.Get(w.t.Context(), types.NamespacedName{Name: node}, &n))
	status := corev1.ConditionFalse
	if notReady(&n) {
		status = corev1.ConditionTrue
	}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status}}
	require.NoError(w.t, w.api.Status().Update(w.t.Context(), &n))
	require.NoError(w.t, w.api.Get(w.t.Context(), types.NamespacedName{Name: node}, &n))
	require.Equal(w.t, status == corev1.ConditionFalse, notReady(&n))
}

// A lag is a cache that shows policies and enactments late, and nodes at once.
type lag struct {
	client.Reader
	world   *world
	objects []client.Object // policies and enactments
}

// catchUp has the cache show everything.
func (l *lag) catchUp() {
	l.objects = []client.Object{l.world.policy()}
	for _, e := range l.world.enactments() {
		l.objects = append(l.objects, &e)
	}
	l.seeNodes()
}

// seeNodes has the cache show nodes as they are, and everything else as before.
func (l *lag) seeNodes() {
	objects := append([]client.Object(nil), l.objects...)
	var nodes corev1.NodeList
	require.NoError(l.world.t, l.world.api.List(l.world.t.Context(), &nodes))
	var states v1beta1.NodeNetworkStateList
	require.NoError(l.world.t, l.world.api.List(l.world.t.Context(), &states))
	for i := range nodes.Items {
		objects = append(objects, &nodes.Items[i])
	}
	for i := range states.Items {
		objects = append(objects, &states.Items[i])
	}
	l.Reader = l.world.serve(objects)
}

// Progress is written once a second at most, and what matters at once.
func TestPolicyStatusIsWrittenSeldom(t *testing.T) {
	var names []string
	for i := range 40 {
		names = append(names, fmt.Sprintf("n%02d", i))
	}
	w := newWorld(t, 1, names...)
	r := w.reconciler(nil)
	var passes int
	for finished := false; !finished; passes++ {
		w.clock.SetTime(w.clock.Now().Add(50 * time.Millisecond))
		_, err := r.Reconcile(t.Context(), request("p"))
		require.NoError(t, err)
		w.step()
		finished = nmstate.IsTrue(w.policy().Status.Conditions, nmstate.PolicyAvailable)
	}
	seconds := int(w.clock.Now().Sub(noon()).Seconds())
	t.Logf("%d nodes one by one in %d s: %d passes, %d writes to enactments, %d to the policy",
		len(names), seconds, passes, w.writes-w.statuses, w.statuses)
	assert.LessOrEqual(t, w.statuses, seconds+2)
	assert.LessOrEqual(t, w.writes-w.statuses, 3*len(names), "created, told to wait, granted")
	writes := w.writes
	_, err := r.Reconcile(t.Context(), request("p"))
	require.NoError(t, err)
	assert.Equal(t, writes, w.writes, "nothing to do, nothing written")
}

// Where there are many nodes, progress is written more seldom, for each write goes to all agents.
func TestManyNodesHearSeldomOfProgress(t *testing.T) {
	for nodes, interval := range map[int]time.Duration{3: time.Second, 200: 4 * time.Second, 5000: 5 * time.Second} {
		w := newWorld(t, 1)
		r := w.reconciler(nil)
		report := func(after time.Duration, message string) time.Duration {
			w.clock.SetTime(noon().Add(after))
			view := &reading{policy: w.policy(), View: View{Nodes: make([]Node, nodes)}}
			later, err := r.report(t.Context(), view, Summary{State: nmstate.PolicyProgressing, Message: message})
			require.NoError(t, err)
			return later
		}
		report(0, "it begins")
		assert.Equal(t, 1, w.statuses)
		assert.Equal(t, time.Millisecond, report(interval-time.Millisecond, "it goes on"))
		assert.Equal(t, 1, w.statuses)
		assert.Zero(t, report(interval, "it goes on"))
		assert.Equal(t, 2, w.statuses)
	}
}

func TestStatusKeepsWhatItDoesNotKnow(t *testing.T) {
	w := newWorld(t, 1, "a")
	w.converge()
	e := w.enactments()[0]
	e.Status.Features = []string{"kept"}
	require.NoError(t, w.api.Status().Update(t.Context(), &e))
	w.change(func(*nmstate.PolicySpec) {})
	r := w.reconciler(nil)
	_, err := r.Reconcile(t.Context(), request("p"))
	require.NoError(t, err)
	assert.Equal(t, []string{"kept"}, w.enactments()[0].Status.Features)
	assert.Equal(t, "2", w.enactments()[0].Annotations[nmstate.TurnAnnotation])
}
