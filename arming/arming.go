// SPDX-License-Identifier: Apache-2.0

// Package arming puts the webhook configurations in force once somebody answers. The manifests have templates of them,
// which the API server never calls; the replicas make the real ones, so that an install whose pods never start stops
// nobody from creating anything. Why it is so is in docs/decisions/0010-webhooks-are-armed-by-replicas.md.
package arming

import (
	"bytes"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	// TemplateSuffix follows the name of a configuration in the name of its template.
	TemplateSuffix = "-template"
	// guard is the label that the object selector of a template's webhook wants to be there and not to be there, so that
	// the API server calls it for no object. That is not in the configuration that is made of the template.
	guard = "bridgehead.dev/never"
	// never is the match condition of a template's webhook that is always false, should somebody give the webhook another
	// object selector. It is not in that configuration either.
	never = "never"
	// formerly is its name in templates of the release before, which had no such selector.
	formerly = "template"
	// FromAnnotation marks a configuration that was made from a template, which it names. Only such a one is deleted when
	// the template is.
	FromAnnotation = "bridgehead.dev/template"
	// InjectAnnotation of a template names the Certificate of cert-manager whose CA the configuration is to be injected
	// with, as <namespace>/<name>. The template has it by another name than cainjector looks for: what cainjector writes
	// into a list of webhooks, nobody can take out of it by server-side apply anymore.
	InjectAnnotation = "bridgehead.dev/inject-ca-from"
	// injectAnnotation is what cainjector looks for.
	injectAnnotation = "cert-manager.io/inject-ca-from"
)

const (
	// Mutating is the kind of configurations whose webhooks may change objects.
	Mutating = "MutatingWebhookConfiguration"
	// Validating is the kind of those whose webhooks may not.
	Validating = "ValidatingWebhookConfiguration"
	// Configuration is the name of our validating configuration, and was that of the mutating one.
	Configuration = "bridgehead"
	// Service is the name of the Service that leads to the replicas.
	Service = "bridgehead-webhook"
)

// NameOf returns the name of our configuration of a kind. The API server calls mutating webhooks in the order of the
// names of their configurations. Ours comes last: what KubeVirt (virt-api-mutator) and policy engines add to a VM or a
// pod is there when it is called, and nobody changes the object after, which would have it called twice.
func NameOf(kind string) string {
	if kind == Mutating {
		return "zz-" + Configuration
	}
	return Configuration
}

// Retires reports whether a mutating configuration is ours by a name that we no longer use: all of its webhooks are
// answered by our Service. It may be nil.
func Retires(c *unstructured.Unstructured, namespace, service string) bool {
	if c == nil || len(webhooksOf(c)) == 0 {
		return false
	}
	for _, h := range webhooksOf(c) {
		inNamespace, _, _ := unstructured.NestedString(h, "clientConfig", "service", "namespace")
		called, _, _ := unstructured.NestedString(h, "clientConfig", "service", "name")
		if inNamespace != namespace || called != service {
			return false
		}
	}
	return true
}

// A Situation is what decides whether a configuration may be put in force.
type Situation struct {
	// CA is what the replicas' certificates are signed by, in PEM; empty while there is none that can sign.
	CA []byte
	// NoCA is why there is none.
	NoCA string
	// Bundle returns the caBundle a webhook should have, from the CA and the bundle it has, which is nil for a new one.
	Bundle func(ca, present []byte) []byte
	// Paths are those that this replica answers at.
	Paths []string
	// Answered reports whether the webhooks' Service leads to a replica that is ready.
	Answered bool
}

// An Action is what to do with a configuration.
type Action string

const (
	// Keep leaves it as it is.
	Keep Action = ""
	// Create makes it.
	Create Action = "create"
	// Update writes it.
	Update Action = "update"
	// Delete deletes it.
	Delete Action = "delete"
)

// Decide returns what to do with a configuration, the configuration to write, and why nothing is done where something
// is lacking. template and live are nil where there is none; neither is changed.
//
// A configuration that was not made from a template, as those of older releases were not, keeps its webhooks while
// there is no template for it. A replica that does not answer at every path of a template leaves the webhooks to a
// newer one; so does one that cannot use a template, which somebody edited. What is in force has the CA all the same.
// A template without webhooks is as none, so that nothing is in force while one is being removed.
func Decide(
	template, live *unstructured.Unstructured, s Situation,
) (do Action, wanted *unstructured.Unstructured, lacking string) {
	if template != nil && len(webhooksOf(template)) == 0 {
		template = nil
	}
	switch {
	case template == nil && live == nil:
		return Keep, nil, "there is no template"
	case template == nil && live.GetAnnotations()[FromAnnotation] != "":
		return Delete, live, ""
	case len(s.CA) == 0:
		return Keep, nil, s.NoCA
	case template == nil:
		return update(live, live, webhooksOf(live), s)
	}
	hooks, err := disclosed(template)
	path, unknown := unknownPath(hooks, s.Paths)
	switch {
	case err != nil:
		lacking = err.Error()
	case unknown:
		lacking = fmt.Sprintf("%s has a webhook at %s, where this release does not answer", template.GetName(), path)
	}
	if lacking != "" {
		if live == nil {
			return Keep, nil, lacking
		}
		do, wanted, _ = update(live, live, webhooksOf(live), s)
		return do, wanted, lacking
	}
	if live != nil {
		return update(live, marked(live, template), hooks, s)
	}
	if !s.Answered {
		return Keep, nil, "the Service of the webhooks has no ready endpoint"
	}
	return Create, withWebhooks(marked(empty(template), template), hooks, nil, s), ""
}

