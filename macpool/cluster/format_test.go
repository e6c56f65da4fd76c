// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"
	"github.com/bridgehead-dev/bridgehead/macpool/cluster/apimodel"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/ledger"
)

// A formerBlock is a MACBlock as the program of the release before this one reads it.
type formerBlock struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Prefix    string                `json:"prefix"`
	Held      int32                 `json:"held"`
	Reserved  int32                 `json:"reserved"`
	Addresses []v1alpha1.MACAddress `json:"addresses,omitempty"`
}

func (b *formerBlock) DeepCopyObject() runtime.Object {
	c := *b
	return &c
}

type formerBlockList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []formerBlock `json:"items"`
}

func (l *formerBlockList) DeepCopyObject() runtime.Object {
	c := *l
	return &c
}

// former returns a client and a cache of the release before this one.
func (w *world) former() (client.Client, cache.Cache) {
	w.t.Helper()
	scheme := runtime.NewScheme()
	gv := schema.GroupVersion{Group: v1alpha1.Group, Version: "v1alpha1"}
	scheme.AddKnownTypeWithName(gv.WithKind("MACBlock"), &formerBlock{})
	scheme.AddKnownTypeWithName(gv.WithKind("MACBlockList"), &formerBlockList{})
	metav1.AddToGroupVersion(scheme, gv)
	direct, err := client.New(w.api.Config(), client.Options{Scheme: scheme})
	require.NoError(w.t, err)
	watched, err := cache.New(w.api.Config(), cache.Options{Scheme: scheme})
	require.NoError(w.t, err)
	return direct, watched
}

// formerReplica returns the Lease of a replica of the release before this one.
func formerReplica() *coordinationv1.Lease {
	return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Namespace: "system", Name: "former", Labels: map[string]string{ReplicaLabel: "true"},
	}}
}

func blockKind() apimodel.Kind {
	return kindOf(v1alpha1.Group, "v1alpha1", "MACBlock", "macblocks", true)
}

// formerSchema has the API server know the CRD of the release before this one, which has no rows.
func (w *world) formerSchema() {
	w.api.Validate = func(k apimodel.Kind, o map[string]any) error {
		if _, list := o["addresses"].([]any); k.Kind == "MACBlock" && o["addresses"] != nil && !list {
			return apierrors.NewInvalid(k.GroupKind(), "block", nil)
		}
		return nil
	}
	w.api.Hide(blockKind(), "rows")
}

