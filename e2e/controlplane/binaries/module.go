// SPDX-License-Identifier: Apache-2.0

package binaries

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

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
	name  string        // of the binary
	pkg   string        // its import path
	takes time.Duration // how long a first build takes, for the person who waits
}

// A target is a program at the version that is pinned, ready to be compiled.
type target struct {
	program
	version string
	folder  string // the working folder of the go command
	ldflags string
}

// A Set is a group of programs that are built together and lie in one folder.
type Set int

const (
	// ControlPlane is etcd, kube-apiserver, kubectl, kube-controller-manager and kube-scheduler.
	ControlPlane Set = iota
	// Node is what a node runs and Debian does not have: kubelet, kube-proxy, Multus and the CNI plugins.
	Node
	// Enforcer is what enforces NetworkPolicies on a node.
	Enforcer
)

// What the programs are taken from, by import paths.
const (
	commands = "k8s.io/kubernetes/cmd/"
	plugins  = "github.com/containernetworking/plugins/plugins/"
	multus   = "gopkg.in/k8snetworkplumbingwg/multus-cni.v4"

	networkPolicies = "sigs.k8s.io/kube-network-policies"
)

// pinnedModules lists what a set consists of, in the order in which it is built. The durations were
// measured on two cores with an empty build cache; kube-apiserver compiles most of what the programs of
// Kubernetes after it share.
func pinnedModules(set Set) []module {
	switch set {
	case Enforcer:
		return []module{
			{folder: "node/networkpolicies", path: networkPolicies, programs: []program{
				{name: "kube-network-policies", pkg: networkPolicies + "/cmd", takes: 45 * time.Second},
			}},
		}
	case Node:
		return []module{
			{folder: "controlplane/kubernetes", path: "k8s.io/kubernetes", programs: []program{
				{name: "kubelet", pkg: commands + "kubelet", takes: 75 * time.Second},
				{name: "kube-proxy", pkg: commands + "kube-proxy", takes: 20 * time.Second},
			}},
			{folder: "node/multus", path: multus, programs: []program{
				{name: "multus", pkg: multus + "/cmd/multus", takes: 2 * time.Minute},
			}},
			{folder: "node/plugins", path: "github.com/containernetworking/plugins", programs: []program{
				{name: "bridge", pkg: plugins + "main/bridge", takes: 5 * time.Second},
				{name: "loopback", pkg: plugins + "main/loopback", takes: 2 * time.Second},
				{name: "ptp", pkg: plugins + "main/ptp", takes: 2 * time.Second},
				{name: "host-local", pkg: plugins + "ipam/host-local", takes: 2 * time.Second},
				{name: "tuning", pkg: plugins + "meta/tuning", takes: 2 * time.Second},
			}},
		}
	}
	return []module{
		{folder: "controlplane/etcd", path: "go.etcd.io/etcd/server/v3", programs: []program{
			{name: "etcd", pkg: "go.etcd.io/etcd/server/v3", takes: 2 * time.Minute},
		}},
		{folder: "controlplane/kubernetes", path: "k8s.io/kubernetes", programs: []program{
			{name: "kube-apiserver", pkg: commands + "kube-apiserver", takes: 7 * time.Minute},
			{name: "kubectl", pkg: commands + "kubectl", takes: 40 * time.Second},
			{name: "kube-controller-manager", pkg: commands + "kube-controller-manager", takes: 150 * time.Second},
			{name: "kube-scheduler", pkg: commands + "kube-scheduler", takes: 15 * time.Second},
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

// findModules looks for the folder e2e, below which our pinned modules are, from the working folder upwards.
func findModules() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the working folder: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		modules := filepath.Join(dir, "e2e")
		if _, err := os.Stat(filepath.Join(modules, "controlplane", "kubernetes", "go.mod")); err == nil {
			return modules, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no folder above %s holds e2e/controlplane/kubernetes/go.mod", start)
		}
	}
}
