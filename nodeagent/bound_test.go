// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	"github.com/bridgehead-dev/bridgehead/netstate"
)

// crowded returns a node with many links of pods, VLANs and routes.
func crowded(tb testing.TB, many int) netstate.State {
	tb.Helper()
	s := bare(tb)
	for n := range many {
		s.Interfaces = append(s.Interfaces,
			netstate.Interface{Name: fmt.Sprintf("a-veth%d", n), Type: netstate.TypeVeth, State: netstate.StateIgnore},
			netstate.Interface{Name: fmt.Sprintf("b-vlan%d", n), Type: netstate.TypeVLAN, State: netstate.StateUp})
		s.Routes.Running = append(s.Routes.Running, netstate.Route{
			Destination: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 8), byte(n), 0}), 24), NextHopInterface: "eth0",
		})
	}
	return s
}

func TestAStateIsShownWholeIfItCanBeStored(t *testing.T) {
	text, leftOut, err := bounded(crowded(t, 10), maxStateSize)
	require.NoError(t, err)
	assert.Empty(t, leftOut)
	whole, err := json.Marshal(crowded(t, 10))
	require.NoError(t, err)
	assert.JSONEq(t, string(whole), string(text))
}

func TestAStateThatIsTooLongSaysWhatIsLeftOut(t *testing.T) {
	const limit = 16 << 10
	text, leftOut, err := bounded(crowded(t, 500), limit)
	require.NoError(t, err)
	assert.LessOrEqual(t, len(text), limit)
	assert.Greater(t, len(text), limit/2)
	assert.Regexp(t, `^too long to be stored completely; left out: \d+ of 100\d interfaces, \d+ of 50\d running routes$`, leftOut)
	var shown struct {
		Interfaces []struct{ Name, State string }
	}
	require.NoError(t, json.Unmarshal(text, &shown))
	names := map[string]bool{}
	for _, i := range shown.Interfaces {
		names[i.Name] = true
		assert.NotEqual(t, "ignore", i.State, "links of pods go first")
	}
	for _, link := range []string{"eth0", "eth1", "eth2", "eth3"} {
		assert.True(t, names[link], link)
	}
}

func TestWhatNeighborsSayIsLeftOutFirst(t *testing.T) {
	chatty := func(many int) netstate.State {
		s := crowded(t, many)
		said := [][]netstate.LLDPItem{{{Type: 6, SystemDescription: strings.Repeat("x", 16<<10)}}}
		s.Interfaces[0].LLDP = &netstate.LLDP{Enabled: new(true), Neighbors: said}
		return s
	}
	for want, many := range map[string]int{
		`^too long to be stored completely; left out: neighbors$`:                              1,
		`^too long to be stored completely; left out: neighbors, \d+ of 100\d interfaces, \d+`: 500,
	} {
		text, leftOut, err := bounded(chatty(many), 16<<10)
		require.NoError(t, err)
		assert.LessOrEqual(t, len(text), 16<<10)
		assert.Regexp(t, want, leftOut)
		assert.NotContains(t, string(text), "xxx")
		assert.Contains(t, string(text), `"lldp":{"enabled":true}`)
	}
}

func TestANodeStateTellsThatItIsNotWhole(t *testing.T) {
	crowd := snapshot{state: crowded(t, 20_000)}
	status, _, err := new(comparer).nodeState(nmstate.NodeStateStatus{}, crowd, "v1", metav1.Time{})
	require.NoError(t, err)
	assert.LessOrEqual(t, len(status.CurrentState.Raw), maxStateSize)
	assert.Contains(t, condition(t, status.Conditions, nmstate.NodeStateAvailable), "too long to be stored completely")
}
