// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A module of one function, whose test notices one of its mutants.
func module(t *testing.T, list string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"go.mod":                    "module example.org/sum\n\ngo 1.26\n",
		"sum/sum.go":                "package sum\n\nfunc Sum(a, b int) int {\n\tif a == 12 {\n\t\ta = 12\n\t}\n\treturn a + b\n}\n",
		"sum/sum_test.go":           "package sum\n\nimport \"testing\"\n\nfunc TestSum(t *testing.T) {\n\tif Sum(1, 2) != 3 {\n\t\tt.Fatal()\n\t}\n}\n",
		"sum/testdata/mutants.yaml": list,
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	}
}

func TestRun(t *testing.T) {
	t.Setenv("GOFLAGS", "-mod=mod")
	for name, c := range map[string]struct {
		list, want, err string
		limit           time.Duration
	}{
		"a mutant that a test notices": {
			list: `[{name: it subtracts, file: sum/sum.go, old: a + b, new: a - b}]`,
			want: "noticed   it subtracts",
		},
		"a mutant that no test notices survives": {
			list: `[{name: twelve is thirteen, file: sum/sum.go, old: a = 12, new: a = 13}]`,
			want: "every test passes", err: "1 of 1 mutants survived",
		},
		"a mutant that makes the tests hang survives": {
			list: `[{name: it never ends, file: sum/sum.go, old: if a == 12, new: for b == 2}]`,
			want: "the tests hang", err: "1 of 1 mutants survived", limit: time.Second,
		},
		"a mutant that does not build proves nothing": {
			list: `[{name: it is text, file: sum/sum.go, old: return a + b, new: return ""}]`,
			want: "does not build", err: "1 of 1 mutants survived",
		},
		"a line that is not there any more": {
			list: `[{name: it multiplies, file: sum/sum.go, old: a * b, new: a}]`,
			want: `"a * b" stands 0 times in sum/sum.go, not once`, err: "1 of 1 mutants survived",
		},
		"a key that means nothing":            {list: `[{name: x, file: y, olds: z}]`, err: "unknown field"},
		"a list that is empty proves nothing": {list: `[]`, err: "no mutant of that name"},
	} {
		t.Run(name, func(t *testing.T) {
			module(t, c.list)
			var out strings.Builder
			err := run(t.Context(), Options{Roots: []string{"."}, Limit: cmp.Or(c.limit, 10*time.Minute)}, &out)
			if c.err == "" {
				require.NoError(t, err, out.String())
			} else {
				require.ErrorContains(t, err, c.err)
			}
			require.Contains(t, out.String(), c.want)
			require.NotContains(t, read(t, "sum/sum.go"), "13", "the file was touched")
		})
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// A line that has changed cannot be broken any more: the list goes with it.
func TestEveryMutantFitsTheCodeAsItIs(t *testing.T) {
	t.Chdir("../..")
	mutants, err := find(Options{Roots: []string{"."}})
	require.NoError(t, err)
	require.Greater(t, len(mutants), 100)
	for _, m := range mutants {
		text, err := os.ReadFile(m.File)
		require.NoError(t, err)
		_, err = m.apply(string(text))
		assert.NoError(t, err, m.Name)
	}
}
