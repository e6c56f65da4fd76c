// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// A refusing client refuses every object that is to be created.
type refusing struct {
	client.Client
	err error
}

func (c refusing) Create(context.Context, client.Object, ...client.CreateOption) error { return c.err }

func TestPutTellsWhatIsTooLargeFromWhatMayBeTriedAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		err      error
		tooLarge bool
	}{
		"the API server reads no more": {
			err:      apierrors.NewRequestEntityTooLargeError("limit is 3145728"),
			tooLarge: true,
		},
		"etcd has no room for it": {
			err:      apierrors.NewInternalError(errors.New("etcdserver: request is too large")),
			tooLarge: true,
		},
		"etcd is away": {err: apierrors.NewInternalError(errors.New("etcdserver: leader changed"))},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := KubeStore{Client: refusing{err: tc.err}}.Put(t.Context(), macpool.NewBlock(macpool.Prefix{2}))
			require.ErrorIs(t, err, tc.err)
			assert.Equal(t, tc.tooLarge, errors.Is(err, macpool.ErrTooLarge))
		})
	}
}

func TestStoreStories(t *testing.T) {
	p := macpool.Prefix{2}
	block := func(version string) *macpool.Block {
		b := macpool.NewBlock(p)
		b.Version = version
		b.Reserve(1, everything(), "r1", time.Unix(1, 0))
		return b
	}
	for name, story := range map[string]func(w *world, s KubeStore){
		"a block that is not stored is empty": func(w *world, s KubeStore) {
			b, err := s.Get(w.ctx, p)
			require.NoError(w.t, err)
			assert.Zero(w.t, b.Len())
			assert.Empty(w.t, b.Version)
		},
		"what is written is read": func(w *world, s KubeStore) {
			written, err := s.Put(w.ctx, block(""))
			require.NoError(w.t, err)
			read, err := s.Get(w.ctx, p)
			require.NoError(w.t, err)
			assert.True(w.t, written.Equal(read))
			assert.Equal(w.t, written.Version, read.Version)
		},
		"a state that is behind is not written over a later one": func(w *world, s KubeStore) {
			first, err := s.Put(w.ctx, block(""))
			require.NoError(w.t, err)
			second := first.Clone()
			second.Reserve(1, everything(), "r2", time.Unix(2, 0))
			_, err = s.Put(w.ctx, second)
			require.NoError(w.t, err)
			_, err = s.Put(w.ctx, first)
			require.ErrorIs(w.t, err, macpool.ErrConflict)
		},
		"a block that exists is not made again": func(w *world, s KubeStore) {
			_, err := s.Put(w.ctx, block(""))
			require.NoError(w.t, err)
			_, err = s.Put(w.ctx, block(""))
			require.ErrorIs(w.t, err, macpool.ErrConflict)
		},
		"a block that was deleted is not written": func(w *world, s KubeStore) {
			written, err := s.Put(w.ctx, block(""))
			require.NoError(w.t, err)
			require.NoError(w.t, w.client.Delete(w.ctx, EncodeBlock(written)))
			_, err = s.Put(w.ctx, written)
			require.ErrorIs(w.t, err, macpool.ErrConflict)
		},
		"an API server that cannot be reached is no conflict, and no empty block": func(w *world, s KubeStore) {
			w.lost.Store(true)
			_, err := s.Put(w.ctx, block(""))
			require.Error(w.t, err)
			require.NotErrorIs(w.t, err, macpool.ErrConflict)
			_, err = s.Get(w.ctx, p)
			require.Error(w.t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			tell(t, func(w *world) {
				writes := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "writes"}, []string{"outcome"})
				counted := CountedStore{Store: KubeStore{Client: w.client}, Writes: writes}
				_, err := counted.Put(w.ctx, block("9"))
				require.ErrorIs(t, err, macpool.ErrConflict, "there is none of that version")
				assert.InDelta(t, 1, testutil.ToFloat64(writes.WithLabelValues("conflict")), 0)
				story(w, KubeStore{Client: w.client})
			})
		})
	}
}
