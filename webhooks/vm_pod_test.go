// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/bridgehead-dev/bridgehead/nad"
	"github.com/bridgehead-dev/bridgehead/webhooks/corpus"
)

func TestAddressesThatAVMAsksForItsPod(t *testing.T) {
	const taken, free, own = "52:54:00:00:00:01", "52:54:00:00:00:02", "52:54:00:00:00:03"
	const onPod, onMultus = `{"name": "net", "pod": {}}`, `{"name": "net", "multus": {"networkName": "l2"}}`
	const first = `{"name": "net", "multus": {"networkName": "l2", "default": true}}`
	asking := func(network, mac string) string { return fmt.Sprintf(`[{"name":%q,"mac":%q}]`, network, mac) }
	argued := func(mac string) string { return fmt.Sprintf(`[{"name":"l2","cni-args":{"mac":%q}}]`, mac) }
	vm := func(metadata, network, annotation, value string) json.RawMessage {
		return fmt.Appendf(nil, `{"metadata": {"namespace": "home", "name": "vm"%s}, "spec": {"template": {
			"metadata": {"annotations": {%q: %q}}, "spec": {
			"domain": {"devices": {"interfaces": [{"name": "net", "masquerade": {}, "macAddress": %q}]}},
			"networks": [%s]}}}}`, metadata, annotation, value, own, network)
	}
	const standard, networks = nad.DefaultNetworkAnnotation, nad.NetworksAnnotation
	for name, c := range map[string]struct {
		vm, old json.RawMessage
		denied  bool
		held    string // beside its own
	}{
		"one that is free, on the default network": {vm: vm("", onPod, standard, asking("l2", free)), held: free},
		"one that another has":                     {vm: vm("", onPod, standard, asking("l2", taken)), denied: true},
		"one that another has, of a copy": {
			vm:     vm(`, "annotations": {"bridgehead.dev/on-taken-mac": "replace"}`, onPod, standard, asking("l2", taken)),
			denied: true,
		},
		"one that another has and shares": {
			vm:   vm(`, "annotations": {"bridgehead.dev/share-mac": "home/other"}`, onPod, standard, asking("l2", taken)),
			held: taken,
		},
		"one that another has, as an argument":    {vm: vm("", onPod, standard, argued(taken)), denied: true},
		"one that is free, as an argument":        {vm: vm("", onPod, networks, argued(free)), held: free},
		"that of an interface of the VM":          {vm: vm("", onPod, standard, asking("l2", own))},
		"one that the network gives":              {vm: vm("", onPod, standard, asking("udn", taken))},
		"one that no interface can have":          {vm: vm("", onPod, standard, asking("l2", "01:00:00:00:00:01"))},
		"one on an additional network":            {vm: vm("", onPod, networks, asking("l2", free)), held: free},
		"one on a network that KubeVirt replaces": {vm: vm("", onMultus, networks, asking("l2", taken))},
		"one on a default network that it does":   {vm: vm("", first, standard, asking("l2", taken))},
		"one that it had before":                  {vm: vm("", onPod, standard, asking("l2", taken)), old: vm("", onPod, standard, asking("l2", taken))},
		"one that an update adds":                 {vm: vm("", onPod, standard, asking("l2", taken)), old: vm("", onPod, standard, ""), denied: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.hold(taken, "home/other", "net")
			reviewer := w.handler.Reviewer.(VMReviewer)
			reviewer.TakesMAC = func(i nad.Interface) bool { return i.Ref.Name != "udn" }
			w.handler.Reviewer = reviewer
			review := corpus.Case{Operation: admissionv1.Create, Object: c.vm, OldObject: c.old, Home: "home"}
			if c.old != nil {
				review.Operation = admissionv1.Update
			}
			body, err := review.Review("uid")
			require.NoError(t, err)
			answer := w.post(body)
			w.flush()
			assert.Empty(t, answer.Patch)
			want := map[string][]string{taken: {"home/other"}}
			if c.denied {
				require.False(t, answer.Allowed)
				assert.Contains(t, answer.Result.Message, "spec.template.metadata.annotations["+standard+"]: Forbidden: "+
					taken+" is held by VirtualMachine home/other")
				assert.NotContains(t, answer.Result.Message, OnTakenReplace, "which does nothing to what a pod asks for")
				assert.Equal(t, want, w.holds())
				return
			}
			require.True(t, answer.Allowed, "%v", answer.Result)
			if c.old == nil {
				want[own] = []string{"home/vm"}
			}
			if c.held != "" {
				want[c.held] = append(want[c.held], "home/vm")
			}
			assert.Equal(t, want, w.holds())
		})
	}
}
