// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	v1 "github.com/bridgehead-dev/bridgehead/api/nmstate/v1"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
)

func TestWhatADeletedPolicySaidLastIsKnownUntilItIsRecorded(t *testing.T) {
	p := &v1.NodeNetworkConfigurationPolicy{}
	p.Name, p.UID, p.Annotations = "p", "uid", map[string]string{nmstate.OnDeleteAnnotation: nmstate.OnDeleteRevert}
	records := map[string]journal.Record{}
	r := journal.Record{Policy: "p", UID: "uid", Heal: true}
	records[r.Key()] = r
	done := func(d *deleted) (verbs []verb) {
		for _, task := range tasks(d.list(), records, func(Policy) bool { return false }) {
			verbs = append(verbs, task.verb)
		}
		return verbs
	}
	for name, last := range map[string]any{
		"a deletion": p, "a deletion that the watch had missed": toolscache.DeletedFinalStateUnknown{Obj: p},
	} {
		t.Run(name, func(t *testing.T) {
			records[r.Key()] = r
			var d deleted
			d.note(last)
			d.drop(records)
			assert.Equal(t, []verb{annotate, revert}, done(&d), "until the record says so")
			recorded := r
			recorded.Revert = true
			records[r.Key()] = recorded
			d.drop(records)
			assert.Empty(t, d.list())
			assert.Equal(t, []verb{revert}, done(&d))
		})
	}
	var d deleted
	d.note(p)
	d.drop(nil)
	assert.Empty(t, d.list(), "nothing of it is on the node")
}

func TestTheWatchNotesDeletedPolicies(t *testing.T) {
	c, err := newCluster(&rest.Config{}, "n")
	require.NoError(t, err)
	informers := &informertest.FakeInformers{Scheme: c.live.Scheme()}
	c.cache = informers
	var woken int
	require.NoError(t, c.watch(t.Context(), func() { woken++ }, func() {}))
	p := &v1.NodeNetworkConfigurationPolicy{}
	p.Name, p.UID = "p", "uid"
	informer, err := informers.FakeInformerFor(t.Context(), p)
	require.NoError(t, err)
	informer.Delete(p)
	assert.Equal(t, 1, woken)
	require.Len(t, c.deleted.list(), 1)
	assert.False(t, c.deleted.list()[0].Selected, "although it selects every node")
}
