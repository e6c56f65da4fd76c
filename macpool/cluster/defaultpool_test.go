// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"os"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"
)

func TestRangeOfKubemacpool(t *testing.T) {
	for name, tc := range map[string]struct {
		start, end  string
		ranges      int
		first, last string
		problem     string
	}{
		"its default":                      {start: "02:00:00:00:00:00", end: "02:FF:FF:FF:FF:FF", ranges: 1, first: "02:00:00:00:00:00", last: "02:ff:ff:ff:ff:ff"},
		"a range of one address":           {start: "02:00:00:00:00:05", end: "02:00:00:00:00:05", ranges: 1, first: "02:00:00:00:00:05", last: "02:00:00:00:00:05"},
		"a range across multicast":         {start: "02:FF:FF:FF:FF:00", end: "04:00:00:00:00:FF", ranges: 2, first: "02:ff:ff:ff:ff:00", last: "04:00:00:00:00:ff"},
		"a range that ends in multicast":   {start: "02:00:00:00:00:00", end: "03:00:00:00:00:ff", ranges: 1, first: "02:00:00:00:00:00", last: "02:ff:ff:ff:ff:ff"},
		"a range that begins in multicast": {start: "01:00:00:00:00:00", end: "02:00:00:00:00:ff", ranges: 1, first: "02:00:00:00:00:00", last: "02:00:00:00:00:ff"},
		"all there is":                     {start: "00:00:00:00:00:00", end: "ff:ff:ff:ff:ff:ff", ranges: maxRanges, first: "00:00:00:00:00:01", last: "7e:ff:ff:ff:ff:ff"},
		"nothing but multicast":            {start: "03:00:00:00:00:00", end: "03:00:00:00:00:ff", problem: "no unicast address"},
		"reversed ends":                    {start: "04:00:00:00:00:00", end: "02:00:00:00:00:00", problem: "no unicast address"},
		"ends reversed in one first octet": {start: "02:00:00:00:00:01", end: "02:00:00:00:00:00", problem: "no unicast address"},
		"a start that is missing":          {end: "02:00:00:00:00:00", problem: "RANGE_START"},
		"an end of eight octets":           {start: "02:00:00:00:00:00", end: "02:00:00:00:00:00:00:01", problem: "RANGE_END"},
	} {
		t.Run(name, func(t *testing.T) {
			ranges, err := unicastRanges(tc.start, tc.end)
			if tc.problem != "" {
				require.ErrorContains(t, err, tc.problem)
				return
			}
			require.NoError(t, err)
			require.Len(t, ranges, tc.ranges)
			assert.Equal(t, tc.first, ranges[0].Start)
			assert.Equal(t, tc.last, ranges[len(ranges)-1].End)
			_, err = ReadPool(defaultPool(ranges))
			assert.NoError(t, err)
		})
	}
}

func TestAPoolMayHaveAsManyRangesAsTheDefaultPoolIsGiven(t *testing.T) {
	text, err := os.ReadFile("../../manifests/crds/bridgehead.dev_macpools.yaml")
	require.NoError(t, err)
	var crd apiextensionsv1.CustomResourceDefinition
	require.NoError(t, yaml.UnmarshalStrict(text, &crd))
	for _, version := range crd.Spec.Versions {
		ranges := version.Schema.OpenAPIV3Schema.Properties["spec"].Properties["ranges"]
		require.NotNil(t, ranges.MaxItems, version.Name)
		assert.EqualValues(t, maxRanges, *ranges.MaxItems, version.Name)
	}
}

func TestDefaultPoolStories(t *testing.T) {
	config := func(namespace, start, end string) *corev1.ConfigMap {
		return &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: rangeConfigMap},
			Data:       map[string]string{"RANGE_START": start, "RANGE_END": end},
		}
	}
	for name, tc := range map[string]struct {
		there []client.Object
		start string
		name  string
	}{
		"with nothing there the range is a random one":    {start: "02:", name: v1alpha1.DefaultPool},
		"the range of kubemacpool is gone on with":        {there: []client.Object{config("kmp", "06:00:00:00:00:00", "06:00:00:00:00:ff")}, start: "06:00:00:00:00:00", name: v1alpha1.DefaultPool},
		"a range of kubemacpool that is none is left out": {there: []client.Object{config("a", "?", "?"), config("b", "06:00:00:00:00:00", "06:00:00:00:00:ff")}, start: "06:00:00:00:00:00", name: v1alpha1.DefaultPool},
		"another ConfigMap is not that of kubemacpool":    {there: []client.Object{&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "b"}}}, start: "02:", name: v1alpha1.DefaultPool},
		"where there is a pool of any name, none is made": {there: []client.Object{&v1alpha1.MACPool{ObjectMeta: metav1.ObjectMeta{Name: "mine"}, Spec: v1alpha1.MACPoolSpec{Ranges: []v1alpha1.MACRange{{Start: "0a:00:00:00:00:00"}}}}}, start: "0a:", name: "mine"},
	} {
		t.Run(name, func(t *testing.T) {
			tell(t, func(w *world) {
				for _, o := range tc.there {
					w.create(o)
				}
				require.NoError(t, EnsureDefaultPool(w.ctx, w.client, logr.Discard()))
				require.NoError(t, EnsureDefaultPool(w.ctx, w.client, logr.Discard()), "once more makes no other")
				var pools v1alpha1.MACPoolList
				require.NoError(t, w.client.List(w.ctx, &pools))
				require.Len(t, pools.Items, 1)
				assert.Equal(t, tc.name, pools.Items[0].Name)
				assert.True(t, strings.HasPrefix(pools.Items[0].Spec.Ranges[0].Start, tc.start))
				w.lost.Store(true)
				assert.Error(t, EnsureDefaultPool(w.ctx, w.client, logr.Discard()))
			})
		})
	}
}
