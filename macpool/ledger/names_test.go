// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

func vmNamed(name string) macpool.Object {
	return macpool.Object{Kind: macpool.KindVM, Namespace: "default", Name: name}
}

func mustMAC(t testing.TB, s string) macpool.MAC {
	m, err := macpool.ParseMAC(s)
	require.NoError(t, err)
	return m
}

func keys[V any](m map[macpool.MAC]V) []macpool.MAC {
	return slices.SortedFunc(maps.Keys(m), macpool.MAC.Compare)
}
