// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTemplatesAreThoseOfTheChart(t *testing.T) {
	templates, err := Templates("../../manifests")
	require.NoError(t, err)
	const committed = "../../charts/bridgehead/templates/manifests"
	files, err := os.ReadDir(committed)
	require.NoError(t, err)
	assert.Len(t, files, len(templates))
	for file, text := range templates {
		have, err := os.ReadFile(filepath.Join(committed, file))
		require.NoError(t, err, "go generate ./release/chart")
		assert.Equal(t, string(have), text, "go generate ./release/chart")
	}
}

func TestTemplate(t *testing.T) {
	lines := []string{"kind: A", "a: 1", "b: 2", "c: 3"}
	for name, tc := range map[string]struct {
		variants   []variant
		want, says string
	}{
		"without variants it is the object": {want: "kind: A\na: 1\nb: 2\nc: 3\n"},
		"what a setting changes has both": {
			variants: []variant{{value: "x", lines: []string{"kind: A", "a: 1", "b: 0", "c: 3"}}},
			want:     "kind: A\na: 1\n{{- if x }}\nb: 0\n{{- else }}\nb: 2\n{{- end }}\nc: 3\n",
		},
		"what a setting adds is added": {
			variants: []variant{{value: "x", lines: []string{"kind: A", "a: 1", "b: 2", "c: 3", "d: 4"}}},
			want:     "kind: A\na: 1\nb: 2\nc: 3\n{{- if x }}\nd: 4\n{{- end }}\n",
		},
		"what a setting takes away goes": {
			variants: []variant{{value: "x"}},
			want:     "{{- if not x }}\nkind: A\na: 1\nb: 2\nc: 3\n{{- end }}\n",
		},
		"two settings change lines apart": {
			variants: []variant{
				{value: "y", lines: []string{"kind: A", "a: 1", "b: 2"}}, {value: "x", lines: []string{"kind: A", "b: 2", "c: 3"}},
			},
			want: "kind: A\n{{- if x }}\n{{- else }}\na: 1\n{{- end }}\nb: 2\n{{- if y }}\n{{- else }}\nc: 3\n{{- end }}\n",
		},
		"two settings that change one line are refused": {
			variants: []variant{
				{value: "x", lines: []string{"kind: A", "a: 7", "b: 2", "c: 3"}},
				{value: "y", lines: []string{"kind: A", "a: 8", "b: 2", "c: 3"}},
			},
			says: "x and y change the same lines",
		},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := template(object{lines: lines}, tc.variants)
			if tc.says != "" {
				require.EqualError(t, err, tc.says)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tc.want, strings.TrimPrefix(text, header))
		})
	}
}

func TestTextForHelmIsEscaped(t *testing.T) {
	text, err := template(object{lines: []string{"- image: bridgehead", "  imagePullPolicy: Always", "d: '{{ x }}'"}}, nil)
	require.NoError(t, err)
	assert.Equal(t, `- image: {{ include "bridgehead.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
d: '{{ "{{" }} x }}'
`, strings.TrimPrefix(text, header))
}
