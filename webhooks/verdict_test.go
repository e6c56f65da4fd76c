// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestALongWarningGoesOn(t *testing.T) {
	words := strings.Repeat("word ", 30)
	for name, c := range map[string]struct {
		texts []string
		want  []string
	}{
		"a short one is one": {[]string{"  + bridge br0"}, []string{"  + bridge br0"}},
		"a long one goes on below it": {[]string{"  br0: " + words + "end"},
			[]string{"  br0: " + strings.TrimSuffix(words[:5*22], " "), "      " + words[5*22:] + "end"}},
		"what goes on is not what was said": {[]string{"a " + words + "end", "b " + words + "end"},
			[]string{"a " + words[:5*23-1], "    " + words[5*23:] + "end", "b " + words[:5*23-1], "     " + words[5*23:] + "end"}},
	} {
		t.Run(name, func(t *testing.T) {
			var v Verdict
			for _, text := range c.texts {
				v.warn("%s", text)
			}
			assert.Equal(t, c.want, v.Warnings)
		})
	}
	for _, text := range []string{
		strings.Repeat("long", 1000), strings.Repeat("ä", 1000), strings.Repeat("many words ", 1000),
		strings.Repeat(" ", 1000),
	} {
		var v Verdict
		v.warn("%s", text)
		assert.LessOrEqual(t, len(v.Warnings), maxWarningLines)
		for _, warning := range v.Warnings {
			assert.LessOrEqual(t, len(warning), maxWarningLength)
		}
	}
}
