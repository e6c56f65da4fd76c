// SPDX-License-Identifier: Apache-2.0

package arming

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const (
	guards = "{key: bridgehead.dev/never, operator: Exists}, {key: bridgehead.dev/never, operator: DoesNotExist}"
	// selector is what a template has, and one expression of a user.
	selector = "{matchExpressions: [" + guards + ", {key: quiet, operator: DoesNotExist}]}"
)

const template = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: zz-bridgehead-template, uid: u1, labels: {app: bridgehead}}
webhooks:
- name: a
  clientConfig: {service: {path: /a}}
  objectSelector: ` + selector + `
  matchConditions: [{name: never, expression: "false"}, {name: changed, expression: "true"}]
- name: b
  clientConfig: {service: {path: /b}}
  objectSelector: {matchExpressions: [` + guards + `]}
  matchConditions: [{name: never, expression: "false"}]
  newerField: kept
`

const made = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata:
  name: zz-bridgehead
  labels: {app: bridgehead}
  annotations: {bridgehead.dev/template: zz-bridgehead-template}
  ownerReferences:
  - {apiVersion: admissionregistration.k8s.io/v1, kind: MutatingWebhookConfiguration, name: zz-bridgehead-template, uid: u1}
webhooks:
- name: a
  clientConfig: {service: {path: /a}, caBundle: Q0E=}
  objectSelector: {matchExpressions: [{key: quiet, operator: DoesNotExist}]}
  matchConditions: [{name: changed, expression: "true"}]
- name: b
  clientConfig: {service: {path: /b}, caBundle: Q0E=}
  objectSelector: {}
  newerField: kept
`

// emptied and bare are what stands in for template and configuration while a Helm release is uninstalled.
const (
	emptied = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: bridgehead-template, uid: u2}
webhooks: []
`
	bare = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: bridgehead, uid: u3}
webhooks: []
`
)

// older is what a release before the templates has, with the bundle of another CA.
const older = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: zz-bridgehead, labels: {app: bridgehead}, resourceVersion: "7"}
webhooks:
- {name: a, clientConfig: {service: {path: /a}, caBundle: b2xk}}
- {name: gone, clientConfig: {service: {path: /gone}}}
`

func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	if text == "" {
		return nil
	}
	u := &unstructured.Unstructured{}
	require.NoError(t, yaml.Unmarshal([]byte(text), &u.Object))
	return u
}

func TestDecide(t *testing.T) {
	ready := Situation{CA: []byte("CA"), Paths: []string{"/a", "/b"}, Answered: true, Bundle: onlyCA}
	with := func(change func(*Situation)) Situation {
		s := ready
		change(&s)
		return s
	}
	for name, tc := range map[string]struct {
		template, live string
		situation      Situation
		do             Action
		wanted         string
		lacking        string
	}{
		"it is made of the template once somebody answers": {
			template: template, situation: ready, do: Create, wanted: made,
		},
		"it is the same of a template of the release before": {
			template: strings.NewReplacer(guards+", ", "", guards, "", "name: never", "name: template").Replace(template),
			live:     made, situation: ready,
		},
		"a template with another object selector is kept from being called by the condition": {
			template: strings.Replace(template, selector, "{}", 1), situation: ready, do: Create,
			wanted: strings.Replace(made, "{matchExpressions: [{key: quiet, operator: DoesNotExist}]}", "{}", 1),
		},
		"a selector that could match is not what keeps a template from being called": {
			template: strings.Replace(strings.Replace(template, "{name: never", "{name: ever", 1),
				"never, operator: DoesNotExist", "never, operator: Exists", 1),
			situation: ready,
			lacking:   `webhook a of zz-bridgehead-template lacks the match condition "never"`,
		},
		"while nobody answers it is not made": {
			template: template, situation: with(func(s *Situation) { s.Answered = false }),
			lacking: "the Service of the webhooks has no ready endpoint",
		},
		"without a CA it is not made": {
			template: template, situation: with(func(s *Situation) { s.CA, s.NoCA = nil, "no CA" }), lacking: "no CA",
		},
		"it has what the template has for cert-manager's cainjector": {
			template: injected(template), situation: ready, do: Create,
			wanted: strings.Replace(made, "annotations: {", "annotations: {cert-manager.io/inject-ca-from: n/c, ", 1),
		},
		"what comes to a template for cainjector comes to what is in force": {
			template: injected(template), live: made, situation: ready, do: Update,
			wanted: strings.Replace(made, "annotations: {", "annotations: {cert-manager.io/inject-ca-from: n/c, ", 1),
		},
		"what goes from a template for cainjector goes from what is in force": {
			template:  template,
			live:      strings.Replace(made, "annotations: {", "annotations: {cert-manager.io/inject-ca-from: n/c, ", 1),
			situation: ready, do: Update, wanted: made,
		},
		"what cainjector wrote is left alone": {
			template: template, live: strings.ReplaceAll(made, "Q0E=", "b3RoZXI="),
			situation: with(func(s *Situation) { s.Bundle = injectedBundle }),
		},
		"nothing is made without a template": {situation: ready, lacking: "there is no template"},
		"what is as it should be is left alone": {
			template: template, live: made, situation: ready,
		},
		"and is not taken away because nobody answers": {
			template: template, live: made, situation: with(func(s *Situation) { s.Answered = false }),
		},
		"it goes with its template":                         {live: made, situation: ready, do: Delete, wanted: made},
		"it goes when its template has no webhooks anymore": {template: emptied, live: made, situation: ready, do: Delete, wanted: made},
		"nothing is made of a template without webhooks":    {template: emptied, situation: ready, lacking: "there is no template"},
		"one without webhooks that is none of ours stays":   {template: emptied, live: bare, situation: ready},
		"one of an older release is taken over, and what the template does not have goes": {
			template: template, live: older, situation: ready, do: Update, wanted: withVersion(t, made, "7"),
		},
		"one of an older release stays without a template, with the CA": {
			live: older, situation: ready, do: Update, wanted: `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: zz-bridgehead, labels: {app: bridgehead}, resourceVersion: "7"}
