// SPDX-License-Identifier: Apache-2.0

package binaries

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPinnedModulesNameTheFolderOfBinaries(t *testing.T) {
	modules, cache := t.TempDir(), t.TempDir()
	versions := map[string]string{"etcd": "v3.7.3", "kubernetes": "v1.37.2"}
	for _, m := range pinnedModules(ControlPlane) {
		require.NoError(t, os.MkdirAll(filepath.Join(modules, m.folder), 0o755))
		write(
			t,
			filepath.Join(modules, m.folder, "go.mod"),
			"module example.com/pins\n\nrequire "+m.path+" "+versions[filepath.Base(m.folder)]+" // indirect\n",
		)
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
	require.NoError(t, os.MkdirAll(filepath.Join(modules, "controlplane", "etcd"), 0o755))
	write(t, filepath.Join(modules, "controlplane", "etcd", "go.mod"), "module example.com/pins\n")
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

func TestProgramsOfANodeAreAFolderOfTheirOwn(t *testing.T) {
	b, err := newBuilder(Options{Cache: t.TempDir(), Set: Node})
	require.NoError(t, err)
	assert.Regexp(t, `/binaries/kubernetes-v[0-9.]+_multus-v4\.2\.4_plugins-v[0-9.]+_[a-z]+-[a-z0-9]+$`, b.dir)
	assert.Equal(t, "kubelet, kube-proxy, multus, bridge, loopback, ptp, host-local, tuning", list(b.targets))
	for _, target := range b.targets {
		assert.FileExists(t, filepath.Join(target.folder, "go.mod"))
	}
}

func TestWhatIsBuiltAndHowLongItTakesIsSaidFirst(t *testing.T) {
	b, out := newFake(t)
	second := b.targets[0]
	second.name, second.takes = "hello-again", 2*time.Minute
	b.targets = append(b.targets, second)
	require.NoError(t, b.ensure(t.Context()))
	assert.Regexp(t, `^building hello, hello-again from their modules into \S+: about 2m1s on 2 cores, once\n`+
		`building hello v1\.2\.3 from its module \(1 of 2, `, out)
}
