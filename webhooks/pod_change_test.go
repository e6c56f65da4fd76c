// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/bridgehead-dev/bridgehead/nad"
)

func TestAddressesThatAChangeGivesAPod(t *testing.T) {
	const taken, free = "02:00:00:00:00:01", "02:00:00:00:00:02"
	asking := func(network, mac string) string { return fmt.Sprintf(`[{"name":%q,"mac":%q}]`, network, mac) }
	const launcher = `,"ownerReferences":[{"apiVersion":"kubevirt.io/v1","kind":"VirtualMachineInstance","name":%q,"controller":true}]`
	for name, c := range map[string]struct {
		before, networks string
		metadata, spec   string
		key              string // of the annotation, if not the one for additional networks
		elsewhere        bool   // in a namespace whose pods are given no addresses
		dryRun, away     bool
		says             string
		held             string
	}{
		"one that a VM has":                    {networks: asking("l2", taken), says: "annotations[k8s.v1.cni.cncf.io/networks]: Forbidden: " + taken + " is held by VirtualMachine home/vm"},
		"one that is free":                     {networks: asking("l2", free), held: free},
		"one that is free, to see":             {networks: asking("l2", free), dryRun: true},
		"one on another network":               {before: asking("udn", taken), networks: asking("l2", taken), says: "is held by"},
		"one as an argument":                   {networks: `[{"name":"l2","cni-args":{"mac":"` + taken + `"}}]`, says: "is held by"},
		"one on the default network":           {key: nad.DefaultNetworkAnnotation, networks: asking("l2", taken), says: "is held by"},
		"one that it had, in another spelling": {before: asking("l2", taken), networks: asking("l2", "02-00-00-00-00-01")},
		"one that the network gives":           {networks: asking("udn", taken)},
		"none":                                 {before: asking("l2", taken), networks: "l2"},
		"one that Multus cannot read":          {networks: "[{", says: "annotations[k8s.v1.cni.cncf.io/networks]"},
		"what it could not read before":        {before: "[{", networks: "[{"},
		"what was wrong before, further up":    {before: `[{"name":"l2"},{"name":"l2","mac":"03:00:00:00:00:01"}]`, networks: asking("l2", "03:00:00:00:00:01")},
		"one of a group":                       {networks: asking("l2", "03:00:00:00:00:01"), says: "mac: Invalid value"},
		"one twice":                            {networks: `[{"name":"l2","mac":"` + free + `"},{"name":"l2","mac":"` + free + `"}]`, says: "attachment 0 has the same address"},
		"an interface that every pod has":      {networks: "l2@eth0", says: "every pod has an interface of this name already"},
		"one for the pod of the VM that has it": {
			metadata: fmt.Sprintf(launcher, "vm"), networks: asking("l2", taken),
		},
		"one twice, for the pod of a VM that has it twice": {
			metadata: fmt.Sprintf(launcher, "vm"), networks: `[{"name":"l2","mac":"` + taken + `"},{"name":"l2","mac":"` + taken + `"}]`,
		},
		"one for the pod of another VM": {
			metadata: fmt.Sprintf(launcher, "other"), networks: asking("l2", taken), says: "this is the pod of VirtualMachine home/other, which does not have",
		},
		"where pods are given none":               {networks: asking("l2", taken), elsewhere: true},
		"on the network of its node":              {networks: asking("l2", taken), spec: `"hostNetwork":true`},
		"while the API server is away, is let in": {networks: asking("l2", taken), away: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.hold(taken, "home/vm", "net")
			w.exists[object("home/vm")] = true
			want := w.holds()
			if c.held != "" {
				want[c.held] = []string{"Pod home/pod"}
			}
			reviews := w.pods(podCase{Addresses: !c.elsewhere, Ledger: map[string]string{taken: "home/vm"}})
			checks := Handler{Log: w.handler.Log, Reviewer: PodChecker{
				Reviewer: reviews.Reviewer.(PodReviewer), TakesMAC: func(i nad.Interface) bool { return i.Ref.Name != "udn" },
			}}
			if c.key == "" {
				c.key = nad.NetworksAnnotation
			}
			pod := func(networks string) runtime.RawExtension {
				return runtime.RawExtension{Raw: fmt.Appendf(nil, `{"metadata":{"name":"pod","annotations":{%q:%q}%s},"spec":{%s}}`,
					c.key, networks, c.metadata, c.spec)}
			}
			w.away.Store(c.away)
			answer := post(t, checks, reviewOf(t, &admissionv1.AdmissionRequest{
				UID: "uid", Namespace: home, Name: "pod", Operation: admissionv1.Update, DryRun: ptr.To(c.dryRun),
				Object: pod(c.networks), OldObject: pod(c.before),
			}))
			w.away.Store(false)
			w.flush()
			assert.Empty(t, answer.Patch)
			assert.Equal(t, want, w.holds())
			if c.says == "" {
				assert.True(t, answer.Allowed, "%v", answer.Result)
				return
			}
			require.False(t, answer.Allowed)
			assert.Contains(t, answer.Result.Message, c.says)
		})
	}
}
