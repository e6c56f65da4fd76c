// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"

	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

func TestProfilesOfKubernetesNMStateAreRemovedWhereThePolicySaysSo(t *testing.T) {
	tests := map[string]struct {
		policies []Policy
		orphan   bool
		want     []string
	}{
		"the annotation says so":         {[]Policy{{Name: "p", RemoveProfiles: true}}, false, []string{"br1 eth1"}},
		"it does not":                    {[]Policy{{Name: "p"}}, false, nil},
		"the policy is not applied here": {[]Policy{{Name: "other", RemoveProfiles: true}}, false, nil},
		"the policy is gone here":        {[]Policy{{Name: "p", RemoveProfiles: true}}, true, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var asked, told []string
			fail := errors.New("it hangs")
			k := newKeeper(t, kernel.NewModel(parse(t, reachable)), t.TempDir())
			desired := parse(t, "interfaces: [{name: br1, type: linux-bridge, state: up, bridge: {port: [{name: eth1}]}}]")
			k.records = map[string]journal.Record{
				"p": {Policy: "p", Generation: 1, Desired: journal.State(desired), Orphan: test.orphan},
			}
			a := &Agent{keeper: k, cleaned: map[string]int64{}, options: Options{
				NodeName: "node01", Log: logr.Discard(),
				Event: func(policy, _, _, note string) { told = append(told, policy+": "+note) },
				RemoveProfiles: func(links []string) ([]string, error) {
					asked = append(asked, strings.Join(links, " "))
					if fail != nil {
						return nil, fail
					}
					return []string{"br1"}, nil
				},
			}}
			a.removeProfiles(test.policies)
			assert.Equal(t, test.want, asked)
			fail = nil
			a.removeProfiles(test.policies)
			a.removeProfiles(test.policies)
			assert.Equal(t, append(test.want, test.want...), asked, "again after a failure, and then not any more")
			if test.want != nil {
				assert.Equal(t, []string{"p: node01: deleted what kubernetes-nmstate left with NetworkManager: br1"}, told)
			}
		})
	}
}
