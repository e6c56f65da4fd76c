// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

func TestAddressesInUseAreImportedBeforeTheFirstReadinessAndByWatchAfter(t *testing.T) {
	t.Parallel()
	s := suite.StartForTest(t, suite.Options{})
	_, err := s.Kubectl(t.Context(), "create", "namespace", "other")
	require.NoError(t, err)
	_, err = s.Kubectl(t.Context(), "label", "namespace", "default", "mutatevirtualmachines.kubemacpool.io=allocate")
	require.NoError(t, err)
	stored := macpool.MAC{0x52, 0x54, 0, 0, 0, 1}
	reported := macpool.MAC{0x52, 0x54, 0, 0, 0, 2}
	later := macpool.MAC{0x52, 0x54, 0, 0, 0, 3}
	require.NoError(t, s.Client.Create(t.Context(), inNamespace("other", vmWith("before", []macpool.MAC{stored}))))
	require.NoError(t, s.Client.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
		"metadata": map[string]any{"namespace": "other", "name": "alone"},
		"spec": map[string]any{
			"domain": map[string]any{"devices": map[string]any{"interfaces": []any{
				map[string]any{"name": "net", "bridge": map[string]any{}},
			}}},
			"networks": []any{map[string]any{"name": "net", "multus": map[string]any{"networkName": "l2"}}},
		},
		"status": map[string]any{"interfaces": []any{
			map[string]any{"name": "net", "mac": reported.String()},
			map[string]any{"interfaceName": "docker0", "mac": "52:54:00:00:00:99"}, // the guest's own affair
		}},
	}}))

	_, err = s.StartReplica(t.Context())
	require.NoError(t, err)
	assert.Equal(t, map[string]string{
		stored.String():   "VirtualMachine other/before",
		reported.String(): "VirtualMachineInstance other/alone",
	}, heldBy(t, s), "a replica that is ready knows what is in use")
	for _, m := range []macpool.MAC{stored, reported} {
		err := s.Client.Create(t.Context(), vmWith("thief", []macpool.MAC{m}))
		assert.ErrorContains(t, err, "is held by another VM, in another namespace")
	}

	require.NoError(t, s.Client.Create(t.Context(), inNamespace("other", vmWith("after", []macpool.MAC{later}))))
	waitUntil(t, func() bool { return heldBy(t, s)[later.String()] == "VirtualMachine other/after" })
	assert.ErrorContains(t, s.Client.Create(t.Context(), vmWith("thief", []macpool.MAC{later})), "is held by another VM")

	_, err = s.Kubectl(t.Context(), "delete", "macblocks", "--all", "--wait=false")
	require.NoError(t, err)
	for _, m := range []macpool.MAC{stored, reported, later} {
		err := s.Client.Create(t.Context(), vmWith("thief", []macpool.MAC{m}))
		assert.ErrorContains(t, err, "is held by another VM", "blocks that somebody deletes are not forgotten")
		waitUntil(t, func() bool { return heldBy(t, s)[m.String()] != "" })
	}
}

func TestKubeVirtMayBeInstalledLater(t *testing.T) {
	t.Parallel()
	s := suite.StartForTest(t, suite.Options{Replicas: 1, WithoutKubeVirt: true})
	require.NoError(t, s.InstallKubeVirt(t.Context()))
	m := macpool.MAC{0x52, 0x54, 0, 0, 0, 1}
	require.NoError(t, s.Client.Create(t.Context(), vmWith("vma", []macpool.MAC{m})))
	waitUntil(t, func() bool { return heldBy(t, s)[m.String()] == "VirtualMachine default/vma" })
}

func inNamespace(namespace string, vm *unstructured.Unstructured) *unstructured.Unstructured {
	vm.SetNamespace(namespace)
	return vm
}

// heldBy returns who holds which address, of those outside of windows.
func heldBy(t *testing.T, s *suite.Suite) map[string]string {
	blocks, err := s.Blocks(t.Context())
	require.NoError(t, err)
	held := map[string]string{}
	for _, b := range blocks {
		for m, e := range b.Entries() {
			for _, h := range e.Holds {
				held[m.String()] += h.Kind + " " + h.Namespace + "/" + h.Name
			}
		}
	}
	return held
}

// podWith returns a pod that asks for an address on a secondary network.
func podWith(namespace, name, mac string, labels map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels, Annotations: map[string]string{
			"k8s.v1.cni.cncf.io/networks": `[{"name":"l2","mac":"` + mac + `","interface":"net1"}]`,
		}},
		Spec: corev1.PodSpec{
			Containers:                   []corev1.Container{{Name: "c", Image: "none"}},
			AutomountServiceAccountToken: new(bool),
		},
	}
}

func namespaceWith(name string, labels map[string]string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}

func TestAddressesOfPodsAreKeptWhereTheirNamespaceOptedIn(t *testing.T) {
	t.Parallel()
	s := suite.StartForTest(t, suite.Options{})
	optedIn := map[string]string{"mutatepods.kubemacpool.io": "allocate"}
	for _, o := range []client.Object{
		namespaceWith("in", nil), namespaceWith("out", nil),
		podWith("in", "early", "52:54:00:00:00:01", nil),
		podWith("out", "early", "52:54:00:00:00:02", nil),
		podWith("in", "virt-launcher-vm", "52:54:00:00:00:03", map[string]string{"kubevirt.io": "virt-launcher"}),
	} {
		waitUntil(t, func() bool { return s.Client.Create(t.Context(), o) == nil }) // the API server hears of the deletion
	}
	require.NoError(t, s.Client.Update(t.Context(), namespaceWith("in", optedIn)))

	_, err := s.StartReplica(t.Context())
	require.NoError(t, err)
	assert.Equal(
		t, map[string]string{"52:54:00:00:00:01": "Pod in/early"}, heldBy(t, s),
		"a replica that is ready knows what is in use",
	)

	require.NoError(t, s.Client.Update(t.Context(), namespaceWith("out", optedIn)))
	waitUntil(t, func() bool { return heldBy(t, s)["52:54:00:00:00:02"] == "Pod out/early" })
	assert.NotContains(t, heldBy(t, s), "52:54:00:00:00:03", "the address of a VM's pod is the VM's")

	optIn(t, s)
	thief := vmWith("thief", []macpool.MAC{{0x52, 0x54, 0, 0, 0, 1}})
	assert.ErrorContains(t, s.Client.Create(t.Context(), thief), "52:54:00:00:00:01 is held")
}

func TestDefaultPoolHasTheRangeOfKubemacpool(t *testing.T) {
	t.Parallel()
	s := suite.StartForTest(t, suite.Options{})
	config := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubemacpool-mac-range-config"},
		Data:       map[string]string{"RANGE_START": "02:AA:BB:00:00:00", "RANGE_END": "02:AA:BB:00:FF:FF"},
	}
	require.NoError(t, s.Client.Create(t.Context(), config))
	_, err := s.StartReplica(t.Context())
	require.NoError(t, err)
	var pool v1alpha1.MACPool
	require.NoError(t, s.Client.Get(t.Context(), client.ObjectKey{Name: v1alpha1.DefaultPool}, &pool))
	assert.Equal(t, []v1alpha1.MACRange{{Start: "02:aa:bb:00:00:00", End: "02:aa:bb:00:ff:ff"}}, pool.Spec.Ranges)
}
