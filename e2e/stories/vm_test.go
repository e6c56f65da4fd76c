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

// storyNICs are the interfaces of each VM in testdata/30-vms.yaml.
const storyNICs = 2

func TestVMsOfTheStoryGetUniqueAddressesThatTheLedgerHolds(t *testing.T) {
	t.Parallel()
	s := suite.StartForTest(t, suite.Options{Replicas: 2})
	out, err := s.Kubectl(t.Context(), "apply", "-f", "testdata/30-vms.yaml")
	require.NoError(t, err)
	assert.NotContains(t, out, "Warning")

	want := map[string]string{}
	for _, version := range []string{"v1alpha3", "v1"} {
		for _, name := range []string{"vma", "vmb"} {
			macs := macsOf(t, vmOf(t, s, version, name))
			require.Len(t, macs, storyNICs)
			for _, text := range macs {
				m, err := macpool.ParseInterfaceMAC(text)
				require.NoError(t, err, "%s of %s", name, version)
				assert.Contains(t, []string{"", "VirtualMachine default/" + name}, want[m.String()], "%s is another VM's too", m)
				want[m.String()] = "VirtualMachine default/" + name
			}
		}
	}
	assert.Len(t, want, 2*storyNICs, "both versions show the same addresses, and no two interfaces have one in common")
	waitUntil(t, func() bool { return len(heldBy(t, s)) == len(want) })
	assert.Equal(t, want, heldBy(t, s))

	_, err = s.Kubectl(t.Context(), "apply", "-f", "testdata/30-vms.yaml")
	require.NoError(t, err)
	assert.Equal(t, want, heldBy(t, s), "applying the same again changes nothing")
}

func TestBothVersionsOfAVMAreServedAlike(t *testing.T) {
	t.Parallel()
	s := suite.StartForTest(t, suite.Options{Replicas: 1})
	_, err := s.Kubectl(t.Context(), "label", "namespace", "default", "mutatevirtualmachines.kubemacpool.io=allocate")
	require.NoError(t, err)
	for _, version := range []string{"v1alpha3", "v1"} {
		vm := vmWith("vm-"+version, make([]macpool.MAC, 2))
		vm.SetAPIVersion("kubevirt.io/" + version)
		waitUntil(t, func() bool { // the label is not known at once
			dry := vm.DeepCopy()
			require.NoError(t, s.Client.Create(t.Context(), dry, client.DryRunAll))
			return macsOf(t, dry)[0] != ""
		})
		require.NoError(t, s.Client.Create(t.Context(), vm))
		macs := macsOf(t, vm)
		waitUntil(t, func() bool { return heldBy(t, s)[macs[1]] == "VirtualMachine default/"+vm.GetName() })
		thief := vmWith("thief", []macpool.MAC{{}})
		thief.SetAPIVersion("kubevirt.io/" + version)
		require.NoError(t, unstructured.SetNestedSlice(thief.Object, []any{
			map[string]any{"name": "nic0", "bridge": map[string]any{}, "macAddress": macs[0]},
		}, "spec", "template", "spec", "domain", "devices", "interfaces"))
		assert.ErrorContains(
			t, s.Client.Create(t.Context(), thief), macs[0]+" is held by VirtualMachine default/"+vm.GetName(),
		)
	}
}

func vmOf(t *testing.T, s *suite.Suite, version, name string) *unstructured.Unstructured {
	vm := &unstructured.Unstructured{}
	vm.SetAPIVersion("kubevirt.io/" + version)
	vm.SetKind("VirtualMachine")
	require.NoError(t, s.Client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: name}, vm))
	return vm
}
