// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

func TestNoLinkIsGivenBackWhileARecordCannotBeRead(t *testing.T) {
	var held []string
	hold := func(k *Keeper) {
		k.HoldLinks = func(links []string) error { held = links; return nil }
		k.HeldLinks = func() ([]string, error) { return slices.Clone(held), nil }
	}
	dir, node := t.TempDir(), kernel.NewModel(managed(t))
	k := startKeeper(t, node, dir)
	hold(k)
	policy := wish(t, "p", bridgeOnEth1)
	require.NoError(t, k.Apply(t.Context(), policy))
	require.Equal(t, []string{"br1", "eth1"}, held)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "policies", "p.json"), []byte("{"), 0o600))

	k = newKeeper(t, node, dir)
	hold(k)
	require.ErrorContains(t, k.Restore(), "p.json")
	assert.Equal(t, []string{"br1", "eth1"}, held, "the record that cannot be read may hold them")
	require.NoError(t, k.Apply(t.Context(), policy), "it is on record again")
	require.NoError(t, k.Revert(t.Context(), "p"))
	assert.Empty(t, held)
}
