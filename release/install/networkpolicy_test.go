// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/kustomize/api/types"
)

// guarded returns the replicas' Deployment and the NetworkPolicies of the component.
func guarded(t *testing.T) (*appsv1.Deployment, []networkingv1.NetworkPolicy) {
	t.Helper()
	text, err := Render(manifests+"/network-policies", types.Image{})
	require.NoError(t, err)
	deployment := &appsv1.Deployment{}
	var policies []networkingv1.NetworkPolicy
	for documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text))); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return deployment, policies
		}
		require.NoError(t, err)
		var kind metav1.TypeMeta
		require.NoError(t, yaml.Unmarshal(document, &kind))
		switch kind.Kind {
		case "Deployment":
			require.NoError(t, yaml.Unmarshal(document, deployment))
		case "NetworkPolicy":
			var p networkingv1.NetworkPolicy
			require.NoError(t, yaml.Unmarshal(document, &p))
			policies = append(policies, p)
		}
	}
}

// in returns a namespace with the name that every one has as a label.
func in(namespace string, more map[string]string) labels.Set {
	return labels.Merge(labels.Set{"kubernetes.io/metadata.name": namespace}, more)
}

// admits reports whether the policies let traffic to a port of the replicas in. A nil from is who is no pod.
func admits(
	t *testing.T, d *appsv1.Deployment, policies []networkingv1.NetworkPolicy, port string, from labels.Set,
) bool {
	t.Helper()
	for _, p := range policies {
		if !selects(t, &p.Spec.PodSelector, d.Spec.Template.Labels) {
			continue
		}
		for _, rule := range p.Spec.Ingress {
			if hasPort(d, rule.Ports, port) && comesFrom(t, rule.From, from) {
				return true
			}
		}
	}
	return false
}

func selects(t *testing.T, s *metav1.LabelSelector, of map[string]string) bool {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(s)
	require.NoError(t, err)
	return selector.Matches(labels.Set(of))
}

// hasPort reports whether ports are such that a named port of the replicas is among them.
func hasPort(d *appsv1.Deployment, ports []networkingv1.NetworkPolicyPort, name string) bool {
	for _, p := range ports {
		for _, c := range d.Spec.Template.Spec.Containers[0].Ports {
			if c.Name == name && (*p.Port == intstr.FromString(name) || p.Port.IntVal == c.ContainerPort) {
				return true
			}
		}
	}
	return len(ports) == 0
}

func comesFrom(t *testing.T, peers []networkingv1.NetworkPolicyPeer, namespace labels.Set) bool {
	t.Helper()
	for _, p := range peers {
		if namespace != nil && p.NamespaceSelector != nil && selects(t, p.NamespaceSelector, namespace) {
			return true
		}
	}
	return len(peers) == 0
}

func TestNetworkPoliciesLetInWhoIsNeeded(t *testing.T) {
	d, policies := guarded(t)
	require.Len(t, policies, 2)
	for name, tc := range map[string]struct {
		port string
		from labels.Set
		want bool
	}{
		"the API server calls the webhooks, and is no pod": {port: "webhook", want: true},
		"Prometheus scrapes":              {port: "metrics", from: in("monitoring", nil), want: true},
		"Prometheus of OpenShift scrapes": {port: "metrics", from: in("openshift-monitoring", nil), want: true},
		"who is labelled to scrapes": {
			port: "metrics", from: in("mine", map[string]string{"bridgehead.dev/metrics": "true"}), want: true,
		},
		"others do not scrape":          {port: "metrics", from: in("default", nil)},
		"who is no pod does not scrape": {port: "metrics"},
		"nobody else asks the probes":   {port: "probes", from: in("monitoring", nil)},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tc.want, admits(t, d, policies, tc.port, tc.from)) })
	}
	t.Run("replicas reach the API server and name servers", func(t *testing.T) {
		var ports []int32
		for _, rule := range policies[0].Spec.Egress {
			assert.Empty(t, rule.To, "their addresses are not known")
			for _, p := range rule.Ports {
				ports = append(ports, p.Port.IntVal)
			}
		}
		assert.Subset(t, ports, []int32{443, 6443, 8443, 16443, 53})
	})
	t.Run("what else is put into the namespace has no network", func(t *testing.T) {
		other := d.DeepCopy()
		other.Spec.Template.Labels = nil
		assert.False(t, admits(t, other, policies, "webhook", nil))
		nothing := policies[1].Spec
		assert.Empty(t, nothing.Egress)
		assert.ElementsMatch(t, []networkingv1.PolicyType{"Ingress", "Egress"}, nothing.PolicyTypes)
	})
}
