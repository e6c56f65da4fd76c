// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"cmp"
	"encoding/json"
	"net/netip"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// A nodeCase is something that the kernel tells apart in its own way. It runs on a model and on a kernel, both of which
// start with NICs and nothing that is configured.
type nodeCase struct {
	// Before are policies that are applied first.
	Before []json.RawMessage `json:"before"`
	// Learnt are routes that a DHCP client or a router has taught by then.
	Learnt  []json.RawMessage `json:"learnt"`
	Desired json.RawMessage   `json:"desired"`
	// Refused is why there is no plan, for what cannot be.
	Refused string `json:"refused"`
	// Routes are those with a destination in 203.0.113.0/24 or 2001:db8:203::/48 afterwards.
	Routes []string `json:"routes"`
	// Tokens are those of links afterwards.
	Tokens map[string]string `json:"tokens"`
	// Configured says that none of them is learnt.
	Configured bool `json:"configured"`
}

func loadCases(t *testing.T) map[string]nodeCase {
	t.Helper()
	text, err := os.ReadFile("testdata/cases.yaml")
	require.NoError(t, err)
	var cases map[string]nodeCase
	require.NoError(t, yaml.UnmarshalStrict(text, &cases))
	return cases
}

// everyCase runs the cases on a node, each planned, applied, read back, and undone.
func everyCase(t *testing.T, node Node) {
	for sentence, c := range loadCases(t) {
		t.Run(sentence, func(t *testing.T) { tryCase(t, node, c) })
	}
}

func tryCase(t *testing.T, node Node, c nodeCase) {
	bare := read(t, node)
	var done []netstate.Step
	t.Cleanup(func() {
		require.NoError(t, Undo(node, done), netstate.Format(done))
		same(t, node, bare, "undone", done)
	})
	take := func(steps []netstate.Step) {
		require.NoError(t, Apply(node, steps), netstate.Format(steps))
		done = append(done, steps...)
	}
	for _, text := range c.Before {
		steps, err := netstate.Plan(read(t, node), parsed(t, text))
		require.NoError(t, err)
		take(steps)
	}
	for _, text := range c.Learnt {
		for _, route := range parsed(t, text).Routes.Config {
			route.Protocol, route.TableID = 16, cmp.Or(route.TableID, new(netstate.TableMain))
			take([]netstate.Step{{Kind: netstate.StepRoute, Link: route.NextHopInterface, To: netstate.Value{Route: &route}}})
		}
	}
	start, desired := read(t, node), parsed(t, c.Desired)
	steps, err := netstate.Plan(start, desired)
	if c.Refused != "" {
		require.ErrorContains(t, err, c.Refused)
		return
	}
	require.NoError(t, err)
	take(steps)
	reached := read(t, node)
	rest, err := netstate.Plan(reached, desired)
	require.NoError(t, err)
	assert.Empty(t, netstate.Format(rest), "left to do")
	assert.Equal(t, c.Routes, routesOf(reached))
	assert.Equal(t, c.Tokens, tokensOf(reached))
	for _, route := range reached.Routes.Running {
		assert.False(t, c.Configured && route.Learnt(), "%s is still a learnt one", route)
	}
}

func parsed(t *testing.T, text json.RawMessage) netstate.State {
	t.Helper()
	s, errs := netstate.Parse(text)
	require.Empty(t, errs)
	return s
}

// routesOf returns the routes that cases are about, as text.
func routesOf(s netstate.State) []string {
	var texts []string
	networks := []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8:203::/48")}
	for _, route := range s.Routes.Running {
		for _, network := range networks {
			if network.Contains(route.Destination.Addr()) {
				texts = append(texts, route.String())
			}
		}
	}
	return texts
}

// tokensOf returns the tokens of IPv6 by their links, nil for none.
func tokensOf(s netstate.State) map[string]string {
	var tokens map[string]string
	for _, i := range s.Interfaces {
		if i.IPv6.Token == nil {
			continue
		}
		if tokens == nil {
			tokens = map[string]string{}
		}
		tokens[i.Name] = *i.IPv6.Token
	}
	return tokens
}

func TestCasesOnTheModel(t *testing.T) { everyCase(t, NewModel(loadStates(t)["01-bare"])) }
