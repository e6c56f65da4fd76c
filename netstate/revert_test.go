// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// A revertCase is one file of testdata/reverts: a node, a wish, and the wish that undoes it. All three are states.
type revertCase struct {
	Current json.RawMessage `json:"current"`
	Desired json.RawMessage `json:"desired"`
	Revert  json.RawMessage `json:"revert"`
}

func TestRevert(t *testing.T) {
	files, err := filepath.Glob("testdata/reverts/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			var c revertCase
			require.NoError(t, yaml.UnmarshalStrict(text, &c))
			testRevert(t, c)
		})
	}
}

func testRevert(t *testing.T, c revertCase) {
	current, desired := parse(t, string(c.Current)).complete(), parse(t, string(c.Desired))
	steps, err := Plan(current, desired)
	require.NoError(t, err)
	revert := Revert(current, desired)
	wantSameText(t, "revert", revert, parse(t, string(c.Revert)))
	after := apply(t, current, steps)
	undo := PlanBack(Own(after, desired), revert)
	require.NoError(t, err)
	wantEqual(t, "reverted", apply(t, after, undo), current)
}

// Who taught a route does not put it in the place of one that was configured meanwhile.
func TestAStaticRouteThatTookThePlaceOfALearntOneIsUndone(t *testing.T) {
	current := parse(t, `
interfaces:
- {name: eth1, type: ethernet, state: up, ipv4: {enabled: true, address: [{ip: 192.0.2.1, prefix-length: 24}]}}
`).complete()
	route := Route{
		Destination: netip.MustParsePrefix("0.0.0.0/0"), NextHopInterface: "eth1",
		NextHopAddress: netip.MustParseAddr("192.0.2.254"), Metric: new(100),
	}
	learnt := route
	learnt.Protocol = 16 // RTPROT_DHCP
	current.Routes.Running = []Route{learnt}
	desired := State{Routes: Routes{Config: []Route{route}}}

	steps, err := Plan(current, desired)
	require.NoError(t, err)
	after := apply(t, current, steps)
	require.Len(t, after.Routes.Config, 1, "the route is configured")
	undone := apply(t, after, PlanBack(Own(after, desired), Revert(current, desired)))

	assert.Empty(t, undone.Routes.Config)
}