webhooks:
- {name: a, clientConfig: {service: {path: /a}, caBundle: Q0E=}}
- {name: gone, clientConfig: {service: {path: /gone}, caBundle: Q0E=}}
`,
		},
		"a template of a newer release is left to a newer replica": {
			template: template, situation: with(func(s *Situation) { s.Paths = []string{"/a"} }),
			lacking: "zz-bridgehead-template has a webhook at /b, where this release does not answer",
		},
		"and what is in force is not changed for it": {
			template: template, live: made, situation: with(func(s *Situation) { s.Paths = []string{"/a"} }),
			lacking: "zz-bridgehead-template has a webhook at /b, where this release does not answer",
		},
		"a template that is called itself is no template": {
			template: made, situation: ready, lacking: `webhook a of zz-bridgehead lacks the match condition "never"`,
		},
		"beside such a template what is in force gets the next CA": {
			template: made, live: strings.ReplaceAll(made, "Q0E=", "b2xk"), situation: ready, do: Update, wanted: made,
			lacking: `webhook a of zz-bridgehead lacks the match condition "never"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			do, wanted, lacking := Decide(parse(t, tc.template), parse(t, tc.live), tc.situation)
			assert.Equal(t, tc.do, do)
			assert.Equal(t, tc.lacking, lacking)
			if tc.wanted == "" {
				assert.Nil(t, wanted)
				return
			}
			require.NotNil(t, wanted)
			assert.Equal(t, parse(t, tc.wanted).Object, roundTrip(t, wanted))
		})
	}
}

// injected returns a template with what cainjector looks for.
func injected(template string) string {
	return strings.Replace(
		template, "labels: {app: bridgehead}}",
		"labels: {app: bridgehead}, annotations: {bridgehead.dev/inject-ca-from: n/c, other: x}}", 1,
	)
}

func onlyCA(ca, _ []byte) []byte { return slices.Clone(ca) }

func injectedBundle(_, present []byte) []byte { return present }

func withVersion(t *testing.T, text, version string) string {
	u := parse(t, text)
	u.SetResourceVersion(version)
	out, err := yaml.Marshal(u.Object)
	require.NoError(t, err)
	return string(out)
}

// roundTrip returns the object as the API server would read it.
func roundTrip(t *testing.T, u *unstructured.Unstructured) map[string]any {
	text, err := yaml.Marshal(u.Object)
	require.NoError(t, err)
	return parse(t, string(text)).Object
}

func TestTheMutatingConfigurationIsCalledLast(t *testing.T) {
	for _, other := range []string{
		"virt-api-mutator", "kyverno-resource-mutating-webhook-cfg", "gatekeeper-mutating-webhook-configuration",
		"istio-sidecar-injector", "vault-agent-injector-cfg", "vpa-webhook-config", "webhook.pipeline.tekton.dev",
	} {
		assert.Less(t, other, NameOf(Mutating))
	}
	assert.Equal(t, "bridgehead", NameOf(Validating))
}

func TestOnlyOursIsRetired(t *testing.T) {
	const ours = `{webhooks: [{name: a, clientConfig: {service: {namespace: ns, name: s, port: 443}}}]}`
	for name, tc := range map[string]struct {
		text    string
		retires bool
	}{
		"one that our Service answers":           {text: ours, retires: true},
		"none":                                   {},
		"one without webhooks":                   {text: `{metadata: {name: bridgehead}}`},
		"one that another Service answers":       {text: `{webhooks: [{clientConfig: {service: {namespace: ns, name: x}}}]}`},
		"one of another namespace":               {text: `{webhooks: [{clientConfig: {service: {namespace: x, name: s}}}]}`},
		"one that is answered at a URL":          {text: `{webhooks: [{clientConfig: {url: "https://x"}}]}`},
		"one of which not every webhook is ours": {text: `{webhooks: [{clientConfig: {service: {namespace: ns, name: s}}}, {clientConfig: {url: "https://x"}}]}`},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tc.retires, Retires(parse(t, tc.text), "ns", "s")) })
	}
}
