// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// TestControlPlane shares one control plane among all tests that do not need their own. Each works in a
// namespace of its own and leaves the API server running.
func TestControlPlane(t *testing.T) {
	tests := map[string]func(*testing.T, *ControlPlane){
		"a webhook is reached by its Service, on every backend":    testWebhookByService,
		"a webhook given by URL is dialled directly":               testWebhookByURL,
		"the API server comes back with its data and credentials":  testRestart,
		"custom resources of KubeVirt and Multus are served":       testKubeVirt,
		"a service account may do what its roles say and no more":  testServiceAccount,
		"a kustomization is applied, with its custom resources":    testApplyKustomization,
		"kubectl tells why it failed":                              testKubectlFailure,
		"a kubeconfig depends on no other file":                    testKubeconfig,
		"controllers run":                                          testControllers,
		"the scheduler runs":                                       testScheduler,
		"programs say the version they are pinned to":              testVersion,
		"what is sent to no Service is refused":                    testConnectToNoService,
		"what starts a second time beside the first is no trouble": testSecond,
	}
	c := StartForTest(t, Options{
		Controllers:   []string{"namespace-controller", "serviceaccount-controller"},
		Scheduler:     true,
		UnsafeNoFsync: true,
	})
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, c) })
	}
}

// namespace makes an empty namespace for one test.
func namespace(t *testing.T, c *ControlPlane, name string) string {
	t.Helper()
	kubectl(t, c, "create", "namespace", name)
	return name
}

// kubectl runs kubectl, which must succeed.
func kubectl(t *testing.T, c *ControlPlane, args ...string) string {
	t.Helper()
	out, err := c.Kubectl(t.Context(), args...)
	require.NoError(t, err)
	return out
}

// apply applies manifests, which must succeed.
func apply(t *testing.T, c *ControlPlane, manifests string) {
	t.Helper()
	_, err := c.KubectlInput(t.Context(), manifests, "apply", "--server-side", "-f", "-")
	require.NoError(t, err)
}

func testRestart(t *testing.T, c *ControlPlane) {
	ns := namespace(t, c, "restart")
	require.NoError(t, c.KillAPIServer())
	_, err := c.Kubectl(t.Context(), "get", "namespace", ns, "--request-timeout=1m")
	require.ErrorContains(t, err, "refused")
	require.NoError(t, c.RestartAPIServer(t.Context()))
	kubectl(t, c, "get", "namespace", ns)
	require.NoError(t, c.RestartAPIServer(t.Context()), "also if it runs")
	kubectl(t, c, "get", "namespace", ns)
}

func testServiceAccount(t *testing.T, c *ControlPlane) {
	ns := namespace(t, c, "accounts")
	kubectl(t, c, "-n", ns, "create", "serviceaccount", "reader")
	kubectl(t, c, "-n", ns, "create", "role", "reader", "--verb=list", "--resource=configmaps")
	kubectl(t, c, "-n", ns, "create", "rolebinding", "reader", "--role=reader", "--serviceaccount="+ns+":reader")

	cfg, err := c.ServiceAccountConfig(t.Context(), ns, "reader")
	require.NoError(t, err)
	reader, err := kubernetes.NewForConfig(cfg)
	require.NoError(t, err)
	_, err = reader.CoreV1().ConfigMaps(ns).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	_, err = reader.CoreV1().Secrets(ns).List(t.Context(), metav1.ListOptions{})
	require.True(t, apierrors.IsForbidden(err), err)

	_, err = c.ServiceAccountConfig(t.Context(), ns, "nobody")
	require.ErrorContains(t, err, `request a token of service account accounts/nobody: serviceaccounts "nobody" not found`)
}

func testKubectlFailure(t *testing.T, c *ControlPlane) {
	_, err := c.Kubectl(t.Context(), "get", "namespace", "nowhere")
	require.EqualError(t, err, `kubectl get namespace nowhere: exit status 1: Error from server (NotFound): namespaces "nowhere" not found`)
}

func testKubeconfig(t *testing.T, c *ControlPlane) {
	path := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, WriteKubeconfig(path, c.Config))
	cfg, err := clientcmd.BuildConfigFromFlags("", path)
	require.NoError(t, err)
	client, err := kubernetes.NewForConfig(cfg)
	require.NoError(t, err)
	_, err = client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
}

