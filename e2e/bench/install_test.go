// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

func TestOtherWebhooksAreCalledAsOursAre(t *testing.T) {
	text, err := os.ReadFile("../../manifests/base/webhook.yaml")
	require.NoError(t, err)
	var ours admissionregistrationv1.MutatingWebhookConfiguration
	require.NoError(t, yaml.UnmarshalStrict(text, &ours))
	byName := map[string]admissionregistrationv1.MutatingWebhook{}
	for _, w := range ours.Webhooks {
		byName[w.Name] = w
	}
	service := types.NamespacedName{Namespace: "default", Name: "bench"}
	for kind, again := range map[string]admissionregistrationv1.ReinvocationPolicyType{
		patching: admissionregistrationv1.IfNeededReinvocationPolicy, mutating: admissionregistrationv1.NeverReinvocationPolicy,
	} {
		t.Run(kind, func(t *testing.T) {
			like, err := likeOurs(ours.Webhooks, kind, service, []byte("ca"), []string{"one", "two"})
			require.NoError(t, err)
			require.Len(t, like, 2)
			assert.NotEqual(t, like[0].Name, like[1].Name)
			for i, name := range []string{webhookOfVMs, webhookOfPods} {
				assert.Equal(t, byName[name].Rules, like[i].Rules)
				assert.Equal(t, byName[name].MatchConditions, like[i].MatchConditions)
				assert.Equal(t, again, *like[i].ReinvocationPolicy)
				assert.Equal(t, "bench", like[i].ClientConfig.Service.Name, "ours is not to be asked")
				assert.Equal(t, []string{"one", "two"}, like[i].NamespaceSelector.MatchExpressions[0].Values)
			}
		})
	}
	_, err = likeOurs(ours.Webhooks[:1], patching, service, nil, nil)
	assert.ErrorContains(t, err, webhookOfPods)
}
