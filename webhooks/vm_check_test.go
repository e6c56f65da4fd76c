// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"cmp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What the webhook for VMs lets in as it leaves it, the check lets in too, whether or not it is recorded yet; and where
// it would have written or refused an address, the check refuses the VM as it came.
func TestTheCheckOfVMsAgreesWithTheirReview(t *testing.T) {
	checked := 0
	for name, c := range readCorpus(t) {
		if c.Operation != "UPDATE" || c.StoreFails {
			continue
		}
		checked++
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.of(c)
			checks := Handler{Log: w.handler.Log, Reviewer: VMChecker{Reviewer: w.handler.Reviewer.(VMReviewer)}}
			came, err := c.Review("came")
			require.NoError(t, err)

			unreviewed := post(t, checks, came)
			reviewed := w.post(came)
			assigns := strings.Contains(string(reviewed.Patch), "/macAddress")
			final := !reviewed.Allowed && reviewed.Result.Code == 422
			assert.Equal(t, !assigns && !final, unreviewed.Allowed, "%s\n%v", reviewed.Patch, unreviewed.Result)
			assert.Empty(t, unreviewed.Patch)

			if reviewed.Allowed {
				c.Object = patched(t, c.Object, reviewed)
				left, err := c.Review("left")
				require.NoError(t, err)
				assert.True(t, post(t, checks, left).Allowed, "what was lent a moment ago")
				w.flush()
				assert.True(t, post(t, checks, left).Allowed, "what is recorded")
			}
		})
	}
	assert.Greater(t, checked, 10)
}

func TestInterfacesWithoutAnAddressAreMissingOne(t *testing.T) {
	const on, off = `"networks": [{"name": "net", "multus": {"networkName": "l2"}}]`, `"networks": [{"name": "net", "pod": {}}]`
	vm := func(interfaces, networks string) virtualMachine {
		read, problems := readVM([]byte(`{"metadata": {"name": "vm", "namespace": "home"}, "spec": {"template": {"spec": {
			"domain": {"devices": {"interfaces": [` + interfaces + `]}}, ` + networks + `}}}}`))
		require.Empty(t, problems)
		return read
	}
	const bare, addressed = `{"name": "net", "bridge": {}}`, `{"name": "net", "bridge": {}, "macAddress": "52:54:00:00:00:01"}`
	for name, tc := range map[string]struct {
		// networks are those of the VM, before what they were; empty for the same.
		was, is, networks, before string
		missing                   bool
	}{
		"an interface that is new":                           {is: bare, networks: on, missing: true},
		"one that is new and has an address":                 {is: addressed, networks: on},
		"one that is new on a network that we do not serve":  {is: bare, networks: off},
		"one that never had an address":                      {was: bare, is: bare, networks: on},
		"one that lost its address":                          {was: addressed, is: bare, networks: on, missing: true},
		"one that lost it on a network that we do not serve": {was: addressed, is: bare, networks: off, missing: true},
		"one that never had one on a network before ours":    {was: bare, is: bare, networks: on, before: off, missing: true},
		"one that keeps its address on a network of ours":    {was: addressed, is: addressed, networks: on, before: off},
		"one that keeps its address":                         {was: addressed, is: addressed, networks: on},
	} {
		t.Run(name, func(t *testing.T) {
			is, was := vm(tc.is, tc.networks), vm(tc.was, cmp.Or(tc.before, tc.networks))
			assert.Equal(t, tc.missing, len(changeOf(&is, &was).missing()) == 1)
		})
	}
}
