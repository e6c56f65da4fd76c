// SPDX-License-Identifier: Apache-2.0

package tell

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

func TestNotesAreAsShortAsEventsAre(t *testing.T) {
	for name, note := range map[string]string{
		"short":              "fell back",
		"as long as may be":  strings.Repeat("x", maxNote),
		"too long":           strings.Repeat("x", maxNote+1),
		"cut inside a rune":  strings.Repeat("…", maxNote),
		"cut inside another": "x" + strings.Repeat("…", maxNote),
	} {
		t.Run(name, func(t *testing.T) {
			text := short(note)
			assert.LessOrEqual(t, len(text), maxNote)
			assert.True(t, utf8.ValidString(text))
			if len(note) <= maxNote {
				assert.Equal(t, note, text)
				return
			}
			assert.Greater(t, len(text), maxNote-2*len("…"))
			assert.True(t, strings.HasSuffix(text, "…"))
		})
	}
}
