// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"
	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/cluster"
	"github.com/bridgehead-dev/bridgehead/nad"
)

// machine returns a template with an interface on a Multus network and one on the pod network, with their addresses.
func machine(multus, pod string) string {
	return `{"spec":{"domain":{"devices":{"interfaces":[{"name":"pod","bridge":{},"macAddress":"` + pod + `"},{"name":"l2","bridge":{},"macAddress":"` + multus +
		`"}]}},"networks":[{"name":"pod","pod":{}},{"name":"l2","multus":{"networkName":"l2"}}]}}`
}

func TestTemplatesWithFixedAddresses(t *testing.T) {
	const mac, other = "02:00:00:00:00:01", "02:00:00:00:00:02"
	replicas := func(template string) string { return `{"spec":{"template":` + template + `}}` }
	pool := func(template string) string {
		return `{"spec":{"virtualMachineTemplate":{"spec":{"template":` + template + `}}}}`
	}
	const inReplicas = "spec.template.spec.domain.devices.interfaces[1].macAddress"
	const networks = "spec.template.metadata.annotations[k8s.v1.cni.cncf.io/networks]"
	asking := func(annotation, network, address, template string) string {
		asked := fmt.Sprintf(`[{"name":%q,"mac":%q}]`, network, address)
		return fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}},`, annotation, asked) + template[1:]
	}
	const onPod = `{"spec":{"networks":[{"name":"pod","pod":{}}]}}`
	for name, c := range map[string]struct {
		kind, object, old       string
		enforcement             v1alpha1.Enforcement
		denied, warnings, notes []string
	}{
		"one without addresses is let in": {kind: "VirtualMachineInstanceReplicaSet", object: replicas(machine("", mac))},
		"one of a replica set is refused": {kind: "VirtualMachineInstanceReplicaSet", object: replicas(machine(mac, "")), denied: []string{inReplicas}},
		"one of a pool of VMs is refused": {kind: "VirtualMachinePool", object: pool(machine(mac, "")),
			denied: []string{"spec.virtualMachineTemplate.spec.template.spec.domain.devices.interfaces[1].macAddress"}},
		"one is warned of where the pool warns": {kind: "VirtualMachineInstanceReplicaSet", object: replicas(machine(mac, "")), enforcement: v1alpha1.EnforcementWarn,
			warnings: []string{"interfaces[1].macAddress: all machines of this template have the address " + mac}},
		"one is noted where the pool audits": {kind: "VirtualMachineInstanceReplicaSet", object: replicas(machine(mac, "")), enforcement: v1alpha1.EnforcementAudit,
			notes: []string{inReplicas}},
		"one that no interface can have is refused where the pool warns, too": {
			kind: "VirtualMachineInstanceReplicaSet", object: replicas(machine("03:00:00:00:00:01", "")),
			enforcement: v1alpha1.EnforcementWarn, denied: []string{inReplicas},
		},
		"one that was let in before stays": {kind: "VirtualMachineInstanceReplicaSet", object: replicas(machine(mac, "")), old: replicas(machine(mac, ""))},
		"and wherever it moves in the list, in another spelling, too": {
			kind: "VirtualMachineInstanceReplicaSet", object: replicas(machine("02-00-00-00-00-01", "")),
			old: replicas(`{"spec":{"domain":{"devices":{"interfaces":[{"name":"l2","bridge":{},"macAddress":"` + mac +
				`"}]}},"networks":[{"name":"l2","multus":{"networkName":"l2"}}]}}`),
		},
		"one that another interface had is judged": {
			kind: "VirtualMachineInstanceReplicaSet", object: replicas(machine(mac, "")),
			old: replicas(strings.ReplaceAll(machine(mac, ""), `"l2"`, `"l3"`)), denied: []string{inReplicas},
		},
		"another one than before is judged": {kind: "VirtualMachineInstanceReplicaSet", object: replicas(machine(other, "")), old: replicas(machine(mac, "")), denied: []string{inReplicas}},
		"what cannot be read has none":      {kind: "VirtualMachinePool", object: `{"spec":[]}`},
		"one that the pods ask for is refused": {
			kind: "VirtualMachineInstanceReplicaSet", object: replicas(asking(nad.NetworksAnnotation, "l2", mac, onPod)), denied: []string{networks},
		},
		"one that the pods ask for on their default network is, too": {
			kind: "VirtualMachinePool", object: pool(asking(nad.DefaultNetworkAnnotation, "l2", mac, onPod)),
			denied: []string{"spec.virtualMachineTemplate.spec.template.metadata.annotations[v1.multus-cni.io/default-network]"},
		},
		"one that the pods ask for is warned of where the pool warns": {
			kind: "VirtualMachineInstanceReplicaSet", object: replicas(asking(nad.NetworksAnnotation, "l2", mac, onPod)),
			enforcement: v1alpha1.EnforcementWarn,
			warnings:    []string{networks + ": all machines of this template have the address", "    " + mac},
		},
		"one that the pods ask for and that the machine has is told once": {
			kind: "VirtualMachineInstanceReplicaSet", object: replicas(asking(nad.DefaultNetworkAnnotation, "l2", mac, machine(mac, ""))),
			denied: []string{inReplicas},
		},
		"one on networks that KubeVirt replaces is none": {
			kind: "VirtualMachineInstanceReplicaSet", object: replicas(asking(nad.NetworksAnnotation, "l2", mac, machine("", ""))),
		},
		"one that the network gives is none": {
			kind: "VirtualMachineInstanceReplicaSet", object: replicas(asking(nad.DefaultNetworkAnnotation, "udn", mac, onPod)),
		},
		"one that the pods asked for before stays": {
			kind: "VirtualMachineInstanceReplicaSet", object: replicas(asking(nad.NetworksAnnotation, "l2", mac, onPod)),
			old: replicas(asking(nad.NetworksAnnotation, "l2", mac, onPod)),
		},
	} {
		t.Run(name, func(t *testing.T) {
			reviewer := TemplateReviewer{
				PoolFor:  func(string) (cluster.PoolRule, error) { return cluster.PoolRule{Enforcement: c.enforcement}, nil },
				TakesMAC: func(i nad.Interface) bool { return i.Ref.Name != "udn" },
			}
			request := &admissionv1.AdmissionRequest{
				Kind:      metav1.GroupVersionKind{Kind: c.kind},
				Operation: admissionv1.Create,
				Object:    runtime.RawExtension{Raw: []byte(c.object)},
			}
			if c.old != "" {
				request.Operation, request.OldObject.Raw = admissionv1.Update, []byte(c.old)
			}
			verdict, err := reviewer.Review(t.Context(), request)
			require.NoError(t, err)
			assert.Equal(t, c.denied, fieldsOf(verdict.Denied))
			assert.Equal(t, c.warnings, verdict.Warnings)
			require.Len(t, verdict.Notes, len(c.notes))
			for i := range c.notes {
				assert.Contains(t, verdict.Notes[i], c.notes[i])
			}
			reviewer.PoolFor = func(string) (cluster.PoolRule, error) { return cluster.PoolRule{}, &macpool.NoPoolError{} }
			verdict, err = reviewer.Review(t.Context(), request)
			require.NoError(t, err)
			assert.Zero(t, verdict, "no pool serves the namespace")
		})
	}
}

func TestTextsThatSpellOneAddress(t *testing.T) {
	assert.True(t, sameAddress("02:00:00:00:00:0a", "02-00-00-00-00-0A"))
	assert.False(t, sameAddress("02:00:00:00:00:0a", "02:00:00:00:00:0b"))
	assert.True(t, sameAddress("none", "none"), "what was let in before is the same")
	assert.False(t, sameAddress("none", "nothing"))
}
