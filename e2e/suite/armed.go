// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// waitArmed tells the replicas, as the endpoint controller does, that the Service leads to one that is ready, and waits
// until the API server calls their webhooks.
func (s *Suite) waitArmed(ctx context.Context) error {
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: "bridgehead-webhook-suite",
			Labels: map[string]string{discoveryv1.LabelServiceName: "bridgehead-webhook", discoveryv1.LabelManagedBy: "suite"},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{
			{Addresses: []string{"192.0.2.1"}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)}},
		},
	}
	if err := s.Client.Create(ctx, slice); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("tell that the webhooks are answered: %w", err)
	}
	return WaitArmed(ctx, s.Client)
}

// WaitArmed waits until the API server of any cluster calls the webhooks.
func WaitArmed(ctx context.Context, c client.Client) error {
	for _, bad := range []client.Object{brokenPod(), brokenPolicy()} {
		var last error
		err := wait.PollUntilContextTimeout(
			ctx,
			20*time.Millisecond,
			readyTimeout,
			true,
			func(ctx context.Context) (bool, error) {
				last = c.Create(ctx, bad, client.DryRunAll)
				return last != nil && strings.Contains(last.Error(), "denied the request"), nil
			},
		)
		if err != nil {
			return fmt.Errorf("wait until the API server calls the webhooks: %w: the answer to a %T was %w", err, bad, last)
		}
	}
	return nil
}

// brokenPod names networks that cannot be read, which the webhook of pods refuses.
func brokenPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: "broken", Annotations: map[string]string{"k8s.v1.cni.cncf.io/networks": "[{"},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "none"}}},
	}
}

// brokenPolicy wants what is no network state, which the webhook of policies refuses.
func brokenPolicy() *unstructured.Unstructured {
	p := &unstructured.Unstructured{Object: map[string]any{
		"spec": map[string]any{"desiredState": map[string]any{"interfacez": []any{}}},
	}}
	p.SetAPIVersion("nmstate.io/v1")
	p.SetKind("NodeNetworkConfigurationPolicy")
	p.SetName("broken")
	return p
}
