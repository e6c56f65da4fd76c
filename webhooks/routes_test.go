// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// manifestWebhooks returns the webhooks in the manifests that users apply, by path.
func manifestWebhooks(t *testing.T) map[string][]admissionregistrationv1.MutatingWebhook {
	t.Helper()
	found := map[string][]admissionregistrationv1.MutatingWebhook{}
	err := filepath.WalkDir(filepath.FromSlash("../manifests"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		if !bytes.Contains(text, []byte("WebhookConfiguration\n")) {
			return nil
		}
		documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
		for {
			// A validating configuration has the same fields, but for one less.
			var c admissionregistrationv1.MutatingWebhookConfiguration
			if err := documents.Decode(&c); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return fmt.Errorf("read %s: %w", path, err)
			}
			for _, w := range c.Webhooks {
				if w.ClientConfig.Service != nil && w.ClientConfig.Service.Path != nil {
					found[*w.ClientConfig.Service.Path] = append(found[*w.ClientConfig.Service.Path], w)
				}
			}
		}
	})
	require.NoError(t, err)
	return found
}

func TestEveryRouteIsInTheManifestsAndOnlyThose(t *testing.T) {
	var paths []string
	for _, r := range Routes(Sources{NADs: &NADWatch{}, Bridges: &Bridges{}}) {
		paths = append(paths, r.Path)
	}
	for path := range manifestWebhooks(t) {
		assert.Contains(t, paths, path, "nobody answers there")
	}
	for _, path := range paths {
		assert.Contains(t, manifestWebhooks(t), path, "nobody sends anything there")
	}
}
