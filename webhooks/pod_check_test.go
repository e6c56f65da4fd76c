// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"
)

// Whatever the webhook for pods lets in as it leaves it, the check lets in too; and what it would have changed is
// refused as it came.
func TestTheCheckOfPodsAgreesWithTheirReview(t *testing.T) {
	checked, changed := 0, 0
	for name, c := range readCases[podCase](t, "pods") {
		if !c.Want.Allowed || c.Operation != "" {
			continue
		}
		checked++
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			defer w.flush()
			c.Addresses = false
			reviews := w.pods(c)
			checks := Handler{Log: w.handler.Log, Reviewer: PodChecker{Reviewer: reviews.Reviewer.(PodReviewer)}}
			reviewed := post(t, reviews, podReview(t, c, c.Object))
			require.True(t, reviewed.Allowed)

			assert.True(t, post(t, checks, podReview(t, c, patched(t, c.Object, reviewed))).Allowed)

			unreviewed := post(t, checks, podReview(t, c, c.Object))
			require.Equal(t, len(reviewed.Patch) == 0, unreviewed.Allowed, "%s", reviewed.Patch)
			if !unreviewed.Allowed {
				changed++
				assert.Contains(t, unreviewed.Result.Message, "which it does not request: another webhook added networks after bridgehead did")
			}
		})
	}
	assert.Greater(t, checked, 15)
	assert.Greater(t, changed, 5)
}

// Where pods are given addresses, too, the check lets in what their review left, whether or not that is recorded yet.
func TestTheCheckOfAddressesAgreesWithTheirReview(t *testing.T) {
	checked := 0
	for name, c := range readCases[podCase](t, "pods") {
		if !c.Want.Allowed || c.Operation != "" || !c.Addresses || c.DryRun {
			continue
		}
		checked++
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for mac, holder := range c.Ledger {
				w.hold(mac, holder, "net1")
			}
			reviews := w.pods(c)
			checks := Handler{Log: w.handler.Log, Reviewer: PodChecker{Reviewer: reviews.Reviewer.(PodReviewer)}}
			reviewed := post(t, reviews, podReview(t, c, c.Object))
			require.True(t, reviewed.Allowed)
			left := podReview(t, c, named(t, patched(t, c.Object, reviewed)))
			assert.True(t, post(t, checks, left).Allowed, "what was lent a moment ago")
			w.flush()
			assert.True(t, post(t, checks, left).Allowed, "what is recorded")
			assert.NotContains(t, w.log.String(), "not checked", "what it was given is known to be its own")
		})
	}
	assert.Greater(t, checked, 5)
}

// named returns a pod with the name that the API server gives it, if it has none, before it validates it.
func named(t *testing.T, pod []byte) []byte {
	t.Helper()
	var object map[string]any
	require.NoError(t, json.Unmarshal(pod, &object))
	metadata, _ := object["metadata"].(map[string]any)
	if prefix, generated := metadata["generateName"].(string); generated && metadata["name"] == nil {
		metadata["name"] = prefix + "x7k2p"
	}
	text, err := json.Marshal(object)
	require.NoError(t, err)
	return text
}

func TestAddressesThatAnotherWebhookGivesAPod(t *testing.T) {
	const taken, free = "02:00:00:00:00:01", "02:00:00:00:00:02"
	networks := func(mac string) string { return fmt.Sprintf(`[{"name":"l2","mac":%q}]`, mac) }
	const launcher = `,"ownerReferences":[{"apiVersion":"kubevirt.io/v1","kind":"VirtualMachineInstance","name":"other","controller":true}]`
	for name, c := range map[string]struct {
		metadata, networks string
		elsewhere          bool // in a namespace whose pods are given no addresses
		enforcement        v1alpha1.Enforcement
		gone, away         bool // the VM that holds the address, and the API server
		says               string
		warns              bool
	}{
		"one that is free":  {networks: networks(free)},
		"none":              {networks: "l2"},
		"one that a VM has": {networks: networks(taken), says: "02:00:00:00:00:01 is held by VirtualMachine home/vm"},
		"one that a VM has, and what is to be done": {networks: networks(taken), says: "another webhook added networks after bridgehead did"},
		"one for a pod whose name is generated": {
			metadata: `"name":"pod-x7k2p","generateName":"pod-"`, networks: networks(taken), says: "is held by VirtualMachine home/vm",
		},
		"one for a pod that brings the claim of another": {
			metadata: `"name":"pod-x7k2p","generateName":"pod-","annotations":{"bridgehead.dev/claim":"a.b.c","k8s.v1.cni.cncf.io/networks":` +
				fmt.Sprintf("%q", networks(taken)) + `}`, says: "is held by VirtualMachine home/vm",
		},
		"one twice":                               {networks: `[{"name":"l2","mac":"` + free + `"},{"name":"l2","mac":"` + free + `"}]`, says: "attachment 0 has the same address"},
		"one for the pod of another VM":           {metadata: `"name":"pod"` + launcher, networks: networks(taken), says: "this is the pod of VirtualMachine home/other, which does not have"},
		"where pods are given none":               {networks: networks(taken), elsewhere: true},
		"where the pool warns":                    {networks: networks(taken), enforcement: v1alpha1.EnforcementWarn, warns: true},
		"one whose VM went just now":              {networks: networks(taken), gone: true},
		"while the API server is away, is let in": {networks: networks(taken), away: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			defer w.flush()
			if c.enforcement != "" {
				w.pool(c.enforcement, v1alpha1.MACRange{Start: "02:4a:be:00:00:00", End: "02:4a:be:ff:ff:ff"})
			}
			w.hold(taken, "home/vm", "net")
			w.exists[object("home/vm")] = !c.gone
			before := w.holds()
			reviewer := w.pods(podCase{
				Networks: map[string]networkSpec{"home/l2": {Config: `{"type":"macvlan"}`}}, Addresses: !c.elsewhere,
				Ledger: map[string]string{taken: "home/vm"},
			}).Reviewer.(PodReviewer)
			w.away.Store(c.away)
			defer w.away.Store(false)
			metadata := c.metadata
			if metadata == "" {
				metadata = `"name":"pod"`
			}
			if c.networks != "" {
				metadata += fmt.Sprintf(`,"annotations":{"k8s.v1.cni.cncf.io/networks":%q}`, c.networks)
			}
			pod := []byte(`{"metadata":{` + metadata + `},"spec":{"containers":[{"name":"a"}]}}`)
			checks := Handler{Log: w.handler.Log, Reviewer: PodChecker{Reviewer: reviewer}}
			answer := post(t, checks, podReview(t, podCase{}, pod))
			assert.Empty(t, answer.Patch)
			assert.Equal(t, before, w.holds(), "it only looks")
			assert.Equal(t, c.warns, len(answer.Warnings) > 0, "%q", answer.Warnings)
			if c.says == "" {
				assert.True(t, answer.Allowed, "%v", answer.Result)
				return
			}
			require.False(t, answer.Allowed)
			assert.Contains(t, answer.Result.Message, c.says)
		})
	}
}

