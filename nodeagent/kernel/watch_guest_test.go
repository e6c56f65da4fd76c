// SPDX-License-Identifier: Apache-2.0

//go:build guest

package kernel

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// dummy returns a step that makes a link.
func dummy(name string) netstate.Step {
	return netstate.Step{Kind: netstate.StepLink, Link: name, To: netstate.Value{Link: &netstate.Interface{
		Name: name, Type: netstate.TypeDummy, State: netstate.StateUp}}}
}

// until receives changes until one satisfies a condition.
func until(t *testing.T, changes <-chan Change, is func(Change) bool) Change {
	t.Helper()
	for {
		select {
		case c, open := <-changes:
			require.True(t, open, "the subscription ended")
			if is(c) {
				return c
			}
		case <-t.Context().Done():
			t.Fatal("the change did not come")
		}
	}
}

func TestWatchTellsWhatChanged(t *testing.T) {
	k := openGuest(t)
	changes, err := k.Watch(t.Context())
	require.NoError(t, err)
	address := netstate.Step{Kind: netstate.StepAddress, Link: "watched", To: netstate.Value{Address: &netstate.Address{
		IP: netip.MustParseAddr("203.0.113.5"), PrefixLength: 24}}}
	route := netstate.Step{Kind: netstate.StepRoute, Link: "watched", To: netstate.Value{Route: &netstate.Route{
		Destination: netip.MustParsePrefix("10.9.0.0/16"), NextHopInterface: "watched", TableID: new(254), Metric: new(0)}}}
	rule := netstate.Step{Kind: netstate.StepRule, To: netstate.Value{Rule: &netstate.RouteRule{
		Priority: new(77), RouteTable: new(100), Family: new("ipv4")}}}
	tests := []struct {
		step netstate.Step
		is   func(Change) bool
	}{
		{dummy("watched"), func(c Change) bool { return c.Links["watched"] }},
		{address, func(c Change) bool { return c.Addresses }},
		{route, func(c Change) bool { return c.Routes }},
		{rule, func(c Change) bool { return c.Rules }},
		{rule.Inverse(), func(c Change) bool { return c.Rules }},
		{dummy("watched").Inverse(), func(c Change) bool { return c.Links["watched"] }},
	}
	for _, test := range tests {
		require.NoError(t, k.Do(test.step))
		until(t, changes, test.is)
	}
}

func TestWatchMergesWhatNobodyReceives(t *testing.T) {
	k := openGuest(t)
	changes, err := k.Watch(t.Context())
	require.NoError(t, err)
	seen := map[string]bool{}
	for n := range 30 {
		step := dummy(fmt.Sprintf("burst%d", n))
		require.NoError(t, k.Do(step))
		t.Cleanup(func() { assert.NoError(t, k.Do(step.Inverse())) })
	}
	received := 0
	until(t, changes, func(c Change) bool {
		received++
		for name := range c.Links {
			seen[name] = true
		}
		return len(seen) >= 30
	})
	assert.Less(t, received, 20, "60 notifications and more are few changes")
}

func TestWatchEndsWithItsContext(t *testing.T) {
	k := openGuest(t)
	ctx, cancel := context.WithCancel(t.Context())
	changes, err := k.Watch(ctx)
	require.NoError(t, err)
	cancel()
	for range changes {
	}
	require.NoError(t, k.Do(dummy("after")))
	require.NoError(t, k.Do(dummy("after").Inverse()))
}
