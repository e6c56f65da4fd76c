// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/arming"
)

// webhookOfVMs and webhookOfPods are ours that others are compared with.
const webhookOfVMs, webhookOfPods = "mutatevirtualmachines.kubemacpool.io", "pods.bridgehead.dev"

// startWebhook has the API server call a webhook for the namespaces of these modes.
func (b *bench) startWebhook(ctx context.Context, kind string, modes []string) error {
	processes := 1
	served := kind
	if kind == twice {
		processes, served = 2, patching
	}
	var addresses []string
	var bundle []byte
	for range processes {
		address, ca, err := b.startProcess(served)
		if err != nil {
			return fmt.Errorf("start webhook: %w", err)
		}
		addresses, bundle = append(addresses, address), append(bundle, ca...)
	}
	var namespaces []string
	for _, mode := range modes {
		namespaces = append(namespaces, namespaceOf(mode))
	}
	service := types.NamespacedName{Namespace: "default", Name: "bench-" + kind}
	b.suite.Route(service.String(), addresses...)
	b.services = append(b.services, service.String())
	return b.install(ctx, kind, service, bundle, namespaces)
}

// install makes the Service and the configuration of a webhook that has a CA.
func (b *bench) install(
	ctx context.Context, kind string, service types.NamespacedName, ca []byte, namespaces []string,
) error {
	var ours admissionregistrationv1.MutatingWebhookConfiguration
	if err := b.suite.Client.Get(ctx, types.NamespacedName{Name: arming.NameOf(arming.Mutating)}, &ours); err != nil {
		return fmt.Errorf("read the rules that other webhooks are to have: %w", err)
	}
	like, err := likeOurs(ours.Webhooks, kind, service, ca, namespaces)
	if err != nil {
		return err
	}
	name := "bench-" + kind
	switch kind { // the order of webhooks is that of their names
	case mutating:
		name = "virt-api-mutator" // as KubeVirt calls it
	case following:
		name = "zzzz-bench"
	}
	for _, o := range []client.Object{
		&corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: service.Namespace, Name: service.Name},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 443}}},
		},
		&admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name}, Webhooks: like},
	} {
		if err := b.suite.Client.Create(ctx, o); err != nil {
			return fmt.Errorf("install webhook %s: %w", kind, err)
		}
	}
	return nil
}

// likeOurs returns webhooks that are called for the VMs and the pods of some namespaces, with the rules, the conditions
// and the time-outs of ours, so that the API server does the same work for them.
func likeOurs(
	ours []admissionregistrationv1.MutatingWebhook, kind string, service types.NamespacedName, ca []byte,
	namespaces []string,
) ([]admissionregistrationv1.MutatingWebhook, error) {
	again := admissionregistrationv1.IfNeededReinvocationPolicy
	if kind == mutating || kind == following {
		again = admissionregistrationv1.NeverReinvocationPolicy
	}
	var like []admissionregistrationv1.MutatingWebhook
	for _, w := range ours {
		if w.Name != webhookOfVMs && w.Name != webhookOfPods {
			continue
		}
		like = append(like, admissionregistrationv1.MutatingWebhook{
			Name:                    fmt.Sprintf("%s-%d.bench.example", kind, len(like)),
			AdmissionReviewVersions: w.AdmissionReviewVersions,
			SideEffects:             ptr.To(admissionregistrationv1.SideEffectClassNone),
			FailurePolicy:           w.FailurePolicy,
			TimeoutSeconds:          w.TimeoutSeconds,
			MatchPolicy:             w.MatchPolicy,
			ReinvocationPolicy:      &again,
			Rules:                   w.Rules,
			MatchConditions:         w.MatchConditions,
			NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpIn, Values: namespaces},
			}},
			ClientConfig: admissionregistrationv1.WebhookClientConfig{
				CABundle: ca, Service: &admissionregistrationv1.ServiceReference{
					Namespace: service.Namespace, Name: service.Name, Path: ptr.To("/"), Port: ptr.To[int32](443),
				},
			},
		})
	}
	if len(like) != 2 {
		return nil, fmt.Errorf("bridgehead has no webhooks %s and %s for others to be like", webhookOfVMs, webhookOfPods)
	}
	return like, nil
}

// startProcess runs this program again as a webhook, so that it is a process of its own as ours is, and returns its
// address and its CA in PEM.
func (b *bench) startProcess(kind string) (address string, ca []byte, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	process := exec.Command(self, "-serve", kind)
	process.Env = append(os.Environ(), "KUBECONFIG="+b.suite.Kubeconfig)
	process.Stderr = os.Stderr
	process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := process.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := process.Start(); err != nil {
		return "", nil, err
	}
	b.processes = append(b.processes, process)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return "", nil, err
	}
	address, encoded, _ := strings.Cut(strings.TrimSpace(line), " ")
	ca, err = base64.StdEncoding.DecodeString(encoded)
	return address, ca, err
}
