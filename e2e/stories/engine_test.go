// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/e2e/suite"
	"github.com/bridgehead-dev/bridgehead/macpool"
)

// addsTo is a label that says what an engine is to add.
const addsTo = "engine.example.com/adds"

// engine is a policy engine that names a network on pods, and gives VMs a NIC, where their label says so.
func engine(o metav1.PartialObjectMetadata) string {
	switch o.Labels[addsTo] {
	case "networks":
		return `[{"op": "add", "path": "/metadata/annotations", "value": {"k8s.v1.cni.cncf.io/networks": "l2"}}]`
	case "nic":
		return `[{"op": "add", "path": "/spec/template/spec/domain/devices/interfaces/-", "value": {"name": "added", "bridge": {}}},` +
			`{"op": "add", "path": "/spec/template/spec/networks/-", "value": {"name": "added", "multus": {"networkName": "l2"}}},` +
			`{"op": "remove", "path": "/metadata/labels"}]`
	}
	return ""
}

// labelledPod is a pod to which an engine adds the name of a network.
func labelledPod(name string) string {
	return strings.Replace(pod(name, "", ""), "annotations: {}", `labels: {`+addsTo+`: networks}`, 1)
}

func startEngine(t *testing.T, name string) *suite.Suite {
	s := suite.StartForTest(t, suite.Options{Replicas: 1})
	create(t, s, network("l2", asksForBr0, `{"cniVersion":"0.3.1","type":"bridge","bridge":"br0"}`))
	optIn(t, s)
	m, err := s.StartEngine(t.Context(), name, engine, "default")
	require.NoError(t, err)
	t.Cleanup(m.Close)
	return s
}

func TestWhatAPolicyEngineAddsIsServed(t *testing.T) {
	t.Parallel()
	s := startEngine(t, "kyverno-resource-mutating-webhook-cfg")
	waitUntil(t, func() bool { // a webhook that was just installed is not called at once
		out, err := kubectl(t, s, labelledPod("dry"), "create", "--dry-run=server", "-o", "yaml", "-f", "-")
		return err == nil && strings.Contains(out, "k8s.v1.cni.cncf.io/networks: l2")
	})
	create(t, s, labelledPod("named"))
	assert.Equal(t, "1", asked(podOf(t, s, "named")), "the network was named before we were called")

	vm := vmWith("grows", []macpool.MAC{{}})
	require.NoError(t, s.Client.Create(t.Context(), vm))
	before := vm.DeepCopy()
	vm.SetLabels(map[string]string{addsTo: "nic"})
	require.NoError(t, s.Client.Patch(t.Context(), vm, client.MergeFrom(before)), "the user changes no NIC")
	macs := macsOf(t, vm)
	require.Len(t, macs, 2)
	require.NotEmpty(t, macs[1], "a NIC that an engine adds on an update is given an address")
	waitUntil(t, func() bool { return heldBy(t, s)[macs[1]] == "VirtualMachine default/grows" })
}

func TestWhatAPolicyEngineAddsBehindUsIsRefused(t *testing.T) {
	t.Parallel()
	s := startEngine(t, "zzz-engine")
	waitUntil(t, func() bool {
		out, err := kubectl(t, s, labelledPod("behind"), "create", "--dry-run=server", "-f", "-")
		return err != nil && strings.Contains(out, "the networks of the pod need "+bridge0+": 1, which it does not request")
	})

	vm := vmWith("grows", []macpool.MAC{{}})
	require.NoError(t, s.Client.Create(t.Context(), vm))
	before := vm.DeepCopy()
	vm.SetLabels(map[string]string{addsTo: "nic"})
	err := s.Client.Patch(t.Context(), vm, client.MergeFrom(before))
	require.ErrorContains(t, err, "interface added was assigned no address: another webhook changed the interfaces after bridgehead")

	require.NoError(t, s.Client.Get(t.Context(), client.ObjectKeyFromObject(before), vm))
	plugged := vm.DeepCopy()
	addNIC(t, plugged, "added")
	require.NoError(t, s.Client.Patch(t.Context(), plugged, client.MergeFrom(vm)), "the user adds a NIC")
	assert.NotEmpty(t, macsOf(t, plugged)[1])
}

// addNIC gives a VM one more interface, without an address.
func addNIC(t *testing.T, vm *unstructured.Unstructured, name string) {
	t.Helper()
	spec := []string{"spec", "template", "spec"}
	faces := append(slices.Clone(spec), "domain", "devices", "interfaces")
	networks := append(slices.Clone(spec), "networks")
	for _, list := range []struct {
		path  []string
		entry map[string]any
	}{
		{faces, map[string]any{"name": name, "bridge": map[string]any{}}},
		{networks, map[string]any{"name": name, "multus": map[string]any{"networkName": "l2"}}},
	} {
		entries, _, err := unstructured.NestedSlice(vm.Object, list.path...)
		require.NoError(t, err)
		require.NoError(t, unstructured.SetNestedSlice(vm.Object, append(entries, list.entry), list.path...))
	}
}
