// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

const (
	// rangeConfigMap has the range of kubemacpool, in the namespace that it was installed to.
	rangeConfigMap = "kubemacpool-mac-range-config"
	// maxRanges is how many ranges a MACPool may have.
	maxRanges = 64
)

// EnsureDefaultPool makes a pool if there is none: from the range of a kubemacpool that is or was installed, else from
// a random one.
func EnsureDefaultPool(ctx context.Context, c client.Client, log logr.Logger) error {
	var pools v1alpha1.MACPoolList
	if err := c.List(ctx, &pools, client.Limit(1)); err != nil {
		return fmt.Errorf("list MACPools: %w", err)
	}
	if len(pools.Items) > 0 {
		return nil
	}
	ranges, err := rangesOfKubemacpool(ctx, c, log)
	if err != nil {
		return err
	}
	if len(ranges) == 0 {
		ranges = []v1alpha1.MACRange{randomRange(rand.N(1 << 16))}
	}
	err = c.Create(ctx, defaultPool(ranges))
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create MACPool %s: %w", v1alpha1.DefaultPool, err)
	}
	return nil
}

// rangesOfKubemacpool returns those of the ConfigMap of kubemacpool, none if there is no such ConfigMap or its range
// cannot be used.
func rangesOfKubemacpool(ctx context.Context, c client.Client, log logr.Logger) ([]v1alpha1.MACRange, error) {
	var found corev1.ConfigMapList
	if err := c.List(ctx, &found, client.MatchingFields{"metadata.name": rangeConfigMap}); err != nil {
		return nil, fmt.Errorf("list ConfigMaps %s: %w", rangeConfigMap, err)
	}
	slices.SortFunc(found.Items, func(a, b corev1.ConfigMap) int { return cmp.Compare(a.Namespace, b.Namespace) })
	for _, config := range found.Items {
		ranges, err := unicastRanges(config.Data["RANGE_START"], config.Data["RANGE_END"])
		if err != nil {
			log.Error(err, "Ignoring the range of kubemacpool", "configMap", config.Namespace+"/"+config.Name)
			continue
		}
		log.Info("Default pool takes over the range of kubemacpool", "configMap", config.Namespace+"/"+config.Name)
		return ranges, nil
	}
	return nil, nil
}

// unicastRanges returns the unicast addresses from start to end, a range for each first octet: kubemacpool takes ranges
// that have multicast addresses in between. Of more than a pool may have, the lowest are kept.
func unicastRanges(start, end string) ([]v1alpha1.MACRange, error) {
	first, err := macpool.ParseMAC(start)
	if err != nil {
		return nil, fmt.Errorf("RANGE_START %q %w", start, err)
	}
	last, err := macpool.ParseMAC(end)
	if err != nil {
		return nil, fmt.Errorf("RANGE_END %q %w", end, err)
	}
	if first == (macpool.MAC{}) {
		first = macpool.MAC{5: 1}
	}
	var ranges []v1alpha1.MACRange
	for octet := int(first[0]); octet <= int(last[0]) && len(ranges) < maxRanges; octet++ {
		lowest := macpool.MAC{byte(octet)}
		highest := macpool.MAC{byte(octet), 0xff, 0xff, 0xff, 0xff, 0xff}
		if lowest.Multicast() {
			continue
		}
		if lowest.Compare(first) < 0 {
			lowest = first
		}
		if highest.Compare(last) > 0 {
			highest = last
		}
		if lowest.Compare(highest) <= 0 {
			ranges = append(ranges, v1alpha1.MACRange{Start: lowest.String(), End: highest.String()})
		}
	}
	if len(ranges) == 0 {
		return nil, errors.New("RANGE_START " + start + " to RANGE_END " + end + " has no unicast address")
	}
	return ranges, nil
}

// randomRange returns 2^24 locally administered unicast addresses, 02:xx:xx:00:00:00 to 02:xx:xx:ff:ff:ff, where xx:xx
// are to be random so that clusters on one wire differ.
func randomRange(oui int) v1alpha1.MACRange {
	first := macpool.MAC{0x02, byte(oui >> 8), byte(oui)}
	last := first
	last[3], last[4], last[5] = 0xff, 0xff, 0xff
	return v1alpha1.MACRange{Start: first.String(), End: last.String()}
}

func defaultPool(ranges []v1alpha1.MACRange) *v1alpha1.MACPool {
	return &v1alpha1.MACPool{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.DefaultPool},
		Spec:       v1alpha1.MACPoolSpec{Ranges: ranges, Enforcement: v1alpha1.EnforcementDeny},
	}
}
