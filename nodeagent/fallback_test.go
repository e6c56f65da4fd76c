// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// The policies of a node whose address is on a VLAN of a bond, with a bridge on that VLAN and another beside it.
const (
	wayBond = `
interfaces:
- {name: bond0, type: bond, state: up, link-aggregation: {mode: active-backup, port: [eth1, eth2]}}`
	wayVLAN = `
interfaces:
- name: bond0.100
  type: vlan
  state: up
  vlan: {base-iface: bond0, id: 100}
  ipv4: {enabled: true, dhcp: false, address: [{ip: 198.51.100.7, prefix-length: 24}]}
routes:
  config: [{destination: 203.0.113.0/24, next-hop-address: 198.51.100.1, next-hop-interface: bond0.100}]`
	standsOnWay = `
interfaces:
- {name: bond0.200, type: vlan, state: up, vlan: {base-iface: bond0, id: 200}}`
	besideWay = `
interfaces:
- {name: br3, type: linux-bridge, state: up, bridge: {port: [{name: eth3}]}}`
)

// nodeAddresses are those of that node.
func nodeAddresses() []netip.Addr { return []netip.Addr{netip.MustParseAddr("198.51.100.7")} }

const gateway = "default gateway"

// answering answers for a gateway.
func answering(context.Context, []string, bool) map[string]error {
	return map[string]error{gateway: nil}
}

// committedWay returns the folder of a node that is committed to the policies, and reached others by them.
func committedWay(t *testing.T, ask WayProbe) string {
	t.Helper()
	dir := t.TempDir()
	k := startKeeper(t, kernel.NewModel(bare(t)), dir)
	for n, text := range []string{wayBond, wayVLAN, standsOnWay, besideWay} {
		policy := wish(t, []string{"bond", "vlan", "stands", "beside"}[n], text)
		policy.Heal = n%2 == 0
		require.NoError(t, k.Apply(t.Context(), policy))
	}
	require.NoError(t, k.NoteWay(t.Context(), nodeAddresses(), ask))
	return dir
}

// bootAt returns a keeper that has restored, with a clock.
func bootAt(t *testing.T, node kernel.Node, dir string) (*Keeper, *clocktesting.FakePassiveClock) {
	t.Helper()
	clock := clocktesting.NewFakePassiveClock(time.Unix(1000, 0))
	k := newKeeper(t, node, dir)
	k.Clock = clock
	require.NoError(t, k.Restore())
	return k, clock
}

