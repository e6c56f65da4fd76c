// SPDX-License-Identifier: Apache-2.0

// Package chart makes the templates of the Helm chart of the manifests: what kustomize renders of base, and where the
// component of a setting changes that, both, by the setting. So nothing is typed twice.
package chart

//go:generate go run ./generate ../../manifests ../../charts/bridgehead/templates/manifests

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// settings returns the components of the manifests by the value of the chart that they are chosen by.
func settings() []setting {
	return []setting{
		{value: ".Values.bootUnit", component: "boot-unit"},
		{value: ".Values.certManager", component: "cert-manager"},
		{value: ".Values.dns", component: "dns"},
		{value: ".Values.networkPolicies", component: "network-policies"},
		{value: ".Values.openshift", component: "openshift"},
		{value: ".Values.optOut.pods", component: "opt-out-pods"},
		{value: ".Values.optOut.vms", component: "opt-out-vms"},
		{value: ".Values.prometheus", component: "prometheus"},
		{value: ".Values.singleNode", component: "single-node"},
	}
}

type setting struct{ value, component string }

// An object is one object as kustomize renders it.
type object struct {
	file  string // of its template: <kind>-<name>.yaml
	lines []string
	kept  bool // when the chart is uninstalled
}

// Templates returns the templates of a folder of manifests, by the names of their files.
func Templates(manifests string) (map[string]string, error) {
	base, err := render(manifests)
	if err != nil {
		return nil, err
	}
	variants := map[string][]variant{} // of the objects, by file
	templates := map[string]string{}
	for _, s := range settings() {
		with, err := render(manifests, s.component)
		if err != nil {
			return nil, err
		}
		for _, o := range base {
			i := slices.IndexFunc(with, func(w object) bool { return w.file == o.file })
			v := variant{value: s.value}
			if i >= 0 {
				v.lines = with[i].lines
			}
			variants[o.file] = append(variants[o.file], v)
		}
		for _, w := range with {
			if !slices.ContainsFunc(base, func(o object) bool { return o.file == w.file }) {
				templates[w.file] = header + "{{- if " + s.value + " }}\n" + text(w.lines) + "{{- end }}\n"
			}
		}
	}
	for _, o := range base {
		if templates[o.file], err = template(o, variants[o.file]); err != nil {
			return nil, fmt.Errorf("make the template %s: %w", o.file, err)
		}
	}
	return templates, nil
}

// render renders base with components. The order is that of the manifests; Helm has its own.
func render(manifests string, components ...string) ([]object, error) {
	dir, err := os.MkdirTemp("", "chart")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary folder
	if err := kustomization(dir, manifests, components...); err != nil {
		return nil, err
	}
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, fmt.Errorf("render base with %v: %w", components, err)
	}
	var objects []object
	for _, r := range resources.Resources() {
		yaml, err := r.AsYAML()
		if err != nil {
			return nil, err
		}
		objects = append(objects, object{
			file:  strings.ToLower(r.GetKind() + "-" + r.GetName() + ".yaml"),
			lines: strings.Split(strings.TrimSuffix(string(yaml), "\n"), "\n"),
			kept:  r.GetLabels()["bridgehead.dev/keep"] == "true",
		})
	}
	return objects, unique(objects)
}

// kustomization writes a kustomization of base with components into a folder.
func kustomization(dir, manifests string, components ...string) error {
	from, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	to, err := filepath.Abs(manifests)
	if err != nil {
		return err
	}
	relative, err := filepath.Rel(from, to)
	if err != nil {
		return err
	}
	lines := []string{"resources:", "- " + relative + "/base", "components:"}
	for _, c := range components {
		lines = append(lines, "- "+relative+"/components/"+c)
	}
	return os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text(lines)), 0o644)
}

// unique fails if two objects would be one template.
func unique(objects []object) error {
	seen := map[string]bool{}
	for _, o := range objects {
		if seen[o.file] {
			return fmt.Errorf("two objects would be in %s", o.file)
		}
		seen[o.file] = true
	}
	return nil
}

func text(lines []string) string { return strings.Join(lines, "\n") + "\n" }
