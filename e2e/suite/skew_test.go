// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAProgramCanBeBuiltToHaveASkewedClock(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	const text = `package main

import "time"

func main() { print(time.Now().Unix()) }
`
	require.NoError(t, os.WriteFile(source, []byte(text), 0o600))
	file, err := overlay(t.Context(), dir)
	require.NoError(t, err)
	program := filepath.Join(dir, "clock")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-overlay="+file, "-o", program, source).CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, ahead := range []int64{0, 600, -600} {
		command := exec.CommandContext(t.Context(), program)
		command.Env = append(os.Environ(), skewVariable+"="+strconv.FormatInt(ahead, 10))
		earliest := time.Now().Unix() + ahead
		out, err := command.CombinedOutput()
		require.NoError(t, err)
		shown, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
		require.NoError(t, err)
		assert.GreaterOrEqual(t, shown, earliest)
		assert.LessOrEqual(t, shown, time.Now().Unix()+ahead)
	}
}
