// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"
	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/nad"
)

// instance returns a VirtualMachineInstance with two interfaces on Multus networks and one on the pod network.
func instance(metadata, first, second, pod string) string {
	return `{metadata: {` + metadata + `}, spec: {domain: {devices: {interfaces: [
		{name: pod, bridge: {}, macAddress: "` + pod + `"},
		{name: a, bridge: {}, macAddress: "` + first + `"}, {name: b, sriov: {}, macAddress: "` + second + `"}]}},
		networks: [{name: pod, pod: {}}, {name: a, multus: {networkName: l2}}, {name: b, multus: {networkName: l2}}]}}`
}

func TestAnInstanceOfAGeneratedNameHoldsByItsNameAlone(t *testing.T) {
	const address = "52:54:00:00:00:01"
	w := newWorld(t)
	// The API server makes the name before it asks who validates.
	raw, err := yaml.YAMLToJSON([]byte(instance("name: i-x7k2p, generateName: i-", address, "", "")))
	require.NoError(t, err)
	verdict, err := InstanceReviewer{Lending: w.lending()}.Review(t.Context(), &admissionv1.AdmissionRequest{
		Namespace: "home", Operation: admissionv1.Create, Object: runtime.RawExtension{Raw: raw},
	})
	require.NoError(t, err)
	require.Empty(t, verdict.Denied)
	m, err := macpool.ParseMAC(address)
	require.NoError(t, err)
	b, err := w.store.Get(t.Context(), m.Prefix())
	require.NoError(t, err)
	_, held := b.Entry(m).HoldOf(macpool.Object{Kind: macpool.KindVMI, Namespace: "home", Name: "i-x7k2p"})
	assert.True(t, held, "the janitor would not know whose it is: %v", b.Entry(m).Holds)
	w.flush()
}