func TestUpgradeStories(t *testing.T) {
	m := macpool.MAC{2, 0, 0, 0, 0, 1}
	block := func(w *world) *macpool.Block {
		b := macpool.NewBlock(m.Prefix())
		require.NoError(w.t, b.Claim(macpool.Claim{MAC: m, Holder: holderOf("vma", "net"), Since: time.Unix(1, 0).UTC()}))
		return b
	}
	key := client.ObjectKey{Name: m.Prefix().String()}
	for name, story := range map[string]func(w *world, f *Format, s KubeStore){
		"a replica alone writes rows, which the release before does not take for an empty block": func(w *world, f *Format, s KubeStore) {
			_, stop := w.lease()
			defer stop()
			w.pass(2 * formatInterval)
			require.True(w.t, f.Rows())
			_, err := s.Put(w.ctx, block(w))
			require.NoError(w.t, err)
			direct, watched := w.former()
			require.ErrorContains(w.t, direct.Get(w.ctx, key, &formerBlock{}), "addresses")
			ctx, cancel := context.WithCancel(w.ctx)
			defer cancel()
			go func() { _ = watched.Start(ctx) }()
			_, err = watched.GetInformer(ctx, &formerBlock{}, cache.BlockUntilSynced(false))
			require.NoError(w.t, err)
			patience, done := context.WithTimeout(ctx, time.Minute)
			defer done()
			assert.False(w.t, watched.WaitForCacheSync(patience), "it would lend what the block has")
		},
		"a block that became empty is not read by the release before either": func(w *world, _ *Format, s KubeStore) {
			s.Format = nil
			written, err := s.Put(w.ctx, block(w))
			require.NoError(w.t, err)
			written.Set(m, macpool.Entry{})
			_, err = s.Put(w.ctx, written)
			require.NoError(w.t, err)
			direct, _ := w.former()
			assert.Error(w.t, direct.Get(w.ctx, key, &formerBlock{}), "it would write over rows that come meanwhile")
		},
		"beside a replica of the release before, blocks are written as that reads them": func(w *world, f *Format, s KubeStore) {
			former := formerReplica()
			w.create(former)
			_, stop := w.lease()
			defer stop()
			w.pass(10 * formatInterval)
			require.False(w.t, f.Rows())
			written, err := s.Put(w.ctx, block(w))
			require.NoError(w.t, err)
			direct, _ := w.former()
			var read formerBlock
			require.NoError(w.t, direct.Get(w.ctx, key, &read))
			require.Len(w.t, read.Addresses, 1)
			assert.Equal(w.t, "vma", read.Addresses[0].Holders[0].Name)
			assert.EqualValues(w.t, 1, read.Held)

			require.NoError(w.t, w.client.Delete(w.ctx, former))
			w.pass(2 * formatInterval)
			require.True(w.t, f.Rows())
			b, err := s.Get(w.ctx, m.Prefix())
			require.NoError(w.t, err)
			assert.True(w.t, b.Equal(written), "what the release before wrote is read")
			require.Equal(w.t, 1, b.Len())
			_, err = s.Put(w.ctx, b)
			require.NoError(w.t, err)
			var o v1alpha1.MACBlock
			require.NoError(w.t, w.client.Get(w.ctx, key, &o))
			assert.Len(w.t, o.Rows, 1)
			assert.Empty(w.t, o.Addresses.Structures)
			b, err = s.Get(w.ctx, m.Prefix())
			require.NoError(w.t, err)
			assert.True(w.t, b.Equal(written), "nothing was lost on the way")
		},
		"once the CRD of the release before is applied, all blocks are written as that reads them": func(w *world, f *Format, s KubeStore) {
			_, stop := w.lease()
			defer stop()
			w.pass(2 * formatInterval)
			written, err := s.Put(w.ctx, block(w))
			require.NoError(w.t, err)
			other := macpool.NewBlock(macpool.Prefix{4})
			other.Reserve(3, everything(), "r1", time.Unix(1, 0))
			known, err := s.Put(w.ctx, other)
			require.NoError(w.t, err)
			f.Known = func() []*macpool.Block { return []*macpool.Block{known} }
			w.formerSchema()

			_, err = s.Get(w.ctx, m.Prefix())
			require.Error(w.t, err, "the API server hides the rows: the block is not empty")
			written, err = s.Put(w.ctx, written)
			require.NoError(w.t, err, "the first write that is refused is made as the release before does")
			w.pass(2 * formatInterval)
			require.False(w.t, f.Rows())
			direct, _ := w.former()
			var read formerBlock
			require.NoError(w.t, direct.Get(w.ctx, key, &read))
			assert.Equal(w.t, "vma", read.Addresses[0].Holders[0].Name)
			require.NoError(w.t, direct.Get(w.ctx, client.ObjectKey{Name: other.Prefix.String()}, &read), "nobody wrote it")
			assert.Len(w.t, read.Addresses, 3)
			b, err := s.Get(w.ctx, m.Prefix())
			require.NoError(w.t, err)
			assert.True(w.t, b.Equal(written))
		},
		"what a block lacks is not forgotten for the release before, until ledgers had time to write it back": func(
			w *world, f *Format, s KubeStore,
		) {
			_, stop := w.lease()
			defer stop()
			w.pass(2 * formatInterval)
			b := block(w)
			b.Reserve(8, everything(), "r1", time.Unix(1, 0))
			_, err := s.Put(w.ctx, b)
			require.NoError(w.t, err)
			var o v1alpha1.MACBlock
			require.NoError(w.t, w.client.Get(w.ctx, key, &o))
			require.Len(w.t, o.Rows, 3)
			o.Rows = o.Rows[:2]
			require.NoError(w.t, w.client.Update(w.ctx, &o))
			w.create(formerReplica())
			lacking := func() bool {
				require.NoError(w.t, w.client.Get(w.ctx, key, &o))
				read, err := DecodeBlock(&o)
				require.NoError(w.t, err)
				return read.Lacking
			}
			w.pass(2 * formatInterval)
			require.False(w.t, f.Rows())
			assert.True(w.t, lacking())
			w.pass(ledger.MaxAdmission)
			assert.False(w.t, lacking(), "nor do replicas of that release wait for ever")
		},
		"rows that arrive late do not stay beside a replica of the release before": func(w *world, f *Format, s KubeStore) {
			_, stop := w.lease()
			defer stop()
			w.pass(2 * formatInterval)
			require.True(w.t, f.Rows())
			arrives, made := make(chan struct{}), make(chan error, 1)
			w.api.Fail = func(r *http.Request) error {
				if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/macblocks") && !r.URL.Query().Has("dryRun") {
					<-arrives
				}
				return nil
			}
			go func() {
				_, err := s.Put(w.ctx, block(w))
				made <- err
			}()
			w.pass(0)
			w.create(formerReplica())
			w.pass(10 * formatInterval)
			require.False(w.t, f.Rows())
			close(arrives)
			require.NoError(w.t, <-made)
			w.pass(2 * formatInterval)
			direct, _ := w.former()
			var read formerBlock
			require.NoError(w.t, direct.Get(w.ctx, key, &read))
			assert.Len(w.t, read.Addresses, 1)
		},
		"what the API server hides and this replica does not know stays as it is": func(w *world, f *Format, s KubeStore) {
			_, stop := w.lease()
			defer stop()
			w.pass(2 * formatInterval)
			written, err := s.Put(w.ctx, block(w))
			require.NoError(w.t, err)
			older := block(w)
			older.Version = "1"
			f.Known = func() []*macpool.Block { return []*macpool.Block{older} }
			w.formerSchema()
			w.pass(10 * formatInterval)
			w.api.Hide(blockKind(), "")
			b, err := s.Get(w.ctx, m.Prefix())
			require.NoError(w.t, err)
			assert.Equal(w.t, written.Version, b.Version)
			assert.Equal(w.t, 1, b.Len())
		},
		"nothing is known of replicas while they cannot be listed": func(w *world, f *Format, _ KubeStore) {
			w.lost.Store(true)
			w.pass(10 * formatInterval)
			assert.False(w.t, f.Rows())
		},
		"nothing is known while no replica has a Lease": func(w *world, f *Format, s KubeStore) {
			s.Format = nil
			written, err := s.Put(w.ctx, block(w))
			require.NoError(w.t, err)
			w.pass(10 * formatInterval)
			assert.False(w.t, f.Rows())
			b, err := s.Get(w.ctx, m.Prefix())
			require.NoError(w.t, err)
			assert.Equal(w.t, written.Version, b.Version, "it is not written again")
		},
	} {
		t.Run(name, func(t *testing.T) {
			tell(t, func(w *world) {
				f := &Format{Client: w.client, Namespace: "system", Clock: clock.RealClock{}, Log: logr.Discard()}
				f.Known = func() []*macpool.Block { return nil }
				ctx, stop := context.WithCancel(w.ctx)
				defer stop()
				go f.Run(ctx)
				story(w, f, KubeStore{Client: w.client, Format: f})
			})
		})
	}
}

func TestStructuresThatCannotBeReadDoNotHideTheOthers(t *testing.T) {
	var o v1alpha1.MACBlock
	require.NoError(t, o.Addresses.UnmarshalJSON([]byte(
		`[{"address":"02:00:00:00:00:01","reservation":{"replica":"r","since":"2026-01-02T03:04:05.000006Z"}},{"address":7},"x"]`)))
	o.Name = "02-00-00-00-00"
	b, err := DecodeBlock(&o)
	require.Error(t, err)
	assert.Equal(t, 1, b.Len())
}
