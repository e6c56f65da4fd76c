// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

func open(t *testing.T, dir string) *Journal {
	t.Helper()
	j, err := Open(dir)
	require.NoError(t, err)
	return j
}

// bridge returns a record about a bridge without ports.
func bridge(policy, name string) Record {
	return Record{Policy: policy, Generation: 3, Heal: true, Desired: State{Interfaces: []netstate.Interface{
		{
			Name:   name,
			Type:   netstate.TypeBridge,
			State:  netstate.StateUp,
			Bridge: &netstate.Bridge{Port: []netstate.BridgePort{}},
		},
	}}}
}

func TestARecordIsReadAsItWasKept(t *testing.T) {
	dir := t.TempDir()
	b, a := bridge("b", "br1"), bridge("a", "br0")
	require.NoError(t, open(t, dir).Keep(b))
	require.NoError(t, open(t, dir).Keep(a))
	records, err := open(t, dir).Records()
	require.NoError(t, err)
	assert.Equal(t, []Record{a, b}, records, "by name; an empty port list is not the same as none")
	require.NoError(t, open(t, dir).Drop("a"))
	require.NoError(t, open(t, dir).Drop("a"), "dropped before")
	records, err = open(t, dir).Records()
	require.NoError(t, err)
	assert.Equal(t, []Record{b}, records)
}

func TestAChangeIsPendingUntilItIsCommittedOrAbandoned(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*Journal, Change) error
		want []string
	}{
		"committed":           {func(j *Journal, c Change) error { return j.Commit(c) }, []string{"new", "old"}},
		"abandoned":           {func(j *Journal, _ Change) error { return j.Abandon() }, []string{"old"}},
		"committed a removal": {func(j *Journal, c Change) error { c.Removal, c.Policy = true, "old"; return j.Commit(c) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, open(t, dir).Keep(bridge("old", "br0")))
			change := Change{Record: bridge("new", "br1"), Wishes: []State{bridge("new", "br1").Desired}}
			require.NoError(t, open(t, dir).Begin(change))
			pending, err := open(t, dir).Pending()
			require.NoError(t, err)
			assert.Equal(t, &change, pending)

			require.NoError(t, c.end(open(t, dir), change))
			pending, err = open(t, dir).Pending()
			require.NoError(t, err)
			assert.Nil(t, pending)
			var policies []string
			records, err := open(t, dir).Records()
			require.NoError(t, err)
			for _, r := range records {
				policies = append(policies, r.Policy)
			}
			assert.Equal(t, c.want, policies)
			require.NoError(t, open(t, dir).Drop(change.Key()))
			records, err = open(t, dir).Records()
			require.NoError(t, err)
			for _, r := range records {
				assert.NotEqual(t, change.Key(), r.Key(), "what was committed is found by its key")
			}
		})
	}
}

func TestWhatACrashLeftHalfWrittenIsNotThere(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	require.NoError(t, j.Keep(bridge("p", "br0")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "change.json.new"), []byte(`{"policy": "p", "ste`), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "policies", "q.json.new"), []byte(`{`), 0o600))
	pending, err := open(t, dir).Pending()
	require.NoError(t, err)
	assert.Nil(t, pending)
	records, err := open(t, dir).Records()
	require.NoError(t, err)
	assert.Equal(t, []Record{bridge("p", "br0")}, records)
}

func TestADamagedRecordDoesNotTakeTheOthersWithIt(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	require.NoError(t, j.Keep(bridge("p", "br0")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "policies", "bad.json"), []byte(`{`), 0o600))
	records, err := j.Records()
	require.ErrorContains(t, err, "bad.json")
	assert.Equal(t, []Record{bridge("p", "br0")}, records)
}

func TestEarlierWishes(t *testing.T) {
	one, two, three := bridge("p", "br1").Desired, bridge("p", "br2").Desired, bridge("p", "br3").Desired
	for name, c := range map[string]struct {
		earlier []State
		desired State
		want    []State
	}{
		"another one is the first":        {nil, two, []State{one}},
		"the same again is none":          {nil, one, nil},
		"the newest comes first":          {[]State{two}, three, []State{one, two}},
		"what is said twice is kept once": {[]State{two, one}, three, []State{one, two}},
		"back to an earlier one":          {[]State{two}, two, []State{one}},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, Earlier(Record{Desired: one, Earlier: c.earlier}, c.desired))
		})
	}
}

