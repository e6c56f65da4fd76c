// SPDX-License-Identifier: Apache-2.0

package cluster

import "strings"

// Commands returns the lines of all shell blocks of a Markdown text, without comments; lines that end with \ are joined
// with the next.
func Commands(markdown string) (all []string) {
	inside := false
	joined := ""
	for line := range strings.Lines(markdown) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "```") {
			inside = line == "```bash" || line == "```sh"
			continue
		}
		if !inside {
			continue
		}
		if head, goesOn := strings.CutSuffix(line, `\`); goesOn {
			joined += head
			continue
		}
		command, _, _ := strings.Cut(joined+line, " #")
		joined = ""
		if command = strings.TrimSpace(command); command != "" && !strings.HasPrefix(command, "#") {
			all = append(all, command)
		}
	}
	return all
}
