// SPDX-License-Identifier: Apache-2.0

// Package docs checks what the documents say of the code.
package docs

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/bridgehead-dev/bridgehead/"

// free are folders whose programs may import everything.
func free() []string { return []string{"cmd", "e2e", "release", "docs"} }

func TestTheArrowsOfTheArchitectureAreThoseOfTheCode(t *testing.T) {
	drawn := readArrows(t)
	found := map[string]map[string]bool{}
	const format = `{{.ImportPath}} {{join .Imports " "}}`
	list, err := exec.CommandContext(t.Context(), "go", "list", "-f", format, module+"...").Output()
	require.NoError(t, err)
	for line := range strings.Lines(string(list)) {
		paths := strings.Fields(line)
		from := rowOf(drawn, strings.TrimPrefix(paths[0], module))
		if first, _, _ := strings.Cut(strings.TrimPrefix(paths[0], module), "/"); slices.Contains(free(), first) {
			continue
		}
		require.NotEmpty(t, from, "%s has a row", paths[0])
		if found[from] == nil {
			found[from] = map[string]bool{}
		}
		for _, path := range paths[1:] {
			ours, is := strings.CutPrefix(path, module)
			if to := rowOf(drawn, ours); is && to != from {
				found[from][to] = true
			}
		}
	}
	for from, to := range found {
		for name := range to {
			assert.True(t, drawn[from][name], "%s imports %s, and has no such arrow", from, name)
		}
	}
	for from, to := range drawn {
		for name := range to {
			assert.True(t, found[from][name], "%s has an arrow to %s, which it does not import", from, name)
		}
	}
}

// readArrows returns the table of the document: the packages that a package imports.
func readArrows(t *testing.T) map[string]map[string]bool {
	t.Helper()
	text, err := os.ReadFile("architecture.md")
	require.NoError(t, err)
	_, table, ok := strings.Cut(string(text), "| package | imports |\n|---|---|\n")
	require.True(t, ok)
	names := regexp.MustCompile("`([a-z/]+)`")
	arrows := map[string]map[string]bool{}
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(line, "|")
		for _, from := range names.FindAllStringSubmatch(cells[1], -1) {
			arrows[from[1]] = map[string]bool{}
			for _, to := range names.FindAllStringSubmatch(cells[2], -1) {
				arrows[from[1]][to[1]] = true
			}
		}
	}
	return arrows
}

// rowOf returns the longest name in the table that a package has or is below.
func rowOf(arrows map[string]map[string]bool, name string) string {
	var row string
	for known := range arrows {
		if (name == known || strings.HasPrefix(name, known+"/")) && len(known) > len(row) {
			row = known
		}
	}
	return row
}
