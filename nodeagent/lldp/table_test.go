// SPDX-License-Identifier: Apache-2.0

package lldp

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

func noon() time.Time { return time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC) }

// says is an announcement of a neighbour by that name.
func says(id, name string, ttl time.Duration) announcement {
	return announcement{id: id, ttl: ttl, items: []netstate.LLDPItem{{Type: tlvSystemName, SystemName: name}}}
}

// names are those of the neighbours in a table.
func names(t table) []string {
	list := []string{}
	for _, items := range t.neighbors() {
		list = append(list, items[0].SystemName)
	}
	return list
}

func TestTheTableBelievesNeighborsForAsLongAsTheySay(t *testing.T) {
	var known table
	hear := func(after time.Duration, a announcement) bool { return known.hear(noon().Add(after), a) }
	assert.True(t, known.wake().IsZero())
	assert.True(t, hear(0, says("b", "two", time.Minute)))
	assert.True(t, hear(time.Second, says("a", "one", time.Hour)))
	assert.Equal(t, []string{"one", "two"}, names(known), "in the order of their ids")
	assert.False(t, hear(30*time.Second, says("b", "two", time.Minute)), "the same again is no news")
	assert.Equal(t, noon().Add(90*time.Second), known.wake(), "but counts")
	assert.False(t, known.expire(noon().Add(89*time.Second)))
	assert.True(t, known.expire(noon().Add(90*time.Second)))
	assert.Equal(t, []string{"one"}, names(known))
	assert.True(t, hear(2*time.Minute, says("a", "another name", time.Hour)))
	assert.Equal(t, []string{"another name"}, names(known))
	assert.True(t, hear(2*time.Minute, says("a", "", 0)), "it says that it goes")
	assert.False(t, hear(2*time.Minute, says("a", "", 0)))
	assert.Empty(t, names(known))
	assert.False(t, known.clear())
	hear(0, says("b", "two", time.Minute))
	assert.True(t, known.clear())
}

func TestTheTableTakesSoManyNeighborsAndNoMore(t *testing.T) {
	var known table
	for n := range maxNeighbors {
		require.True(t, known.hear(noon(), says(fmt.Sprintf("%03d", n), "first", time.Minute)))
	}
	assert.False(t, known.hear(noon(), says("late", "late", time.Minute)))
	assert.True(t, known.hear(noon(), says("000", "news of one that is known", time.Minute)))
	assert.Len(t, known.neighbors(), maxNeighbors)
	known.expire(noon().Add(time.Minute))
	assert.True(t, known.hear(noon().Add(time.Minute), says("late", "late", time.Minute)))
}

func TestWhereWasListenedToIsKeptForTheBoot(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "new")
	s := store{folder, "one"}
	links, err := s.load()
	require.NoError(t, err)
	assert.Empty(t, links)
	require.NoError(t, s.save([]string{"eth0", "eth1"}))
	links, err = s.load()
	require.NoError(t, err)
	assert.Equal(t, []string{"eth0", "eth1"}, links)
	links, err = store{folder, "two"}.load()
	require.NoError(t, err)
	assert.Empty(t, links, "what a boot needs is in the records of policies")
}