// update returns the configuration with these webhooks, if that is not what there is.
func update(
	live, c *unstructured.Unstructured, hooks []map[string]any, s Situation,
) (Action, *unstructured.Unstructured, string) {
	wanted := withWebhooks(c, hooks, bundles(live), s)
	if equality.Semantic.DeepEqual(live.Object, wanted.Object) {
		return Keep, nil, ""
	}
	return Update, wanted, ""
}

// empty returns a configuration of the template's kind and name, with its labels and no webhooks.
func empty(template *unstructured.Unstructured) *unstructured.Unstructured {
	c := &unstructured.Unstructured{}
	c.SetGroupVersionKind(template.GroupVersionKind())
	name := template.GetName()
	c.SetName(name[:len(name)-len(TemplateSuffix)])
	c.SetLabels(template.GetLabels())
	return c
}

// marked returns c as one made from the template, with what cainjector looks for. The garbage collector deletes it
// after the template, should no replica be there to do it.
func marked(c, template *unstructured.Unstructured) *unstructured.Unstructured {
	c = c.DeepCopy()
	annotations := c.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	delete(annotations, injectAnnotation)
	if from := template.GetAnnotations()[InjectAnnotation]; from != "" {
		annotations[injectAnnotation] = from
	}
	annotations[FromAnnotation] = template.GetName()
	c.SetAnnotations(annotations)
	c.SetOwnerReferences([]metav1.OwnerReference{{
		APIVersion: template.GetAPIVersion(), Kind: template.GetKind(), Name: template.GetName(), UID: template.GetUID(),
	}})
	return c
}

// disclosed returns the webhooks of a template without what keeps the API server from calling them.
func disclosed(template *unstructured.Unstructured) ([]map[string]any, error) {
	hooks := webhooksOf(template.DeepCopy())
	for _, h := range hooks {
		guards, err := takeOut(h, isGuard, "objectSelector", "matchExpressions")
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", template.GetName(), err)
		}
		conditions, err := takeOut(h, isNever, "matchConditions")
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", template.GetName(), err)
		}
		if !contradict(guards) && len(conditions) == 0 {
			return nil, fmt.Errorf("webhook %v of %s lacks the match condition %q", h["name"], template.GetName(), never)
		}
	}
	return hooks, nil
}

// takeOut takes some items out of a list, and the list away if that leaves it empty. It returns what it took.
func takeOut(h map[string]any, which func(map[string]any) bool, list ...string) ([]map[string]any, error) {
	items, _, err := unstructured.NestedSlice(h, list...)
	if err != nil {
		return nil, err
	}
	var removed []map[string]any
	rest := slices.DeleteFunc(items, func(item any) bool {
		i, ok := item.(map[string]any)
		if ok = ok && which(i); ok {
			removed = append(removed, i)
		}
		return ok
	})
	if len(rest) > 0 {
		return removed, unstructured.SetNestedSlice(h, rest, list...)
	}
	unstructured.RemoveNestedField(h, list...)
	return removed, nil
}

func isNever(condition map[string]any) bool {
	return condition["name"] == never || condition["name"] == formerly
}

// isGuard reports whether an expression of a selector is one of the two that contradict each other.
func isGuard(e map[string]any) bool {
	return e["key"] == guard && (e["operator"] == "Exists" || e["operator"] == "DoesNotExist")
}

// contradict reports whether guards are both there.
func contradict(guards []map[string]any) bool {
	return slices.ContainsFunc(guards, func(e map[string]any) bool { return e["operator"] != guards[0]["operator"] })
}

// unknownPath returns the first path of the webhooks that is none of those.
func unknownPath(hooks []map[string]any, known []string) (string, bool) {
	for _, h := range hooks {
		path, _, err := unstructured.NestedString(h, "clientConfig", "service", "path")
		if err != nil || !slices.Contains(known, path) {
			return path, true
		}
	}
	return "", false
}

// withWebhooks returns c with the webhooks, each with the caBundle it should have.
func withWebhooks(
	c *unstructured.Unstructured, hooks []map[string]any, present map[string][]byte, s Situation,
) *unstructured.Unstructured {
	c = c.DeepCopy()
	list := make([]any, 0, len(hooks))
	for _, h := range hooks {
		h = (&unstructured.Unstructured{Object: h}).DeepCopy().Object
		name, _ := h["name"].(string)
		setBundle(h, s.Bundle(s.CA, present[name]))
		list = append(list, h)
	}
	c.Object["webhooks"] = list
	return c
}

// Bundles returns the caBundles of a configuration's webhooks, in their order.
func Bundles(c *unstructured.Unstructured) [][]byte {
	if c == nil {
		return nil
	}
	var all [][]byte
	for _, h := range webhooksOf(c) {
		all = append(all, bundleOf(h))
	}
	return all
}

// bundles returns the caBundles of a configuration's webhooks, by their names.
func bundles(c *unstructured.Unstructured) map[string][]byte {
	byName := map[string][]byte{}
	for _, h := range webhooksOf(c) {
		if name, ok := h["name"].(string); ok {
			byName[name] = bytes.Clone(bundleOf(h))
		}
	}
	return byName
}

func webhooksOf(c *unstructured.Unstructured) []map[string]any {
	list, _ := c.Object["webhooks"].([]any)
	hooks := make([]map[string]any, 0, len(list))
	for _, h := range list {
		if hook, ok := h.(map[string]any); ok {
			hooks = append(hooks, hook)
		}
	}
	return hooks
}