func TestInstancesWithoutAVM(t *testing.T) {
	const taken, other, multicast = "52:54:00:00:00:01", "52:54:00:00:00:02", "53:54:00:00:00:01"
	const owned = `, ownerReferences: [{apiVersion: kubevirt.io/v1, kind: VirtualMachine, name: vm, uid: u, controller: true}]`
	const own = "VirtualMachineInstance home/i"
	asking := func(annotation, network, mac string) string {
		return `name: i, annotations: {` + annotation + `: '[{"name":"` + network + `","mac":"` + mac + `"}]'}`
	}
	const standard = "metadata.annotations[v1.multus-cni.io/default-network]"
	const first, second = "spec.domain.devices.interfaces[1].macAddress", "spec.domain.devices.interfaces[2].macAddress"
	for name, c := range map[string]struct {
		object, old string
		operation   admissionv1.Operation
		enforcement v1alpha1.Enforcement
		dryRun      bool
		notReady    bool
		denied      []string
		warning     string
		holds       map[string]string // beside what the VM has
	}{
		"one without addresses is let in":             {object: instance("name: i", "", "", "")},
		"addresses that are free are":                 {object: instance("name: i", other, "52:54:00:00:00:03", ""), holds: map[string]string{other: own, "52:54:00:00:00:03": own}},
		"nothing is held in a dry run":                {object: instance("name: i", other, "", ""), dryRun: true},
		"nor for one without a name":                  {object: instance("generateName: i-", other, "", "")},
		"a replica that is not ready yet lets one in": {object: instance("name: i", other, "", ""), notReady: true},
		"and refuses what a VM has":                   {object: instance("name: i", other, taken, ""), notReady: true, denied: []string{second}},
		"one that a VM has is refused":                {object: instance("name: i", other, taken, ""), denied: []string{second}},
		"where there is no name yet, too":             {object: instance("generateName: i-", taken, "", ""), denied: []string{first}},
		"one of a replica set is judged":              {object: instance("name: i, ownerReferences: [{kind: VirtualMachineInstanceReplicaSet, controller: true}]", taken, "", ""), denied: []string{first}},
		"one of a VM may have the address of that VM": {object: instance("name: vm"+owned, taken, other, ""), holds: map[string]string{other: "home/vm"}},
		"one that names a VM as its owner, but is not of its name, is judged": {
			object: instance("name: i"+owned, other, taken, ""), denied: []string{second},
		},
		"one of a VM has no address that no interface can have": {
			object: instance("name: vm"+owned, taken, multicast, ""), denied: []string{second},
		},
		"a pool that warns warns":                   {object: instance("name: i", taken, "", ""), enforcement: v1alpha1.EnforcementWarn, warning: "interface a: " + taken + " is held by VirtualMachine home/vm", holds: map[string]string{taken: own}},
		"one that no interface can have is refused": {object: instance("name: i", multicast, other, ""), denied: []string{first}},
		"one of an interface whose name is too long to be recorded is": {
			object: strings.ReplaceAll(instance("name: i", other, "", ""), "name: a,", "name: "+strings.Repeat("a", 254)+","),
			denied: []string{first},
		},
		"one that its pod asks for is held": {
			object: instance(asking(nad.DefaultNetworkAnnotation, "l2", other), "", "", ""), holds: map[string]string{other: own},
		},
		"one that its pod asks for and a VM has is refused": {
			object: instance(asking(nad.DefaultNetworkAnnotation, "l2", taken), other, "", ""), denied: []string{standard},
		},
		"one of its pod's that the network gives is that network's": {object: instance(asking(nad.DefaultNetworkAnnotation, "udn", taken), "", "", "")},
		"one on networks that KubeVirt writes instead is nobody's":  {object: instance(asking(nad.NetworksAnnotation, "l2", taken), "", "", "")},
		"one twice is refused":                     {object: instance("name: i", other, "52-54-00-00-00-02", ""), denied: []string{second}},
		"one on the pod network is that network's": {object: instance("name: i", "", "", taken)},
		"what it had before a change stays":        {object: instance("name: i", taken, "", ""), old: instance("name: i", taken, "", "")},
		"one that a change has its pod ask for is held": {
			object: instance(asking(nad.DefaultNetworkAnnotation, "l2", other), "", "", ""), old: instance("name: i", "", "", ""),
			holds: map[string]string{other: own},
		},
		"one that a change has its pod ask for and a VM has is refused": {
			object: instance(asking(nad.DefaultNetworkAnnotation, "l2", taken), "", "", ""), old: instance("name: i", "", "", ""),
			denied: []string{standard},
		},
		"nothing is asked for by one that is deleted":      {object: `{}`, old: instance("name: i", taken, "", ""), operation: admissionv1.Delete},
		"one that cannot be read is for KubeVirt to judge": {object: `{metadata: [], spec: {domain: []}}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if c.enforcement != "" {
				w.pool(c.enforcement, v1alpha1.MACRange{Start: "02:4a:be:00:00:00", End: "02:4a:be:ff:ff:ff"})
			}
			w.hold(taken, "home/vm", "net")
			held := w.holds()
			for address, by := range c.holds {
				held[address] = append([]string{by}, held[address]...)
				slices.Sort(held[address])
			}
			if c.notReady {
				w.flush()
			}
			raw, err := yaml.YAMLToJSON([]byte(c.object))
			require.NoError(t, err)
			request := &admissionv1.AdmissionRequest{
				Namespace: "home", Operation: admissionv1.Create, DryRun: ptr.To(c.dryRun), Object: runtime.RawExtension{Raw: raw},
			}
			if c.old != "" {
				request.Operation = cmp.Or(c.operation, admissionv1.Update)
				request.OldObject.Raw, err = yaml.YAMLToJSON([]byte(c.old))
				require.NoError(t, err)
			}
			verdict, err := InstanceReviewer{
				Lending: w.lending(), TakesMAC: func(i nad.Interface) bool { return i.Ref.Name != "udn" },
			}.Review(t.Context(), request)
			require.NoError(t, err)
			if !c.notReady {
				w.flush()
			}
			assert.Equal(t, c.denied, fieldsOf(verdict.Denied), "%v", verdict.Denied)
			assert.Empty(t, verdict.Patch)
			if c.warning == "" {
				assert.Empty(t, verdict.Warnings)
			} else {
				require.Len(t, verdict.Warnings, 1)
				assert.Contains(t, verdict.Warnings[0], c.warning)
			}
			assert.Equal(t, held, w.holds())
		})
	}
}
