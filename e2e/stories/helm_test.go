// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/bridgehead-dev/bridgehead/e2e/controlplane"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/release/chart"
)

// A helm is Helm's own program, on a packaged chart.
type helm struct{ program, chart, home string }

// newHelm builds helm from its module, which takes minutes the first time, and packages the chart as a release does.
func newHelm(t *testing.T) helm {
	t.Helper()
	root, err := suite.Root()
	require.NoError(t, err)
	packaged, err := chart.Package(filepath.Join(root, "charts/bridgehead"), t.TempDir(), chart.Release{
		Version: "v1.2.3", Created: time.Unix(1700000000, 0), Image: types.Image{
			NewName: "registry.example.org/bridgehead", NewTag: "v1.2.3", Digest: "sha256:" + strings.Repeat("0", 64),
		},
	})
	require.NoError(t, err)
	h := helm{program: filepath.Join(t.TempDir(), "helm"), chart: packaged, home: t.TempDir()}
	build(t, "e2e/helm", h.program, "helm.sh/helm/v3/cmd/helm")
	return h
}

// run runs helm as administrator of a control plane.
func (h helm) run(ctx context.Context, plane *controlplane.ControlPlane, args ...string) error {
	command := exec.CommandContext(ctx, h.program, append(args, "--namespace", "default")...)
	command.Env = append(os.Environ(), "KUBECONFIG="+plane.Kubeconfig, "HOME="+h.home, "XDG_CACHE_HOME="+h.home,
		"XDG_CONFIG_HOME="+h.home, "XDG_DATA_HOME="+h.home)
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("helm %s: %w: %s", args[0], err, out)
	}
	return nil
}

func TestHelmInstallsUpgradesAndUninstallsWithoutStoppingAnybody(t *testing.T) {
	t.Parallel()
	h := newHelm(t)
	s := suite.StartForTest(t, suite.Options{
		Replicas:     2,
		ControlPlane: controlplane.Options{Controllers: []string{"namespace-controller"}},
		Install: func(ctx context.Context, plane *controlplane.ControlPlane) error {
			return h.run(ctx, plane, "install", "bridgehead", h.chart)
		},
	})
	image, err := s.Kubectl(t.Context(), "get", "deployment", "bridgehead", "-n", "bridgehead-system",
		"-o=jsonpath={.spec.template.spec.containers[0].image}")
	require.NoError(t, err)
	assert.Equal(t, "registry.example.org/bridgehead:v1.2.3@sha256:"+strings.Repeat("0", 64), image)
	optIn(t, s)
	_, err = s.KubectlInput(t.Context(), aPolicy+"---"+aPool, "create", "-f", "-")
	require.NoError(t, err)

	clients := startLoad(t, s, 2)
	clients.waitFor(t, 10)
	require.NoError(t, h.run(t.Context(), s.ControlPlane, "upgrade", "bridgehead", h.chart, "--set=optOut.vms=true"))
	waitUntil(t, func() bool { return optsOut(t, s) })
	clients.waitFor(t, 10)
	clients.stop(t)

	// Who creates VMs while webhooks go is not refused; the last ones get no address.
	uninstalling := startClients(t, s, 2, func(number, n int) client.Object {
		return vmWith(fmt.Sprintf("late-%d-%d", number, n), make([]macpool.MAC, 2))
	}, func(client.Object) error { return nil })
	uninstalling.waitFor(t, 10)
	holdNamespace(t, s)
	require.NoError(t, h.run(t.Context(), s.ControlPlane, "uninstall", "bridgehead"))
	require.Empty(t, webhookNames(t, s), "they go before anything else does")
	uninstalling.waitFor(t, 10)
	for _, r := range s.Running() {
		require.NoError(t, s.Kill(r))
	}
	uninstalling.waitFor(t, 10)
	uninstalling.stop(t)
	requireUsersObjects(t, s.ControlPlane)
	require.Error(t, deleteDefinitions(t, s.ControlPlane, "--dry-run=server"), "the guard is there, too")

	// As docs/install.md says.
	requireNotBesideWhatEnds(t, s, h)
	other := []string{"install", "other", h.chart, "--dry-run=server"}
	require.ErrorContains(t, h.run(t.Context(), s.ControlPlane, other...), "invalid ownership metadata")
	require.NoError(t, h.run(t.Context(), s.ControlPlane, append(other, "--take-ownership")...))
	require.NoError(t, h.run(t.Context(), s.ControlPlane, "install", "bridgehead", h.chart))
	requireUsersObjects(t, s.ControlPlane)
	require.NoError(t, h.run(t.Context(), s.ControlPlane, "upgrade", "bridgehead", h.chart, "--set=crds.keep=false"))
	require.NoError(t, h.run(t.Context(), s.ControlPlane, "uninstall", "bridgehead"))
	for _, name := range definitions() {
		waitUntil(t, func() bool {
			_, err := s.Kubectl(t.Context(), "get", "crd", name)
			return err != nil
		})
	}
}

// held is something in a namespace of ours that is not gone before somebody says so.
const held = `
apiVersion: v1
kind: ConfigMap
metadata: {name: held, namespace: bridgehead-system, finalizers: [example.org/held]}
`

// holdNamespace has a namespace of ours still end when everything else of us is gone.
func holdNamespace(t *testing.T, s *suite.Suite) {
	t.Helper()
	_, err := s.KubectlInput(t.Context(), held, "create", "-f", "-")
	require.NoError(t, err)
}

// requireNotBesideWhatEnds requires that an install beside a namespace that is still ending is refused before anything
// of it is there, so that its name is free for the next, and that what the refusal says to wait for comes.
func requireNotBesideWhatEnds(t *testing.T, s *suite.Suite, h helm) {
	t.Helper()
	err := h.run(t.Context(), s.ControlPlane, "install", "bridgehead", h.chart)
	require.ErrorContains(t, err, "the namespace bridgehead-system of an earlier install is still being deleted")
	require.ErrorContains(t, err, "kubectl wait --for=delete namespace/bridgehead-system")
	_, err = s.Kubectl(t.Context(), "get", "serviceaccount", "bridgehead-agent", "-n", "bridgehead-agent")
	require.Error(t, err, "nothing was begun")
	_, err = s.Kubectl(
		t.Context(), "patch", "configmap", "held", "-n", "bridgehead-system", "--type=merge", "-p",
		`{"metadata":{"finalizers":null}}`,
	)
	require.NoError(t, err)
	for _, name := range []string{"bridgehead-system", "bridgehead-agent"} {
		_, err = s.Kubectl(t.Context(), "wait", "--for=delete", "namespace/"+name, "--timeout=4m")
		require.NoError(t, err)
	}
}

// optsOut reports whether the webhook of VMs in force serves every namespace that does not opt out.
func optsOut(t *testing.T, s *suite.Suite) bool {
	t.Helper()
	var c admissionregistrationv1.MutatingWebhookConfiguration
	require.NoError(t, s.Client.Get(t.Context(), client.ObjectKey{Name: "zz-bridgehead"}, &c))
	return c.Webhooks[0].NamespaceSelector.MatchExpressions[0].Operator == "NotIn"
}
