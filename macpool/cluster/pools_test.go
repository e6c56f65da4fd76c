// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"

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

func TestThePoolOfANamespaceIsFoundAmongAnyNumberOfPools(t *testing.T) {
	var pools Pools
	pools.SetNamespace("home", labels.Set{"tenant": "50"})
	tenant := func(i int) string { return fmt.Sprintf("tenant-%02d", i) }
	cost := map[int]float64{}
	for i := range 100 {
		pools.SetPool(PoolRule{
			Pool:     macpool.Pool{Name: tenant(99 - i)},
			Selector: labels.SelectorFromSet(labels.Set{"tenant": fmt.Sprint(99 - i)}),
		})
		cost[i] = testing.AllocsPerRun(3, func() { _, _ = pools.For("home") })
	}
	assert.Equal(t, cost[60], cost[99], "each admission asks")
	rule, err := pools.For("home")
	require.NoError(t, err)
	assert.Equal(t, tenant(50), rule.Name)
	assert.Len(t, pools.Serving(), 100)
	assert.Equal(t, 1, pools.Serving()[tenant(50)])
	for i := range 100 {
		pools.DropPool(tenant(i))
	}
	assert.Empty(t, pools.Serving())
}

func TestNoPoolLendsAnAddressThatSomethingElseHasEverywhere(t *testing.T) {
	rule, err := ReadPool(defaultPool([]v1alpha1.MACRange{
		{Start: "00:00:5e:00:00:ff", End: "00:00:5e:00:03:00"},
		{Start: "02:00:00:00:00:00", End: "02:00:00:00:00:01"},
	}))
	require.NoError(t, err)
	var lent []string
	for i := range rule.Set.Size() {
		lent = append(lent, rule.Set.At(i).String())
	}
	assert.Equal(t, []string{"00:00:5e:00:00:ff", "00:00:5e:00:03:00", "02:00:00:00:00:01"}, lent)
}
