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
)

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
	name, again := "bench-"+kind, "IfNeeded"
	switch kind { // the order of webhooks is that of their names
	case mutating:
		name, again = "virt-api-mutator", "Never" // as KubeVirt calls it
	case following:
		name, again = "zzzz-bench", "Never"
	}
	var namespaces []string
	for _, mode := range modes {
		namespaces = append(namespaces, namespaceOf(mode))
	}
	manifest := strings.NewReplacer(
		"KIND", kind, "NAME", name, "AGAIN", again, "CABUNDLE", base64.StdEncoding.EncodeToString(bundle),
		"SPACES", strings.Join(namespaces, ", "),
	).Replace(webhookManifest)
	if _, err := b.suite.KubectlInput(ctx, manifest, "apply", "-f", "-"); err != nil {
		return err
	}
	service := "default/bench-" + kind
	b.suite.Route(service, addresses...)
	b.services = append(b.services, service)
	return nil
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

// webhookManifest has the rules and the conditions of ours, so that the API server does the same work.
const webhookManifest = `
apiVersion: v1
kind: Service
metadata: {name: bench-KIND, namespace: default}
spec:
  ports: [{port: 443}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: NAME}
webhooks:
- name: KIND.bench.example
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  timeoutSeconds: 5
  reinvocationPolicy: AGAIN
  clientConfig:
    caBundle: CABUNDLE
    service: {name: bench-KIND, namespace: default, path: /, port: 443}
  rules:
  - apiGroups: [kubevirt.io]
    apiVersions: [v1]
    operations: [CREATE, UPDATE]
    resources: [virtualmachines]
    scope: Namespaced
  matchConditions:
  - name: interfaces-differ
    expression: >-
      request.operation == 'CREATE' ||
      object.?spec.template.spec.domain.devices.interfaces != oldObject.?spec.template.spec.domain.devices.interfaces ||
      object.?spec.template.spec.networks != oldObject.?spec.template.spec.networks
  namespaceSelector:
    matchExpressions:
    - {key: kubernetes.io/metadata.name, operator: In, values: [SPACES]}
- name: KIND-pods.bench.example
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  timeoutSeconds: 3
  reinvocationPolicy: AGAIN
  clientConfig:
    caBundle: CABUNDLE
    service: {name: bench-KIND, namespace: default, path: /, port: 443}
  rules:
  - apiGroups: [""]
    apiVersions: [v1]
    operations: [CREATE]
    resources: [pods]
    scope: Namespaced
  matchConditions:
  - name: names-networks-and-is-no-mirror
    expression: >-
      (object.metadata.?annotations[?'k8s.v1.cni.cncf.io/networks'].orValue('') != '' ||
      object.metadata.?annotations[?'v1.multus-cni.io/default-network'].orValue('') != '') &&
      !object.metadata.?annotations[?'kubernetes.io/config.mirror'].hasValue()
  namespaceSelector:
    matchExpressions:
    - {key: kubernetes.io/metadata.name, operator: In, values: [SPACES]}
`
