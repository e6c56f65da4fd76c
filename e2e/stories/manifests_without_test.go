// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// without returns rendered manifests without one mutating webhook.
func without(t *testing.T, rendered, webhook string) string {
	t.Helper()
	var documents []string
	found := false
	for document := range strings.SplitSeq(rendered, "\n---\n") {
		var object map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(document), &object))
		if hooks, ok := object["webhooks"].([]any); ok && object["kind"] == "MutatingWebhookConfiguration" {
			object["webhooks"] = slices.DeleteFunc(hooks, func(h any) bool {
				hook, ok := h.(map[string]any)
				found = found || ok && hook["name"] == webhook
				return ok && hook["name"] == webhook
			})
		}
		text, err := yaml.Marshal(object)
		require.NoError(t, err)
		documents = append(documents, string(text))
	}
	require.True(t, found, "there is no webhook %s", webhook)
	return strings.Join(documents, "---\n")
}
