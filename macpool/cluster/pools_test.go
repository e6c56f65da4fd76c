// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

func TestANamespaceWhoseLabelsAreNotKnownYetGetsNoOthersPool(t *testing.T) {
	var pools Pools
	pools.SetPool(PoolRule{Pool: macpool.Pool{Name: "default"}})
	rule, err := pools.For("new")
	require.NoError(t, err)
	assert.Equal(t, "default", rule.Name, "there is no other")

	tenant := labels.Set{"tenant": "a"}
	pools.SetPool(PoolRule{Pool: macpool.Pool{Name: "of-tenants"}, Selector: labels.SelectorFromSet(tenant)})
	_, err = pools.For("new")
	assert.ErrorIs(t, err, macpool.ErrNotReady)

	pools.SetNamespace("new", tenant)
	pools.SetNamespace("plain", labels.Set{})
	for namespace, want := range map[string]string{"new": "of-tenants", "plain": "default"} {
		rule, err = pools.For(namespace)
		require.NoError(t, err)
		assert.Equal(t, want, rule.Name)
	}

	pools.DropPool("default")
	var poolless *macpool.NoPoolError
	_, err = pools.For("plain")
	assert.ErrorAs(t, err, &poolless)
	pools.SetNamespace("plain", nil)
	_, err = pools.For("plain")
	assert.ErrorIs(t, err, macpool.ErrNotReady)
}
