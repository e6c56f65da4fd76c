// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func testKubeVirt(t *testing.T, c *ControlPlane) {
	ns := namespace(t, c, "kubevirt-kinds")
	require.NoError(t, c.InstallKubeVirt(t.Context()))
	require.NoError(t, c.InstallKubeVirt(t.Context()), "installing twice is fine")
	apply(t, c, `
apiVersion: kubevirt.io/v1alpha3
kind: VirtualMachine
metadata: {name: testvm, namespace: kubevirt-kinds}
spec:
  runStrategy: Always
  template:
    metadata:
      labels: {kubevirt.io/vm: testvm}
      annotations: {example.com/kept: "yes"}
    spec:
      domain:
        devices:
          interfaces:
          - {name: default, masquerade: {}}
          - {name: red, bridge: {}, macAddress: "02:00:00:00:00:01"}
        resources: {requests: {memory: 64M}}
      networks:
      - {name: default, pod: {}}
      - {name: red, multus: {networkName: red}}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: red, namespace: kubevirt-kinds}
spec: {config: '{"cniVersion": "0.3.1", "type": "bridge", "bridge": "br0"}'}
---
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: from-file, namespace: kubevirt-kinds}
`)
	assert.Equal(t, "yes 02:00:00:00:00:01", kubectl(t, c, "-n", ns, "get", "virtualmachines.v1.kubevirt.io", "testvm",
		`--output=jsonpath={.spec.template.metadata.annotations.example\.com/kept} {.spec.template.spec.domain.devices.interfaces[1].macAddress}`))
	assert.Contains(t, kubectl(t, c, "-n", ns, "get", "all"), "virtualmachine.kubevirt.io/testvm")
	for _, short := range []string{"vm", "vms", "vmi", "vmis", "vmim", "vmims", "net-attach-def"} {
		kubectl(t, c, "-n", ns, "get", short)
	}
	expectStatusSubresources(t, c)
}

// expectStatusSubresources checks that all have the status subresource but VirtualMachineInstance.
func expectStatusSubresources(t *testing.T, c *ControlPlane) {
	t.Helper()
	want := []string{
		"virtualmachineinstancemigrations", "virtualmachineinstancemigrations/status", "virtualmachineinstances",
		"virtualmachines", "virtualmachines/status",
	}
	for _, version := range []string{"kubevirt.io/v1", "kubevirt.io/v1alpha3"} {
		list, err := c.clients.Discovery().ServerResourcesForGroupVersion(version)
		require.NoError(t, err)
		assert.ElementsMatch(t, want, resourceNames(list), version)
	}
}

// resourceNames lists what a group version serves.
func resourceNames(list *metav1.APIResourceList) []string {
	var out []string
	for _, r := range list.APIResources {
		out = append(out, r.Name)
	}
	return out
}
