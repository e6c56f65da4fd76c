// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// skewVariable says to a program built with a skewed clock how many seconds that is ahead.
const skewVariable = "TEST_CLOCK_AHEAD"

// skewedNow takes the place of the first line of time.Now. The time that has gone by, which is what timers and
// durations are measured with, stays as it is: so do clocks of machines differ.
const (
	trueNow   = "\tsec, nsec, mono := runtimeNow()\n"
	skewedNow = trueNow + "\tsec += testClockAhead\n"
	skewOf    = `
// testClockAhead is how many seconds Now is ahead.
var testClockAhead = func() (ahead int64) {
	text, _ := syscall.Getenv("` + skewVariable + `")
	sign := int64(1)
	for _, c := range text {
		if c == '-' {
			sign = -1
			continue
		}
		ahead = 10*ahead + int64(c-'0')
	}
	return sign * ahead
}()
`
)

// overlay writes a copy of Go's package time whose Now can be skewed, and returns the file that has "go build -overlay"
// use it. Linux has no namespace for the time of day, and the program itself is not to have such a switch.
func overlay(ctx context.Context, dir string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("ask where Go is: %w", err)
	}
	original := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	text, err := os.ReadFile(original)
	if err != nil {
		return "", fmt.Errorf("read package time: %w", err)
	}
	skewed := strings.Replace(string(text), "func Now() Time {\n"+trueNow, "func Now() Time {\n"+skewedNow, 1)
	if skewed == string(text) {
		return "", fmt.Errorf("skew the clock: time.Now in %s begins otherwise than it did", original)
	}
	imports := "import (\n"
	if !strings.Contains(skewed, imports) {
		return "", fmt.Errorf("skew the clock: %s imports otherwise than it did", original)
	}
	skewed = strings.Replace(skewed, imports, imports+"\t\"syscall\"\n", 1) + skewOf
	changed := filepath.Join(dir, "time.go")
	replacements, err := json.Marshal(map[string]map[string]string{"Replace": {original: changed}})
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "overlay.json")
	for name, content := range map[string][]byte{changed: []byte(skewed), file: replacements} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			return "", fmt.Errorf("write overlay: %w", err)
		}
	}
	return file, nil
}

// skewOfReplica returns by how much the clock of the n-th replica is ahead: they take turns.
func (o Options) skewOfReplica(n int) time.Duration {
	if len(o.Skews) == 0 {
		return 0
	}
	return o.Skews[(n-1)%len(o.Skews)]
}
