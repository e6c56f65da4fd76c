package binaries

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPinnedModulesNameTheFolderOfBinaries(t *testing.T) {
	modules, cache := t.TempDir(), t.TempDir()
	versions := map[string]string{"etcd": "v3.7.3", "kubernetes": "v1.37.2"}
	for _, m := range pinnedModules() {
		require.NoError(t, os.Mkdir(filepath.Join(modules, m.folder), 0o755))
		write(t, filepath.Join(modules, m.folder, "go.mod"), "module example.com/pins\n\nrequire "+m.path+" "+versions[m.folder]+" // indirect\n")
	}
	b, err := newBuilder(Options{Cache: cache, Modules: modules})
	require.NoError(t, err)
	assert.Regexp(t, `^`+cache+`/binaries/etcd-v3\.7\.3_kubernetes-v1\.37\.2_[a-z]+-[a-z0-9]+$`, b.dir)

	flags := map[string]string{}
	for _, target := range b.targets {
		flags[target.name] = target.ldflags
	}
	kubernetes := "-s -w -X k8s.io/component-base/version.gitVersion=v1.37.2" +
		" -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37" +
		" -X k8s.io/client-go/pkg/version.gitVersion=v1.37.2"
	assert.Equal(t, map[string]string{
		"etcd":                    "-s -w",
		"kube-apiserver":          kubernetes,
		"kube-controller-manager": kubernetes,
		"kube-scheduler":          kubernetes,
		"kubectl":                 kubernetes,
	}, flags)
}

func TestModulesAreFoundFromBelowTheRepository(t *testing.T) {
	t.Setenv("BRIDGEHEAD_CACHE", t.TempDir())
	b, err := newBuilder(Options{})
	require.NoError(t, err)
	assert.FileExists(t, filepath.Join(b.targets[0].folder, "go.mod"))

	t.Chdir(t.TempDir())
	_, err = newBuilder(Options{})
	require.ErrorContains(t, err, "holds e2e/controlplane/kubernetes/go.mod")
}

func TestUnpinnedModuleIsAnError(t *testing.T) {
	modules := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(modules, "etcd"), 0o755))
	write(t, filepath.Join(modules, "etcd", "go.mod"), "module example.com/pins\n")
	_, err := newBuilder(Options{Cache: t.TempDir(), Modules: modules})
	require.ErrorContains(t, err, "etcd/go.mod does not require go.etcd.io/etcd/server/v3")
}

func TestCacheDirIsTheOneOfTheEnvironment(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "/xdg")
	t.Setenv("BRIDGEHEAD_CACHE", "")
	dir, err := CacheDir()
	require.NoError(t, err)
	assert.Equal(t, "/xdg/bridgehead", dir)

	t.Setenv("BRIDGEHEAD_CACHE", "/elsewhere")
	dir, err = CacheDir()
	require.NoError(t, err)
	assert.Equal(t, "/elsewhere", dir)
}
