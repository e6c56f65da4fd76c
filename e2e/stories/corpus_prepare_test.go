// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"
	"github.com/bridgehead-dev/bridgehead/webhooks/corpus"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// prepare brings about what a case wants to be there, past admission: its namespaces have not opted in yet.
func (r corpusRun) prepare(name string, c corpus.Case) {
	for _, namespace := range []string{c.Home, c.Other} {
		require.NoError(
			r.t, r.suite.Client.Create(r.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}),
		)
	}
	if c.Pool != nil && !c.Pool.None {
		require.NoError(
			r.t, r.suite.Client.Create(r.t.Context(), poolFor(c.PoolName(), c.Home, c.Pool.Enforcement, c.Pool.Ranges...)), name,
		)
	}
	if c.Operation == admissionv1.Update && c.Raw == "" {
		response := r.send(http.MethodPost, c.Home, "", c.OldObject)
		require.True(r.t, response.allowed, "%s: store the old object: %s", name, response.status.Message)
	}
	for _, h := range c.Ledger {
		r.hold(h.MAC, h.Holder, h.Interface)
		namespace, vm, _ := strings.Cut(h.Holder, "/")
		if h.Gone != "" || strings.HasSuffix(vm, "*") ||
			c.Operation == admissionv1.Update && namespace == c.Home && vm == c.Name() {
			continue
		}
		m, err := macpool.ParseMAC(h.MAC)
		require.NoError(r.t, err)
		require.NoError(
			r.t,
			client.IgnoreAlreadyExists(
				r.suite.Client.Create(r.t.Context(), inNamespace(namespace, vmWith(vm, []macpool.MAC{m}))),
			),
			name,
		)
	}
}

func poolFor(name, namespace string, enforcement v1alpha1.Enforcement, ranges ...v1alpha1.MACRange) *v1alpha1.MACPool {
	return &v1alpha1.MACPool{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.MACPoolSpec{
			Ranges: ranges, Enforcement: enforcement,
			NamespaceSelector: &v1alpha1.NamespaceSelector{
				MatchLabels: map[string]v1alpha1.LabelValue{corev1.LabelMetadataName: v1alpha1.LabelValue(namespace)},
			},
		},
	}
}

// hold writes that a VM holds an address into the ledger, past all replicas.
func (r corpusRun) hold(mac, holder, iface string) {
	m, err := macpool.ParseMAC(mac)
	require.NoError(r.t, err)
	namespace, name, _ := strings.Cut(holder, "/")
	object := macpool.Object{Kind: macpool.KindVM, Namespace: namespace, Name: name}
	if generated, ok := strings.CutSuffix(name, "*"); ok {
		object.Name, object.GenerateName, object.Claim = "", generated, "another"
	}
	claim := macpool.Claim{
		MAC:        m,
		Holder:     macpool.Holder{Object: object, Interface: iface},
		Since:      r.stamp,
		Regardless: true,
	}
	require.NoError(
		r.t,
		wait.PollUntilContextTimeout(
			r.t.Context(),
			10*time.Millisecond,
			within,
			true,
			func(ctx context.Context) (bool, error) {
				b, err := r.store.Get(ctx, m.Prefix())
				if err != nil {
					return false, err
				}
				if err := b.Claim(claim); err != nil {
					return false, err
				}
				_, err = r.store.Put(ctx, b)
				return err == nil, nil // the janitor writes too
			},
		),
	)
}

// optInAll has all namespaces opt in, and returns when the API server and the replica know what has been prepared: the
// last of it is a witness that watches, which tell things in order, have come so far.
func (r corpusRun) optInAll(cases map[string]corpus.Case) {
	const namespace, mac = "witness", "0e:ff:ff:00:00:07"
	require.NoError(
		r.t, r.suite.Client.Create(r.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}),
	)
	require.NoError(
		r.t,
		r.suite.Client.Create(
			r.t.Context(),
			poolFor(namespace, namespace, "", v1alpha1.MACRange{Start: "0e:ff:ff:00:01:00", End: "0e:ff:ff:00:01:ff"}),
		),
	)
	r.hold(mac, namespace+"/vm", "nic0")
	others := []string{namespace}
	for _, c := range cases {
		if c.Pool != nil {
			others = append(others, c.Home)
		}
		if c.Unit == "" {
			r.optIn(c.Home)
		}
	}
	r.keepDefaultPoolFrom(others)
	r.optIn(namespace)
	vm, err := json.Marshal(inNamespace(namespace, vmWith("vm", make([]macpool.MAC, 2))))
	require.NoError(r.t, err)
	waitUntil(r.t, func() bool {
		response := r.send(http.MethodPost, namespace, "?dryRun=All", vm)
		macs := macsOf(r.t, &response.object)
		return len(macs) == 2 && macs[0] == mac && strings.HasPrefix(macs[1], "0e:ff:ff:00:01:")
	})
}

func (r corpusRun) optIn(name string) {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	label := `{"metadata":{"labels":{"mutatevirtualmachines.kubemacpool.io":"allocate"}}}`
	require.NoError(
		r.t, r.suite.Client.Patch(r.t.Context(), namespace, client.RawPatch(types.MergePatchType, []byte(label))),
	)
}

// keepDefaultPoolFrom has the default pool serve all namespaces but these.
func (r corpusRun) keepDefaultPoolFrom(namespaces []string) {
	pool := &v1alpha1.MACPool{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.DefaultPool}}
	require.NoError(r.t, r.suite.Client.Get(r.t.Context(), client.ObjectKeyFromObject(pool), pool))
	before := pool.DeepCopy()
	others := v1alpha1.NamespaceRequirement{Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpNotIn}
	for _, name := range namespaces {
		others.Values = append(others.Values, v1alpha1.LabelValue(name))
	}
	pool.Spec.NamespaceSelector = &v1alpha1.NamespaceSelector{
		MatchExpressions: []v1alpha1.NamespaceRequirement{others},
	}
	require.NoError(r.t, r.suite.Client.Patch(r.t.Context(), pool, client.MergeFrom(before)))
}
