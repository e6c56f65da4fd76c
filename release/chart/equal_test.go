// SPDX-License-Identifier: Apache-2.0

package chart_test

import (
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/releaseutil"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/bridgehead-dev/bridgehead/arming"
)

const (
	manifests = "../../manifests"
	chart     = "../../charts/bridgehead"
	notes     = "bridgehead/templates/NOTES.txt"
	digest    = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

// settings returns the values that choose a component of the manifests.
func settings() []struct{ value, component string } {
	return []struct{ value, component string }{
		{"bootUnit", "boot-unit"},
		{"certManager", "cert-manager"},
		{"dns", "dns"},
		{"networkPolicies", "network-policies"},
		{"openshift", "openshift"},
		{"optOut.pods", "opt-out-pods"},
		{"optOut.vms", "opt-out-vms"},
		{"prometheus", "prometheus"},
		{"singleNode", "single-node"},
	}
}

func TestEveryComponentHasASetting(t *testing.T) {
	folders, err := os.ReadDir(filepath.Join(manifests, "components"))
	require.NoError(t, err)
	var have, known []string
	for _, f := range folders {
		have = append(have, f.Name())
	}
	for _, s := range settings() {
		known = append(known, s.component)
	}
	assert.ElementsMatch(t, have, known)
}

func TestTheChartIsWhatKustomizeRenders(t *testing.T) {
	for chosen := range 1 << len(settings()) {
		if count := bits.OnesCount(uint(chosen)); count > 2 && count < len(settings()) {
			continue // what two do not do to each other, three do not
		}
		image := map[string]any{"repository": "r.example.org/bridgehead", "tag": "v1", "digest": digest}
		values := map[string]any{"image": image}
		var components []string
		for i, s := range settings() {
			if chosen&(1<<i) != 0 {
				components = append(components, s.component)
				set(values, s.value)
			}
		}
		t.Run(fmt.Sprint("with ", components), func(t *testing.T) {
			want := kustomized(t, components...)
			for _, o := range want {
				nameImage(o, "r.example.org/bridgehead:v1@"+digest)
				if isKept(o) {
					annotate(o, "helm.sh/resource-policy", "keep")
				}
			}
			got, hooks, err := templated(t, "default", values)
			require.NoError(t, err)
			assertEqual(t, want, got)
			assertWebhooksGoFirst(t, hooks)
		})
	}
}

func TestWhatIsNotKeptMayGo(t *testing.T) {
	want := kustomized(t)
	for id, o := range want {
		switch {
		case !isKept(o):
		case strings.HasPrefix(id, "CustomResourceDefinition/"):
			annotate(o, "bridgehead.dev/delete-all-objects", "true")
		default:
			delete(o["metadata"].(map[string]any), "finalizers")
		}
	}
	got, _, err := templated(t, "default", map[string]any{"crds": map[string]any{"keep": false}})
	require.NoError(t, err)
	assertEqual(t, want, got)
}

func TestTheNotesNameWhatThereIs(t *testing.T) {
	c, err := loader.Load(chart)
	require.NoError(t, err)
	all, err := chartutil.ToRenderValues(c, nil, chartutil.ReleaseOptions{Namespace: "default"}, nil)
	require.NoError(t, err)
	files, err := engine.Render(c, all)
	require.NoError(t, err)
	live := "mutatingwebhookconfiguration/" + arming.NameOf(arming.Mutating)
	assert.Regexp(t, live+`\b`, files[notes])
}

func TestValuesThatAreRefused(t *testing.T) {
	image := func(key, value string) map[string]any { return map[string]any{"image": map[string]any{key: value}} }
	for name, tc := range map[string]struct {
		values    map[string]any
		namespace string
		says      string
	}{
		"a digest that is cut short":         {values: image("digest", "sha256:0123"), says: "digest"},
		"a tag with a digest in it":          {values: image("tag", "v1@"+digest), says: "tag"},
		"an image without a name":            {values: image("repository", ""), says: "repository"},
		"a pull policy that there is not":    {values: image("pullPolicy", "Sometimes"), says: "pullPolicy"},
		"a setting that there is not":        {values: map[string]any{"optout": true}, says: "optout"},
		"text for yes or no":                 {values: map[string]any{"crds": map[string]any{"keep": "no"}}, says: "keep"},
		"a release in a namespace it makes":  {namespace: "bridgehead-system", says: "keep the release in another"},
		"and one in the agent's, as it does": {namespace: "bridgehead-agent", says: "keep the release in another"},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.namespace == "" {
				tc.namespace = "default"
			}
			_, _, err := templated(t, tc.namespace, tc.values)
			require.ErrorContains(t, err, tc.says)
		})
	}
}

