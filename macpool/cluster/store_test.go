// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"testing"

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
