// SPDX-License-Identifier: Apache-2.0

package stories

import (
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
	asKubeVirt, err := s.ControlPlane.UserConfig("system:serviceaccount:kubevirt:kubevirt-controller", "system:masters")
	require.NoError(t, err)
	kubevirt, err := client.New(asKubeVirt, client.Options{Scheme: s.Client.Scheme()})
	require.NoError(t, err)
	of := instanceWith("of-a-vm", taken, "VirtualMachine")
	require.NoError(t, kubevirt.Create(t.Context(), of), "its VM was judged")
	require.NoError(t, s.Client.Create(t.Context(), instanceWith("other", free, "VirtualMachineInstanceReplicaSet")))
	waitUntil(t, func() bool { return heldBy(t, s)[free.String()] == "VirtualMachineInstance default/other" })
}
