// SPDX-License-Identifier: Apache-2.0

package install_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/bridgehead-dev/bridgehead/e2e/audit"
	"github.com/bridgehead-dev/bridgehead/release/install"
)

func TestWhereCertManagerKeepsTheCAReplicasOnlyLoseTheRightToChangeIt(t *testing.T) {
	rights := func(folder string) map[string][]string {
		text, err := install.Render(folder, types.Image{})
		require.NoError(t, err)
		grants, err := audit.Grants(text)
		require.NoError(t, err)
		all := map[string][]string{}
		for account, of := range grants {
			all[account] = audit.Compare(of, nil).Unused // all of them, for nothing was asked for
		}
		return all
	}
	before, after := rights("../../manifests"), rights("../../manifests/cert-manager")
	require.Len(t, after, len(before))
	for account, had := range before {
		want := []string{}
		if account == "system:serviceaccount:bridgehead-system:bridgehead" {
			want = []string{"update /secrets bridgehead-system/bridgehead-ca"}
		}
		assert.Equal(t, want, only(had, after[account]), account)
		assert.Empty(t, only(after[account], had), account)
	}
}

// only returns what is in a and not in b.
func only(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(x string) bool { return slices.Contains(b, x) })
}
