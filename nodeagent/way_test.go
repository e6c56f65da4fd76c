// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

func TestWhatANodeReachesOthersByIsAskedOnce(t *testing.T) {
	var asked [][]string
	answers := map[string]error{gateway: errors.New("no")}
	probe := func(_ context.Context, links []string, _ bool) map[string]error {
		asked = append(asked, links)
		return answers
	}
	dir := committedWay(t, probe)
	model := kernel.NewModel(bare(t))
	k, clock := bootAt(t, model, dir)
	note := func() { require.NoError(t, k.NoteWay(t.Context(), nodeAddresses(), probe)) }
	want := []string{"bond0", "bond0.100", "eth1", "eth2"}
	assert.Equal(t, [][]string{want}, asked)
	answers = map[string]error{gateway: nil}
	note()
	note()
	assert.Len(t, asked, 2, "until there was an answer")
	clock.SetTime(clock.Now().Add(time.Hour))
	note()
	assert.Len(t, asked, 2)
	next := wish(t, "vlan", wayVLAN)
	next.Generation = 2
	require.NoError(t, k.Apply(t.Context(), next))
	note()
	assert.Len(t, asked, 3, "and again for another generation")
	way, err := k.Journal.Way()
	require.NoError(t, err)
	assert.Equal(t, journal.Way{Policies: map[string]int64{"bond": 1, "vlan": 2}, Answered: []string{gateway}}, way)
}
