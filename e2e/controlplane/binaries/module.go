package binaries

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"
)

// A module is a pinned Go module and the programs we take from it.
type module struct {
	folder   string // holds the go.mod that pins it, below Options.Modules
	path     string
	programs []program
}

// A program is one main package of a module.
type program struct {
	name  string // of the binary
	pkg   string // its import path
	takes string // how long a first build takes, for the person who waits
}

// A target is a program at the version that is pinned, ready to be compiled.
type target struct {
	program
	version string
	folder  string // the working folder of the go command
	ldflags string
}

// pinnedModules lists what a control plane consists of, in the order in which it is built. The durations
// were measured on two cores with an empty build cache; kube-apiserver compiles most of what the
// programs after it share.
func pinnedModules() []module {
	const commands = "k8s.io/kubernetes/cmd/"
	return []module{
		{folder: "etcd", path: "go.etcd.io/etcd/server/v3", programs: []program{
			{name: "etcd", pkg: "go.etcd.io/etcd/server/v3", takes: "2 min"},
		}},
		{folder: "kubernetes", path: "k8s.io/kubernetes", programs: []program{
			{name: "kube-apiserver", pkg: commands + "kube-apiserver", takes: "7 min"},
			{name: "kubectl", pkg: commands + "kubectl", takes: "40 s"},
			{name: "kube-controller-manager", pkg: commands + "kube-controller-manager", takes: "2.5 min"},
			{name: "kube-scheduler", pkg: commands + "kube-scheduler", takes: "15 s"},
		}},
	}
}

// targets lists the module's programs at a version, compiled in a folder below modules.
func (m module) targets(modules, version string) []target {
	out := make([]target, 0, len(m.programs))
	for _, p := range m.programs {
		out = append(out, target{
			program: p,
			version: version,
			folder:  filepath.Join(modules, m.folder),
			ldflags: strings.TrimSpace("-s -w " + versionFlags(m.path, version)),
		})
	}
	return out
}

// versionFlags stamps Kubernetes programs with their version as Kubernetes' own build does; without it
// the API server calls itself v0.0.0 and clients that negotiate by version misjudge it.
func versionFlags(path, version string) string {
	if path != "k8s.io/kubernetes" {
		return ""
	}
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) < 3 {
		return ""
	}
	return fmt.Sprintf("-X k8s.io/component-base/version.gitVersion=%[1]s"+
		" -X k8s.io/component-base/version.gitMajor=%[2]s"+
		" -X k8s.io/component-base/version.gitMinor=%[3]s"+
		" -X k8s.io/client-go/pkg/version.gitVersion=%[1]s", version, parts[0], parts[1])
}

// pinnedVersion reads the version that a go.mod requires of a module.
func pinnedVersion(goMod, path string) (string, error) {
	data, err := os.ReadFile(goMod)
	if err != nil {
		return "", fmt.Errorf("read the pinned version of %s: %w", path, err)
	}
	file, err := modfile.ParseLax(goMod, data, nil)
	if err != nil {
		return "", fmt.Errorf("parse the pinned version of %s: %w", path, err)
	}
	for _, r := range file.Require {
		if r.Mod.Path == path {
			return r.Mod.Version, nil
		}
	}
	return "", fmt.Errorf("%s does not require %s", goMod, path)
}

// findModules looks for our folder of pinned modules from the working folder upwards.
func findModules() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the working folder: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		modules := filepath.Join(dir, "e2e", "controlplane")
		if _, err := os.Stat(filepath.Join(modules, "kubernetes", "go.mod")); err == nil {
			return modules, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no folder above %s holds e2e/controlplane/kubernetes/go.mod", start)
		}
	}
}
