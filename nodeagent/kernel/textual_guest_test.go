// SPDX-License-Identifier: Apache-2.0

//go:build guest

package kernel

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// untaught leaves out what routers and routing daemons teach: a plan leaves that to them (steps that are taken back do
// not).
func untaught(lines []string) []string {
	return slices.DeleteFunc(lines, func(l string) bool {
		return strings.Contains(l, " proto ra ") || strings.Contains(l, " proto bgp ") || strings.Contains(l, " proto 77 ")
	})
}

// What people made by hand with ip and bridge is as it was after a policy that took it away is undone, whatever
// of it a document could not say.
func TestUndoRestoresTheNodeToTheLetter(t *testing.T) {
	tests := nicExamples()
	maps.Copy(tests, bondExamples())
	maps.Copy(tests, linkExamples())
	ways := map[string]func(t *testing.T, k *Kernel, before, policy netstate.State, steps []netstate.Step){
		"step by step": func(t *testing.T, k *Kernel, _, _ netstate.State, steps []netstate.Step) {
			require.NoError(t, Undo(k, steps), netstate.Format(steps))
		},
		"by a plan": func(t *testing.T, k *Kernel, before, policy netstate.State, steps []netstate.Step) {
			back := netstate.PlanBack(netstate.Own(read(t, k), policy), netstate.Revert(before, policy))
			require.NoError(t, Apply(k, back), "%sundone by\n%s", netstate.Format(steps), netstate.Format(back))
		},
	}
	for name, test := range tests {
		for way, undo := range ways {
			t.Run(name+", "+way, func(t *testing.T) {
				k := made(t, test.made, test.cleared)
				policy, errs := netstate.Parse([]byte(test.policy))
				require.Empty(t, errs)
				before, shown := read(t, k), listing(t)
				steps := configure(t, k, policy)
				undo(t, k, before, policy, steps)
				awaitLinks(t)
				after := listing(t)
				for line := range shown {
					if way == "by a plan" {
						shown[line], after[line] = untaught(shown[line]), untaught(after[line])
					}
					assert.Equal(t, shown[line], after[line], line)
				}
			})
		}
	}
}
