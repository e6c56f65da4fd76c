// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newTestRoot returns a root of one package with a program, a link, a manual page and a folder that is empty.
func newTestRoot(t *testing.T) (*root, string) {
	t.Helper()
	dir := t.TempDir()
	for path, text := range map[string]string{"usr/bin/program": "binary", "usr/share/man/program.1": "long"} {
		path = filepath.Join(dir, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o755))
	}
	require.NoError(t, os.Symlink("program", filepath.Join(dir, "usr/bin/link")))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "etc/program.d"), 0o755))
	r := &root{files: map[string]string{}, texts: map[string]string{"/etc/hosts": "hosts"}, links: map[string]string{}, dirs: map[string]bool{}}
	require.NoError(t, r.addPackage(dir))
	return r, dir
}

func TestADiskHasWhatProgramsNeedOfAPackage(t *testing.T) {
	r, _ := newTestRoot(t)
	tree := t.TempDir()
	require.NoError(t, r.stage(tree))
	require.NoError(t, r.stage(tree), "again, over itself")
	content, err := os.ReadFile(filepath.Join(tree, "usr/bin/link"))
	require.NoError(t, err)
	assert.Equal(t, "binary", string(content))
	assert.DirExists(t, filepath.Join(tree, "etc/program.d"))
	assert.FileExists(t, filepath.Join(tree, "etc/hosts"))
	assert.NoFileExists(t, filepath.Join(tree, "usr/share/man/program.1"))
}

func TestTheDigestOfADiskChangesWithWhatIsOnIt(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, r *root, dir, image string){
		"a file of a package": func(t *testing.T, _ *root, dir, _ string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "usr/bin/program"), []byte("another"), 0o755))
		},
		"a text": func(_ *testing.T, r *root, _, _ string) { r.texts["/etc/hosts"] = "others" },
		"a link": func(_ *testing.T, r *root, _, _ string) { r.links["/usr/bin/link"] = "another" },
		"an image": func(t *testing.T, _ *root, _, image string) {
			require.NoError(t, os.WriteFile(image, []byte("IMAGE"), 0o644))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, dir := newTestRoot(t)
			image := filepath.Join(t.TempDir(), "image.tar")
			require.NoError(t, os.WriteFile(image, []byte("image"), 0o644))
			before, err := r.digest([]string{image})
			require.NoError(t, err)
			same, err := r.digest([]string{image})
			require.NoError(t, err)
			require.Equal(t, before, same)
			change(t, r, dir, image)
			after, err := r.digest([]string{image})
			require.NoError(t, err)
			assert.NotEqual(t, before, after)
		})
	}
}
