// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"
	"github.com/bridgehead-dev/bridgehead/api/nmstate/v1beta1"
	"github.com/bridgehead-dev/bridgehead/webhooks"
)

// A request may reach a replica that has just restarted before the endpoints know of that.
func TestAReplicaLendsNothingBeforeItKnowsTheAddressesOfNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scheme, err := newScheme()
		require.NoError(t, err)
		require.NoError(t, v1beta1.AddToScheme(scheme))
		const self = "replica-1-abcde"
		lease := &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Namespace: "here", Name: janitorLease},
			Spec:       coordinationv1.LeaseSpec{HolderIdentity: new(self), RenewTime: new(metav1.NowMicro())},
		}
		pool := &v1alpha1.MACPool{
			ObjectMeta: metav1.ObjectMeta{Name: "default"}, Status: v1alpha1.MACPoolStatus{ImportedBy: self},
		}
		cluster := fake.NewClientBuilder().WithScheme(scheme).WithObjects(lease, pool)
		watched := cluster.WithInterceptorFuncs(interceptor.Funcs{
			Watch: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) (watch.Interface, error) {
				none := watch.NewFakeWithChanSize(1, false)
				none.Action(watch.Bookmark, &v1beta1.NodeNetworkState{ObjectMeta: metav1.ObjectMeta{
					ResourceVersion: "1", Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"},
				}})
				return none, nil
			},
		}).Build()
		r := &replica{
			options: Options{Namespace: "here", Pod: "replica-1"}, identity: self, log: logr.Discard(), direct: watched,
			nodes: &webhooks.NodeAddresses{},
		}
		r.makeLeases()
		go func() { assert.NoError(t, r.lease.Run(t.Context())) }()
		go r.gate.Run(t.Context())
		lends := func() bool {
			<-time.After(time.Minute)
			_, ok := r.gate.Replica()
			return ok
		}
		assert.False(t, lends(), "the next address may be a node's")
		assert.ErrorContains(t, r.gate.Check(), "the addresses of nodes, which no pool lends, are being read")
		go r.nodes.Run(t.Context(), watched)
		assert.True(t, lends())
	})
}
