package macpool

import (
	"context"
	"fmt"
	"math/rand/v2"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"
)

// ensureDefaultPool makes a pool if there is none: 2^24 locally administered unicast addresses, 02:xx:xx:00:00:00 to
// 02:xx:xx:ff:ff:ff, where xx:xx are random so that clusters on one wire differ.
func ensureDefaultPool(ctx context.Context, c client.Client) error {
	var pools v1alpha1.MACPoolList
	if err := c.List(ctx, &pools, client.Limit(1)); err != nil {
		return fmt.Errorf("list MACPools: %w", err)
	}
	if len(pools.Items) > 0 {
		return nil
	}
	err := c.Create(ctx, defaultPool(rand.N(1<<16)))
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create MACPool %s: %w", v1alpha1.DefaultPool, err)
	}
	return nil
}

func defaultPool(oui int) *v1alpha1.MACPool {
	first := MAC{0x02, byte(oui >> 8), byte(oui)}
	last := first
	last[3], last[4], last[5] = 0xff, 0xff, 0xff
	return &v1alpha1.MACPool{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.DefaultPool},
		Spec: v1alpha1.MACPoolSpec{
			Ranges:      []v1alpha1.MACRange{{Start: first.String(), End: last.String()}},
			Enforcement: v1alpha1.EnforcementDeny,
		},
	}
}