// links names what a node has besides its cards.
func virtualLinks(t *testing.T, node kernel.Node) string {
	t.Helper()
	state, err := node.Read()
	require.NoError(t, err)
	var names []string
	for _, i := range state.Interfaces {
		if !strings.HasPrefix(i.Name, "eth") && i.Name != "lo" {
			names = append(names, i.Name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

const allOfWay, restOfWay = "bond0 bond0.100 bond0.200 br3", "br3"

// onlyBeside is the node on which only the policy beside the way was applied.
func onlyBeside(t *testing.T) netstate.State {
	t.Helper()
	model := kernel.NewModel(bare(t))
	require.NoError(t, startKeeper(t, model, t.TempDir()).Apply(t.Context(), wish(t, "beside", besideWay)))
	state, err := model.Read()
	require.NoError(t, err)
	return state
}

func TestABootFallsBackWhereNothingAnswers(t *testing.T) {
	type event struct {
		after    time.Duration // since the last one
		answers  bool
		restarts bool // the unit does, before
		reboots  bool // the machine does, before
		want     string
	}
	const s = time.Second
	silent := func(context.Context, []string, bool) map[string]error {
		return map[string]error{gateway: errors.New("192.0.2.1 through br1: no ARP reply")}
	}
	for name, test := range map[string]struct {
		before WayProbe
		events []event
		fallen bool
	}{
		"an answer at once":               {answering, []event{{0, true, false, false, allOfWay}, {90 * s, false, false, false, allOfWay}}, false},
		"an answer in time":               {answering, []event{{0, false, false, false, allOfWay}, {59 * s, true, false, false, allOfWay}}, false},
		"none in time":                    {answering, []event{{0, false, false, false, allOfWay}, {60 * s, false, false, false, restOfWay}}, true},
		"what never answered":             {silent, []event{{0, false, false, false, allOfWay}, {90 * s, false, false, false, allOfWay}}, false},
		"once answered is enough":         {answering, []event{{0, true, false, false, allOfWay}, {90 * s, false, true, false, allOfWay}, {90 * s, false, false, false, allOfWay}}, false},
		"the unit restarts meanwhile":     {answering, []event{{0, false, false, false, allOfWay}, {30 * s, false, true, false, allOfWay}, {60 * s, false, false, false, restOfWay}}, true},
		"the distribution's is answered":  {answering, []event{{0, false, false, false, allOfWay}, {60 * s, false, false, false, restOfWay}, {60 * s, true, false, false, restOfWay}, {300 * s, false, false, false, restOfWay}}, true},
		"neither is answered":             {answering, []event{{0, false, false, false, allOfWay}, {60 * s, false, false, false, restOfWay}, {120 * s, false, false, false, allOfWay}, {60 * s, false, false, false, restOfWay}}, true},
		"the distribution's has its time": {answering, []event{{0, false, false, false, allOfWay}, {60 * s, false, false, false, restOfWay}, {60 * s, false, false, false, restOfWay}, {60 * s, false, false, false, allOfWay}}, false},
		"at last the policies' is":        {answering, []event{{0, false, false, false, allOfWay}, {60 * s, false, false, false, restOfWay}, {120 * s, false, false, false, allOfWay}, {30 * s, true, false, false, allOfWay}}, false},
		"the next boot is a plain one":    {answering, []event{{0, false, false, false, allOfWay}, {60 * s, false, false, false, restOfWay}, {0, true, false, true, restOfWay}, {300 * s, false, false, false, restOfWay}}, true},
		"the unit restarts after it fell": {answering, []event{{0, false, false, false, allOfWay}, {60 * s, false, false, false, restOfWay}, {0, true, true, false, restOfWay}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := committedWay(t, test.before)
			model := kernel.NewModel(bare(t))
			k, clock := bootAt(t, model, dir)
			for n, e := range test.events {
				clock.SetTime(clock.Now().Add(e.after))
				if e.reboots {
					model = kernel.NewModel(bare(t))
				}
				if e.restarts || e.reboots {
					now := clock.Now()
					k, clock = bootAt(t, model, dir)
					clock.SetTime(now)
				}
				probe := silent
				if e.answers {
					probe = answering
				}
				_, err := k.Trial(t.Context(), probe)
				require.NoError(t, err)
				k.Heal()
				require.Equal(t, e.want, virtualLinks(t, model), "event %d", n)
			}
			assert.Equal(t, test.fallen, k.fallback("vlan") != "")
			if test.fallen {
				assertState(t, onlyBeside(t), model, "the rest is as after a plain boot")
				assert.Equal(t, "fell back to the distribution's configuration at boot: "+
					"no answer from default gateway (192.0.2.1 through br1: no ARP reply) within 1m0s", k.fallback("vlan"))
			}
		})
	}
}

func TestAFallBackHoldsWhereverItIsCut(t *testing.T) {
	silent := func(context.Context, []string, bool) map[string]error {
		return map[string]error{gateway: errors.New("silence")}
	}
	for _, boots := range []bool{false, true} {
		for at := 1; ; at++ {
			dir := committedWay(t, answering)
			node := &mortal{Node: kernel.NewModel(bare(t))}
			k, clock := bootAt(t, node, dir)
			_, err := k.Trial(t.Context(), silent)
			require.NoError(t, err)
			clock.SetTime(clock.Now().Add(DefaultBootDeadline))
			node.at, node.taken = at, 0
			died := dies(func() { _, _ = k.Trial(t.Context(), silent) })
			next := node.Node
			if boots {
				next = kernel.NewModel(bare(t))
			}
			k, _ = bootAt(t, next, dir)
			assertState(t, onlyBeside(t), next, fmt.Sprintf("cut before step %d, booted %t", at, boots))
			assert.True(t, k.fallen.Done)
			assert.NotEmpty(t, k.fallback("bond"))
			records, err := k.Journal.Records()
			require.NoError(t, err)
			assert.Len(t, records, 1)
			if !died {
				require.Greater(t, at, 3)
				break
			}
		}
	}
}

func TestAPolicyThatFellIsAppliedAnewOrForgotten(t *testing.T) {
	dir := committedWay(t, answering)
	model := kernel.NewModel(bare(t))
	k, clock := bootAt(t, model, dir)
	silent := func(context.Context, []string, bool) map[string]error {
		return map[string]error{gateway: errors.New("no")}
	}
	var held []string
	k.HoldLinks = func(links []string) error { held = links; return nil }
	_, err := k.Trial(t.Context(), silent)
	require.NoError(t, err)
	clock.SetTime(clock.Now().Add(DefaultBootDeadline))
	_, err = k.Trial(t.Context(), silent)
	require.NoError(t, err)
	assert.Equal(t, []string{"br3", "eth3"}, held, "the managers get the others")

	var events []string
	a := &Agent{keeper: k, options: Options{
		NodeName: "n1", Log: k.Log, Event: func(policy, _, reason, _ string) { events = append(events, policy+" "+reason) },
	}}
	a.tellFallen()
	assert.Equal(t, []string{"bond FellBackAtBoot", "stands FellBackAtBoot", "vlan FellBackAtBoot"}, events)
	for _, name := range []string{"bond", "vlan"} {
		p := Policy{Name: name, Generation: 1, Selected: true, Turn: 1}
		p.Status.PolicyGeneration = 1
		p.Status.Conditions = outcome(nil, "n1", Result{Generation: 1}, metav1.Now())
		again, _ := a.again(p)
		assert.True(t, again, "%s is Available and not on record", name)
	}
	require.NoError(t, a.dropFallen([]Policy{{Name: "bond", Selected: true}, {Name: "vlan", Selected: true}}))
	assert.Empty(t, k.fallback("stands"), "its policy is gone")
	assert.NotEmpty(t, k.fallback("bond"))

	// It is applied anew, and the agent dies before it has forgotten that the policy fell.
	require.NoError(t, k.Apply(t.Context(), wish(t, "bond", wayBond)))
	k, _ = bootAt(t, model, dir)
	assert.Empty(t, k.fallback("bond"))
	assert.NotEmpty(t, k.fallback("vlan"))
	assert.Contains(t, k.Records(), "bond")

	// The gateway does not answer any more where the network is fine: the next boot does not ask it.
	require.NoError(t, k.Apply(t.Context(), wish(t, "vlan", wayVLAN)))
	require.NoError(t, k.NoteWay(t.Context(), nodeAddresses(), silent))
	model = kernel.NewModel(bare(t))
	k, clock = bootAt(t, model, dir)
	for range 3 {
		ready, err := k.Trial(t.Context(), silent)
		require.NoError(t, err)
		assert.True(t, ready)
		clock.SetTime(clock.Now().Add(DefaultBootDeadline))
	}
	assert.Equal(t, "bond0 bond0.100 br3", virtualLinks(t, model))
}

func TestAnAgentThatRunsEndsTheTrialOfABoot(t *testing.T) {
	dir := committedWay(t, answering)
	model := kernel.NewModel(bare(t))
	silent := func(context.Context, []string, bool) map[string]error {
		return map[string]error{gateway: errors.New("no")}
	}
	k, _ := bootAt(t, model, dir)
	ready, err := k.Trial(t.Context(), silent)
	require.NoError(t, err)
	assert.False(t, ready, "others wait")
	k, _ = bootAt(t, model, dir)
	(&Agent{keeper: k}).tellFallen()
	k, clock := bootAt(t, model, dir) // the unit is restarted
	for range 2 {
		ready, err = k.Trial(t.Context(), silent)
		require.NoError(t, err)
		assert.True(t, ready)
		clock.SetTime(clock.Now().Add(DefaultBootDeadline))
	}
	assert.Equal(t, allOfWay, virtualLinks(t, model))
}

func TestAFallBackThatCannotBeNotedLeavesTheNodeAsItIs(t *testing.T) {
	dir := committedWay(t, answering)
	model := kernel.NewModel(bare(t))
	silent := func(context.Context, []string, bool) map[string]error {
		return map[string]error{gateway: errors.New("no")}
	}
	k, clock := bootAt(t, model, dir)
	_, err := k.Trial(t.Context(), silent)
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "fallen.json.new"), 0o700)) // where it would be written
	clock.SetTime(clock.Now().Add(DefaultBootDeadline))
	ready, err := k.Trial(t.Context(), silent)
	require.ErrorContains(t, err, "write journal")
	assert.True(t, ready, "nobody waits for a disk that is full")
	assert.Equal(t, allOfWay, virtualLinks(t, model))
	assert.Len(t, k.Records(), 4)
}

func TestTheDeadlineOfABootIsThePolicies(t *testing.T) {
	records := map[string]journal.Record{
		"a": {}, "b": {ProbeDeadline: 90 * time.Second}, "c": {ProbeDeadline: 5 * time.Second},
	}
	for name, test := range map[string]struct {
		keys []string
		want time.Duration
	}{
		"none says anything":     {[]string{"a"}, DefaultBootDeadline},
		"the longest counts":     {[]string{"a", "b", "c"}, 90 * time.Second},
		"a short one is allowed": {[]string{"c"}, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, test.want, bootDeadline(records, test.keys)) })
	}
}
