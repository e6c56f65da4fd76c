// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/e2e/suite"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// instanceWith returns a VirtualMachineInstance that brings an address, and that a controller of a kind owns.
func instanceWith(name string, m macpool.MAC, kind string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
		"metadata": map[string]any{"namespace": "default", "name": name, "ownerReferences": []any{map[string]any{
			"apiVersion": "kubevirt.io/v1", "kind": kind, "name": "owner", "uid": "u", "controller": true,
		}}},
		"spec": map[string]any{
			"domain": map[string]any{"devices": map[string]any{"interfaces": []any{
				map[string]any{"name": "net", "bridge": map[string]any{}, "macAddress": m.String()},
			}}},
			"networks": []any{map[string]any{"name": "net", "multus": map[string]any{"networkName": "l2"}}},
		},
	}}
}

func TestInstancesWithoutAVMAreRefusedTheAddressesOfOthers(t *testing.T) {
	t.Parallel()
	s := suite.StartForTest(t, suite.Options{Replicas: 1})
	_, err := s.Kubectl(t.Context(), "label", "namespace", "default", "mutatevirtualmachines.kubemacpool.io=allocate")
	require.NoError(t, err)
	taken, free := macpool.MAC{0x52, 0x54, 0, 0, 0, 1}, macpool.MAC{0x52, 0x54, 0, 0, 0, 2}
	require.NoError(t, s.Client.Create(t.Context(), vmWith("vma", []macpool.MAC{taken})))

	alone := instanceWith("alone", taken, "VirtualMachineInstanceReplicaSet")
	assert.ErrorContains(t, s.Client.Create(t.Context(), alone), taken.String()+" is held by VirtualMachine default/vma")
	forged := instanceWith("of-a-vm", taken, "VirtualMachine")
	assert.ErrorContains(t, s.Client.Create(t.Context(), forged), taken.String()+" is held by VirtualMachine default/vma")

	for _, grant := range []string{ // KubeVirt's controller may do so everywhere, as KubeVirt has it, a tenant where he is
		"create clusterrole instances --verb=* --resource=virtualmachineinstances.kubevirt.io",
		"create clusterrolebinding kubevirt --clusterrole=instances --serviceaccount=kubevirt:kubevirt-controller",
		"create rolebinding tenant --clusterrole=instances --serviceaccount=default:kubevirt-controller",
	} {
		_, err := s.Kubectl(t.Context(), strings.Fields(grant)...)
		require.NoError(t, err)
	}
	create := func(namespace string) error {
		access, err := s.ControlPlane.UserConfig("system:serviceaccount:" + namespace + ":kubevirt-controller")
		require.NoError(t, err)
		account, err := client.New(access, client.Options{Scheme: s.Client.Scheme()})
		require.NoError(t, err)
		waitUntil(t, func() bool { // what was granted takes a moment to be known
			err = account.Create(t.Context(), instanceWith("of-a-vm", taken, "VirtualMachine"))
			return err == nil || !strings.Contains(err.Error(), "cannot create resource")
		})
		return err
	}
	require.ErrorContains(t, create("default"), taken.String()+" is held by VirtualMachine default/vma")
	require.NoError(t, create("kubevirt"), "its VM was judged")
	other := instanceWith("other", free, "VirtualMachineInstanceReplicaSet")
	require.NoError(t, s.Client.Create(t.Context(), other))
	other.SetAnnotations(map[string]string{
		"v1.multus-cni.io/default-network": `[{"name":"l2","mac":"` + taken.String() + `"}]`,
	})
	assert.ErrorContains(t, s.Client.Update(t.Context(), other), taken.String()+" is held by VirtualMachine default/vma")
	waitUntil(t, func() bool { return heldBy(t, s)[free.String()] == "VirtualMachineInstance default/other" })
}
