// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/webhooks/corpus"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

func applyPatch(original, patch []byte) ([]byte, error) {
	decoded, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return nil, err
	}
	return decoded.Apply(original)
}

func readCorpus(t testing.TB) map[string]corpus.Case {
	t.Helper()
	cases, err := corpus.Read(filepath.FromSlash("testdata/reviews"))
	require.NoError(t, err)
	return cases
}

func TestReviewsOfTheCorpus(t *testing.T) {
	for name, c := range readCorpus(t) {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.of(c)
			before := w.holds()
			body, err := c.Review("the uid")
			require.NoError(t, err)

			response := w.post(body)

			assert.EqualValues(t, "the uid", response.UID)
			require.Equal(t, c.Want.Allowed, response.Allowed, "%v", response.Result)
			if !response.Allowed {
				checkRefusal(t, c, response.Result.Code, response.Result.Message)
				var fields []string
				if response.Result.Details != nil {
					for _, cause := range response.Result.Details.Causes {
						fields = append(fields, cause.Field)
					}
				}
				assert.Equal(t, c.Want.Fields, fields)
			}
			set := changes(t, response.Patch)
			checkFragments(t, c.Want.Warnings, response.Warnings)
			checkNotes(t, c.Want.Notes, w.log.String())
			assigned := checkPatch(t, c, set)
			checkRestUntouched(t, c.Object, patched(t, c.Object, response), slices.Sorted(maps.Keys(set)))

			w.away.Store(false)
			w.flush()
			assert.Equal(t, after(c, before, assigned), w.holds(), "who holds what")
		})
	}
}

func checkRefusal(t *testing.T, c corpus.Case, code int32, message string) {
	t.Helper()
	assert.Equal(t, c.Want.Code, code, message)
	for _, fragment := range c.Want.Message {
		assert.Contains(t, message, fragment)
	}
	for _, field := range c.Want.Fields {
		assert.Contains(t, message, field+": ")
	}
}

func checkFragments(t *testing.T, want, got []string) {
	t.Helper()
	require.Len(t, got, len(want), "%q", got)
	for i := range want {
		assert.Contains(t, got[i], want[i])
		assert.LessOrEqual(t, len(got[i]), 120)
	}
}

func checkNotes(t *testing.T, want []string, log string) {
	t.Helper()
	assert.Equal(t, 1, strings.Count(strings.TrimSpace(log), "\n")+1, "one line a decision: %s", log)
	assert.Equal(t, len(want) > 0, strings.Contains(log, `"notes"`), log)
	for _, note := range want {
		assert.Contains(t, log, note)
	}
}

// checkPatch checks the values of a patch and returns the addresses that were chosen for it.
func checkPatch(t *testing.T, c corpus.Case, set map[string]any) []string {
	t.Helper()
	assert.ElementsMatch(t, slices.Collect(maps.Keys(c.Want.Patch)), slices.Collect(maps.Keys(set)), "what is patched")
	var assigned []string
	for pointer, want := range c.Want.Patch {
		if want != corpus.Any {
			assert.Equal(t, want, set[pointer])
		}
		if !strings.HasSuffix(pointer, "/macAddress") {
			continue
		}
		text, _ := set[pointer].(string)
		m, err := macpool.ParseInterfaceMAC(text)
		require.NoError(t, err)
		assert.Equal(t, m.String(), text)
		assert.NotContains(t, assigned, text)
		if want == corpus.Any || c.Operation == "CREATE" {
			assigned = append(assigned, text)
		}
	}
	return assigned
}

// checkRestUntouched checks that two objects are the same but for what JSON pointers name: to the byte, so that numbers
// are spelt as they were and keys are in their order.
func checkRestUntouched(t *testing.T, before, after []byte, pointers []string) {
	t.Helper()
	if len(before) == 0 {
		return
	}
	undo := Patch{}
	for _, p := range pointers {
		undo.Set(p, nil)
	}
	text, err := json.Marshal(undo)
	require.NoError(t, err)
	restored, err := applyPatch(after, text)
	require.NoError(t, err)
	original, err := applyPatch(before, text)
	require.NoError(t, err)
	assert.Equal(t, string(original), string(restored))
}

// after returns who holds what once a case is answered.
func after(c corpus.Case, before map[string][]string, assigned []string) map[string][]string {
	want := maps.Clone(before)
	if !c.Want.Allowed || c.DryRun {
		return want
	}
	for _, m := range assigned {
		want[m] = []string{c.Home + "/" + c.Name()}
	}
	maps.Copy(want, c.Want.Holds)
	return want
}

// A file has addresses of its own so that the cases can be put to one cluster.
func TestNoTwoReviewsHaveAnAddressInCommon(t *testing.T) {
	owner := map[macpool.MAC]string{}
	for name, c := range readCorpus(t) {
		own := map[macpool.MAC]bool{}
		for _, h := range c.Ledger {
			m, err := macpool.ParseMAC(h.MAC)
			require.NoError(t, err)
			own[m] = true
		}
		for _, raw := range []json.RawMessage{c.Object, c.OldObject} {
			vm, _ := readVM(raw)
			for _, n := range vm.interfaces {
				if n == nil {
					continue
				}
				if m, err := macpool.ParseInterfaceMAC(n.MACAddress); err == nil {
					own[m] = true
				}
			}
		}
		for m := range own {
			assert.NotContains(t, owner, m, "%s and %s", name, owner[m])
			owner[m] = name
		}
	}
}