// templated returns the objects of the chart as Helm renders and reads them, and its hooks.
func templated(
	t *testing.T, namespace string, values map[string]any,
) (map[string]map[string]any, []*release.Hook, error) {
	t.Helper()
	c, err := loader.Load(chart)
	require.NoError(t, err)
	given := chartutil.ReleaseOptions{Name: "bridgehead", Namespace: namespace, Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(c, values, given, chartutil.DefaultCapabilities.Copy())
	if err != nil {
		return nil, nil, err
	}
	files, err := engine.Render(c, all)
	if err != nil {
		return nil, nil, err
	}
	delete(files, notes)
	hooks, found, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
	require.NoError(t, err)
	objects := map[string]map[string]any{}
	for _, m := range found {
		add(t, objects, []byte(m.Content))
	}
	return objects, hooks, nil
}

// kustomized returns the objects of base with components, as kustomize renders them.
func kustomized(t *testing.T, components ...string) map[string]map[string]any {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	from, err := filepath.Abs(manifests)
	require.NoError(t, err)
	from, err = filepath.Rel(dir, from)
	require.NoError(t, err)
	k := map[string]any{"resources": []string{filepath.Join(from, "base")}}
	for i, c := range components {
		components[i] = filepath.Join(from, "components", c)
	}
	k["components"] = components
	text, err := yaml.Marshal(k)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), text, 0o644))
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	require.NoError(t, err)
	objects := map[string]map[string]any{}
	for _, r := range resources.Resources() {
		text, err := r.AsYAML()
		require.NoError(t, err)
		add(t, objects, text)
	}
	return objects
}

func add(t *testing.T, objects map[string]map[string]any, text []byte) {
	t.Helper()
	o := map[string]any{}
	require.NoError(t, yaml.Unmarshal(text, &o))
	metadata := o["metadata"].(map[string]any)
	id := fmt.Sprint(o["kind"], "/", metadata["namespace"], "/", metadata["name"])
	require.NotContains(t, objects, id, "made twice")
	objects[id] = o
}

func assertEqual(t *testing.T, want, got map[string]map[string]any) {
	t.Helper()
	for id, o := range want {
		if assert.Contains(t, got, id, "the chart lacks it") {
			assert.Equal(t, o, got[id], id)
		}
	}
	for id := range got {
		assert.Contains(t, want, id, "the chart alone has it")
	}
}

// assertWebhooksGoFirst reads the hooks as Helm does: what a hook names is deleted before it is made, in the order of
// the weights, and what was made is deleted when all of them are done.
func assertWebhooksGoFirst(t *testing.T, hooks []*release.Hook) {
	t.Helper()
	first := map[string]int{}
	for _, h := range hooks {
		assert.Equal(t, []release.HookEvent{release.HookPreDelete}, h.Events)
		assert.ElementsMatch(t,
			[]release.HookDeletePolicy{release.HookBeforeHookCreation, release.HookSucceeded}, h.DeletePolicies)
		o := map[string]any{}
		require.NoError(t, yaml.Unmarshal([]byte(h.Manifest), &o))
		assert.Empty(t, o["webhooks"], "what a hook makes is called by nobody")
		first[h.Kind+"/"+h.Name] = h.Weight
	}
	require.Len(t, first, 4)
	for _, kind := range []string{arming.Mutating, arming.Validating} {
		live := kind + "/" + arming.NameOf(kind)
		require.Contains(t, first, live)
		require.Contains(t, first, live+arming.TemplateSuffix)
		assert.Less(t, first[live+arming.TemplateSuffix], first[live], "a replica would make it again of its template")
	}
}

func isKept(o map[string]any) bool {
	labels, _ := o["metadata"].(map[string]any)["labels"].(map[string]any)
	return labels["bridgehead.dev/keep"] == "true"
}

func annotate(o map[string]any, key, value string) {
	metadata := o["metadata"].(map[string]any)
	annotations, ok := metadata["annotations"].(map[string]any)
	if !ok {
		annotations = map[string]any{}
		metadata["annotations"] = annotations
	}
	annotations[key] = value
}

// nameImage gives the containers of a Deployment or DaemonSet an image.
func nameImage(o map[string]any, image string) {
	spec, _ := o["spec"].(map[string]any)
	template, _ := spec["template"].(map[string]any)
	pod, _ := template["spec"].(map[string]any)
	containers, _ := pod["containers"].([]any)
	for _, c := range containers {
		c.(map[string]any)["image"] = image
	}
}

// set makes a value, as a.b, true.
func set(values map[string]any, path string) {
	parent, key, nested := strings.Cut(path, ".")
	if !nested {
		values[parent] = true
		return
	}
	within, ok := values[parent].(map[string]any)
	if !ok {
		within = map[string]any{}
		values[parent] = within
	}
	within[key] = true
}