func testControllers(t *testing.T, c *ControlPlane) {
	ns := namespace(t, c, "controllers")
	kubectl(t, c, "-n", ns, "wait", "--for=create", "serviceaccount/default", "--timeout=30s")
	kubectl(t, c, "delete", "namespace", ns, "--timeout=30s")
}

func testScheduler(t *testing.T, c *ControlPlane) {
	ns := namespace(t, c, "scheduler")
	kubectl(t, c, "-n", ns, "wait", "--for=create", "serviceaccount/default", "--timeout=30s")
	apply(t, c, `
apiVersion: v1
kind: Node
metadata: {name: node01}
---
apiVersion: v1
kind: Pod
metadata: {name: pod, namespace: scheduler}
spec:
  tolerations: [{operator: Exists}]
  containers: [{name: c, image: none}]
`)
	kubectl(t, c, "patch", "node", "node01", "--subresource=status", "--patch",
		`{"status":{"capacity":{"pods":"10"},"allocatable":{"pods":"10"}}}`)
	kubectl(t, c, "-n", ns, "wait", "--for=condition=PodScheduled", "pod/pod", "--timeout=30s")
	assert.Equal(t, "node01", kubectl(t, c, "-n", ns, "get", "pod", "pod", "--output=jsonpath={.spec.nodeName}"))
}

func testVersion(t *testing.T, c *ControlPlane) {
	out := kubectl(t, c, "version", "--output=yaml")
	assert.Regexp(t, `(?s)clientVersion:.*gitVersion: v1\.\d+\.\d+\n.*serverVersion:.*gitVersion: v1\.\d+\.\d+\n`, out)
	assert.NotContains(t, out, "v0.0.0")
}

func testSecond(t *testing.T, c *ControlPlane) {
	second := StartForTest(t, Options{UnsafeNoFsync: true})
	assert.DirExists(t, c.run.dir, "a run whose owner lives is not cleared away")
	assert.NotEqual(t, c.Config.Host, second.Config.Host)
	kubectl(t, c, "get", "namespace", "default")
	kubectl(t, second, "get", "namespace", "default")
}

func TestStopLeavesNothing(t *testing.T) {
	logs := t.TempDir()
	for range 2 {
		c, err := Start(t.Context(), Options{LogDir: logs})
		require.NoError(t, err)
		pids := c.pids()
		require.Len(t, pids, 2)
		require.NoError(t, c.Stop())
		for _, pid := range pids {
			assert.NoDirExists(t, filepath.Join("/proc", pid))
		}
		assert.NoDirExists(t, c.run.dir)
		assert.FileExists(t, filepath.Join(logs, "kube-apiserver.log"))
		require.NoError(t, c.Stop(), "stopping twice is fine")
	}
}

func TestStartThatFailsShowsLogsAndLeavesNothing(t *testing.T) {
	c, err := Start(t.Context(), Options{APIServerArgs: []string{"--no-such-flag"}})
	require.ErrorContains(t, err, "kube-apiserver exited before it was ready: exit status 1")
	require.ErrorContains(t, err, "unknown flag: --no-such-flag")
	require.Nil(t, c)
}

func TestStartEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Start(ctx, Options{})
	require.ErrorIs(t, err, context.Canceled)
}

func testApplyKustomization(t *testing.T, c *ControlPlane) {
	dir := t.TempDir()
	files := map[string]string{
		"kustomization.yaml": "namespace: kustomized\nresources: [namespace.yaml, crd.yaml, settings.yaml]\n",
		"namespace.yaml":     "apiVersion: v1\nkind: Namespace\nmetadata: {name: kustomized}\n",
		"settings.yaml":      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n",
		"crd.yaml": `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: bridges.test.bridgehead.dev}
spec:
  group: test.bridgehead.dev
  names: {kind: Bridge, plural: bridges}
  scope: Namespaced
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
`,
	}
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	require.NoError(t, c.Apply(t.Context(), dir))
	apply(t, c, "apiVersion: test.bridgehead.dev/v1\nkind: Bridge\nmetadata: {name: br0, namespace: kustomized}\n")
	kubectl(t, c, "-n", "kustomized", "get", "configmap", "settings")

	require.NoError(t, c.Apply(t.Context(), filepath.Join(dir, "namespace.yaml")), "a file")
	require.ErrorContains(t, c.Apply(t.Context(), filepath.Join(dir, "nothing")), "does not exist")
}