// To look is to read the VM and its instance.
func TestWhatAVMHasIsLookedUpOnceForItsPod(t *testing.T) {
	w := newWorld(t)
	defer w.flush()
	const first, second = "02:00:00:00:00:01", "02:00:00:00:00:02"
	c := podCase{
		Networks: map[string]networkSpec{"home/l2": {Config: `{"type":"macvlan"}`}}, Addresses: true,
		Ledger: map[string]string{first: "home/vm", second: "home/vm"},
	}
	networks := fmt.Sprintf(`[{"name":"l2","mac":%q},{"name":"l2","mac":%q}]`, first, second)
	pod := fmt.Sprintf(`{"metadata":{"name":"pod","annotations":{"k8s.v1.cni.cncf.io/networks":%q},"ownerReferences":[
		{"apiVersion":"kubevirt.io/v1","kind":"VirtualMachineInstance","name":"vm","controller":true}]}}`, networks)
	require.True(t, post(t, w.pods(c), podReview(t, c, []byte(pod))).Allowed)
	assert.Equal(t, 1, w.looks)
}

// It would outlive the VM, whose addresses others are given then: nothing collects a pod whose owner has no known kind.
func TestAPodThatSomebodyOtherThanKubeVirtMakesHasNoAddressOfAVM(t *testing.T) {
	const address = "02:00:00:00:00:01"
	pod := fmt.Sprintf(`{"metadata":{"name":"pod","annotations":{"k8s.v1.cni.cncf.io/networks":%q},"ownerReferences":[
		{"apiVersion":"kubevirt.io/v9","kind":"VirtualMachineInstance","name":"vm","controller":true}]}}`,
		`[{"name":"l2","mac":"`+address+`"}]`)
	for user, allowed := range map[string]bool{"kubevirt": true, "tenant": false} {
		w := newWorld(t)
		defer w.flush()
		c := podCase{
			Networks: map[string]networkSpec{"home/l2": {Config: `{"type":"macvlan"}`}}, Addresses: true, User: user,
			Ledger: map[string]string{address: "home/vm"},
		}
		answer := post(t, w.pods(c), podReview(t, c, []byte(pod)))
		require.Equal(t, allowed, answer.Allowed, user)
		if !allowed {
			assert.Contains(t, answer.Result.Message, "said to be the pod of VirtualMachine home/vm, which only KubeVirt makes")
		}
	}
}

func TestThePodOfAVMThatAsksForNoAddressAsksForItsBridge(t *testing.T) {
	w := newWorld(t)
	defer w.flush()
	c := podCase{
		Networks: map[string]networkSpec{"home/l2": {Config: `{"type":"bridge","bridge":"br0"}`}}, Addresses: true,
	}
	answer := post(t, w.pods(c), podReview(t, c, []byte(`{"metadata":{"name":"pod","labels":{"kubevirt.io":"virt-launcher"},
		"annotations":{"k8s.v1.cni.cncf.io/networks":"l2"}},"spec":{"containers":[{"name":"compute"}]}}`)))
	require.True(t, answer.Allowed, "%v", answer.Result)
	assert.Contains(t, string(answer.Patch), "br0")
	assert.Zero(t, w.looks)
}