func TestAPolicyThatHasTheNameOfAnotherIsAnother(t *testing.T) {
	j := open(t, t.TempDir())
	first, second, other := bridge("p", "br0"), bridge("p", "br1"), bridge("o", "br2")
	first.UID, second.UID, other.UID = "b", "a", "c"
	for _, r := range []Record{first, second, other} {
		require.NoError(t, j.Keep(r))
	}
	records, err := j.Records()
	require.NoError(t, err)
	assert.Equal(t, []Record{other, second, first}, records, "by name, whatever their files are called")
	require.NoError(t, j.Drop("b"))
	records, err = j.Records()
	require.NoError(t, err)
	assert.Equal(t, []Record{other, second}, records)
}

// A change that is set aside is no longer pending, and what the policy was committed to before stays on record.
func TestAChangeIsSetAside(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	require.NoError(t, j.Keep(bridge("p", "br0")))
	require.NoError(t, j.Begin(Change{Record: bridge("p", "br1"), Failures: 5}))
	require.NoError(t, j.SetAside(Change{Record: bridge("p", "br1")}))
	half := filepath.Join(dir, "aside", "q.json.new")
	require.NoError(t, os.WriteFile(half, []byte(`{`), 0o600), "as a crash leaves it")
	pending, err := j.Pending()
	require.NoError(t, err)
	assert.Nil(t, pending)
	aside, err := j.Aside()
	require.NoError(t, err)
	assert.Equal(t, []string{"p"}, aside)
	records, err := j.Records()
	require.NoError(t, err)
	assert.Equal(t, []Record{bridge("p", "br0")}, records)
	require.NoError(t, j.DropAside("p"))
	aside, err = j.Aside()
	require.NoError(t, err)
	assert.Empty(t, aside)
}

func TestWhatIsNotedIsReadAndNothingNotedIsNothing(t *testing.T) {
	dir := t.TempDir()
	boot, err := open(t, dir).Boot()
	require.NoError(t, err)
	assert.Zero(t, boot)
	lost, err := open(t, dir).Lost()
	require.NoError(t, err)
	assert.Empty(t, lost)
	require.NoError(t, open(t, dir).NoteBoot(Boot{ID: "one", Left: []string{"p"}}))
	require.NoError(t, open(t, dir).NoteLost(map[string]int64{"p": 3}))
	boot, err = open(t, dir).Boot()
	require.NoError(t, err)
	assert.Equal(t, Boot{ID: "one", Left: []string{"p"}}, boot)
	lost, err = open(t, dir).Lost()
	require.NoError(t, err)
	assert.Equal(t, map[string]int64{"p": 3}, lost)
	for _, damaged := range []string{"boot.json", "lost.json", "change.json"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, damaged), []byte(`{`), 0o600))
	}
	_, err = open(t, dir).Boot()
	require.ErrorContains(t, err, "boot.json")
	_, err = open(t, dir).Lost()
	require.ErrorContains(t, err, "lost.json")
	_, err = open(t, dir).Pending()
	require.ErrorContains(t, err, "change.json")
}

// What cannot be written leaves what was there: nothing is written into a file that is in use.
func TestAFailedWriteLosesNothing(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	require.NoError(t, j.Keep(bridge("p", "br0")))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "policies", "p.json.new"), 0o700))
	require.ErrorContains(t, j.Keep(bridge("p", "br1")), "write journal")
	records, err := j.Records()
	require.NoError(t, err)
	assert.Equal(t, []Record{bridge("p", "br0")}, records)
}

// What is written to /dev/null cannot be flushed: fsync(2) says EINVAL of it.
func TestWhatCannotBeFlushedDoesNotTakeThePlaceOfWhatThereWas(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	before := Change{Record: bridge("p", "br0")}
	require.NoError(t, j.Begin(before))
	require.NoError(t, os.Symlink(os.DevNull, filepath.Join(dir, "change.json.new")))
	require.ErrorContains(t, j.Begin(Change{Record: bridge("p", "br1")}), "write journal")
	pending, err := j.Pending()
	require.NoError(t, err)
	assert.Equal(t, &before, pending)
}
