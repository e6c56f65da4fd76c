// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhatANodeGaveUpIsReadUntilNothingIsGivenUp(t *testing.T) {
	dir := t.TempDir()
	way, err := open(t, dir).Way()
	require.NoError(t, err)
	assert.Zero(t, way)
	fallen, err := open(t, dir).Fallen()
	require.NoError(t, err)
	assert.Zero(t, fallen)

	way = Way{Policies: map[string]int64{"p": 3}, Answered: []string{"default gateway"}}
	fallen = Fallen{Boot: "two", Cause: "no answer", Way: way, Records: []Record{bridge("p", "br0")}}
	require.NoError(t, open(t, dir).NoteWay(way))
	require.NoError(t, open(t, dir).NoteFallen(fallen))
	readWay, err := open(t, dir).Way()
	require.NoError(t, err)
	assert.Equal(t, way, readWay)
	readFallen, err := open(t, dir).Fallen()
	require.NoError(t, err)
	assert.Equal(t, fallen, readFallen)

	require.NoError(t, open(t, dir).NoteFallen(Fallen{}))
	readFallen, err = open(t, dir).Fallen()
	require.NoError(t, err)
	assert.Zero(t, readFallen)
}

func TestADamagedNoteOfTheWayIsAnError(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	for _, damaged := range []string{"way.json", "fallen.json"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, damaged), []byte(`{`), 0o600))
	}
	_, err := j.Way()
	require.ErrorContains(t, err, "way.json")
	_, err = j.Fallen()
	require.ErrorContains(t, err, "fallen.json")
}
