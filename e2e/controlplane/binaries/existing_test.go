// SPDX-License-Identifier: Apache-2.0

package binaries

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestProgramsThatExistAreTakenIfTheirVersionFits(t *testing.T) {
	for name, c := range map[string]struct {
		program, pinned, says string
		taken                 bool
	}{
		"the same version":              {"kube-apiserver", "v1.37.2", "Kubernetes v1.37.2", true},
		"another patch":                 {"kube-apiserver", "v1.37.2", "Kubernetes v1.37.0", true},
		"another minor":                 {"kube-apiserver", "v1.37.2", "Kubernetes v1.36.9", false},
		"an etcd of another minor":      {"etcd", "v3.7.3", "etcd Version: 3.6.1", true},
		"an etcd of another major":      {"etcd", "v3.7.3", "etcd Version: 2.3.8", false},
		"a program without a version":   {"kube-apiserver", "v1.37.2", "hello", false},
		"a program that cannot be run":  {"kube-apiserver", "v1.37.2", "", false},
		"a kubectl that is older by 10": {"kubectl", "v1.37.2", "Client Version: v1.27.2", false},
	} {
		t.Run(name, func(t *testing.T) {
			b, out := newFake(t)
			b.assets = t.TempDir()
			script := "#!/bin/sh\necho '" + c.says + "'\n"
			if c.says == "" {
				script = "#!/bin/sh\nexit 1\n"
			}
			require.NoError(t, os.WriteFile(filepath.Join(b.assets, c.program), []byte(script), 0o755))
			b.targets[0].name, b.targets[0].version = c.program, c.pinned
			require.NoError(t, b.ensure(t.Context()))
			taken, err := os.ReadFile(filepath.Join(b.dir, c.program))
			require.NoError(t, err)
			assert.Equal(t, c.taken, string(taken) == script, out.String())
			if !c.taken {
				assert.Contains(t, out.String(), "is not used: ")
			}
			require.NoError(t, verify(filepath.Join(b.dir, c.program)))
		})
	}
}

func TestAKubectlOnTheSearchPathIsTaken(t *testing.T) {
	b, out := newFake(t)
	path := t.TempDir()
	require.NoError(
		t, os.WriteFile(filepath.Join(path, "kubectl"), []byte("#!/bin/sh\necho Client Version: v1.37.1\n"), 0o755),
	)
	goCommand, err := exec.LookPath("go")
	require.NoError(t, err)
	t.Setenv("PATH", path+":"+filepath.Dir(goCommand)+":/bin:/usr/bin")
	b.targets[0].name, b.targets[0].version = "kubectl", "v1.37.2"
	require.NoError(t, b.ensure(t.Context()))
	assert.Contains(t, out.String(), "took kubectl v1.37.1 from "+path)
}

func TestAssetsHaveAFolderOfTheirOwn(t *testing.T) {
	t.Setenv("KUBEBUILDER_ASSETS", "")
	plain, err := newBuilder(Options{Cache: t.TempDir()})
	require.NoError(t, err)
	t.Setenv("KUBEBUILDER_ASSETS", "/usr/local/kubebuilder/bin")
	assets, err := newBuilder(Options{Cache: t.TempDir()})
	require.NoError(t, err)
	assert.NotEqual(
		t, filepath.Base(plain.dir), filepath.Base(assets.dir), "what was built is not mixed with what was found",
	)
	assert.Equal(t, "/usr/local/kubebuilder/bin", assets.assets)
}
