// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	"github.com/bridgehead-dev/bridgehead/netstate"
)

func TestANodeStateIsWrittenWhenItSaysSomethingNew(t *testing.T) {
	at := func(seconds int64) metav1.Time { return metav1.NewTime(time.Unix(seconds, 0)) }
	first, changed, err := new(comparer).nodeState(nmstate.NodeStateStatus{}, snapshot{state: bare(t)}, "v1", at(1))
	require.NoError(t, err)
	assert.True(t, changed)
	assert.Equal(t, "N/A (kernel)", first.HostNetworkManagerVersion)
	assert.Equal(t, "True SuccessfullyConfigured ", condition(t, first.Conditions, nmstate.NodeStateAvailable))
	assert.NotContains(t, string(first.CurrentState.Raw), "route-rules")

	same, changed, err := new(comparer).nodeState(first, snapshot{state: bare(t)}, "v1", at(2))
	require.NoError(t, err)
	assert.False(t, changed)
	assert.Equal(t, first, same)

	sorted := *first.DeepCopy()
	sorted.CurrentState.Raw = sortKeys(t, first.CurrentState.Raw)
	require.NotEqual(t, string(first.CurrentState.Raw), string(sorted.CurrentState.Raw))
	_, changed, err = new(comparer).nodeState(sorted, snapshot{state: bare(t)}, "v1", at(2))
	require.NoError(t, err)
	assert.False(t, changed, "the API server stores the keys in another order")

	other := bare(t)
	other.Interfaces[1].State = netstate.StateDown
	second, changed, err := new(comparer).nodeState(first, snapshot{state: other}, "v1", at(2))
	require.NoError(t, err)
	assert.True(t, changed)
	assert.Equal(t, at(1), first.LastSuccessfulUpdateTime)
	assert.Equal(t, at(2), second.LastSuccessfulUpdateTime)

	_, changed, err = new(comparer).nodeState(first, snapshot{state: bare(t)}, "v2", at(2))
	require.NoError(t, err)
	assert.True(t, changed, "another version of the agent")

	unread, changed, err := new(comparer).nodeState(first, snapshot{err: errors.New("netlink: no memory")}, "v1", at(3))
	require.NoError(t, err)
	assert.True(t, changed)
	assert.Equal(t, first.CurrentState, unread.CurrentState, "the last that is known")
	assert.Equal(t, "True FailedToConfigure netlink: no memory", condition(t, unread.Conditions, nmstate.NodeStateFailing))

	notUndone := snapshot{state: bare(t), notUndone: []string{"p", "q"}}
	aside, changed, err := new(comparer).nodeState(first, notUndone, "v1", at(4))
	require.NoError(t, err)
	assert.True(t, changed)
	assert.Equal(t, "True FailedToConfigure changes of these policies could not be undone: p, q",
		condition(t, aside.Conditions, nmstate.NodeStateFailing))
	assert.Equal(t, "True SuccessfullyConfigured ", condition(t, aside.Conditions, nmstate.NodeStateAvailable))

	pod := bare(t)
	pod.Interfaces = append(pod.Interfaces, netstate.Interface{Name: "veth1", Type: netstate.TypeVeth, State: netstate.StateIgnore})
	_, changed, err = new(comparer).nodeState(first, snapshot{state: pod}, "v1", at(4))
	require.NoError(t, err)
	assert.False(t, changed, "pods come and go")
}

// sortKeys returns a JSON document as a server stores it that sorts the keys of every object.
func sortKeys(t *testing.T, text []byte) []byte {
	t.Helper()
	var document any
	require.NoError(t, json.Unmarshal(text, &document))
	sorted, err := json.Marshal(document)
	require.NoError(t, err)
	return sorted
}

func TestABridgeThatLacksAPortIsReportedOnceUntilItIsWhole(t *testing.T) {
	var notes []string
	p := newPublisher(
		nil, Options{Event: func(_, _, reason, note string) { notes = append(notes, reason+": "+note) }}, func() {},
	)
	for _, stray := range [][]string{{"br1"}, {"br1"}, {"br1", "br2"}, nil, {"br1"}} {
		p.reportStrays(stray)
	}
	require.Len(t, notes, 3)
	for n, bridge := range []string{"br1", "br2", "br1"} {
		assert.Contains(t, notes[n], "BridgeIncomplete: bridge "+bridge+" lacks a port")
	}
}

func TestAResultIsBusyUntilItIsWritten(t *testing.T) {
	p := newPublisher(nil, Options{}, func() {})
	assert.False(t, p.busy("p"))
	p.tell(Result{Policy: "p", Generation: 1})
	assert.True(t, p.busy("p"))
	assert.False(t, p.busy("q"))
}
