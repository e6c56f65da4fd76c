package stories

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/bridgehead-dev/bridgehead/e2e/suite"
	"github.com/bridgehead-dev/bridgehead/macpool"
)

func TestAddressesInUseAreImportedBeforeTheFirstReadinessAndByWatchAfter(t *testing.T) {
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
		"spec":     map[string]any{"domain": map[string]any{"devices": map[string]any{}}},
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
}

func TestKubeVirtMayBeInstalledLater(t *testing.T) {
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

// heldBy is who holds which address, of those outside of windows.
func heldBy(t *testing.T, s *suite.Suite) map[string]string {
	blocks, err := s.Blocks(t.Context())
	require.NoError(t, err)
	held := map[string]string{}
	for _, b := range blocks {
		for _, a := range b.Addresses {
			for _, h := range a.Holders {
				held[a.Address] += h.Kind + " " + h.Namespace + "/" + h.Name
			}
		}
	}
	return held
}
