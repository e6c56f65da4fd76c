// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/e2e/controlplane"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
	"github.com/bridgehead-dev/bridgehead/macpool"
)

const aPolicy = `
apiVersion: nmstate.io/v1
kind: NodeNetworkConfigurationPolicy
metadata: {name: users}
spec: {desiredState: {interfaces: [{name: br7, type: linux-bridge, state: up}]}}
`

// definitions returns the custom resource definitions of the manifests.
func definitions() []string {
	return []string{
		"macpools.bridgehead.dev", "macblocks.bridgehead.dev", "nodenetworkconfigurationpolicies.nmstate.io",
		"nodenetworkconfigurationenactments.nmstate.io", "nodenetworkstates.nmstate.io",
	}
}

const aPool = `
apiVersion: bridgehead.dev/v1alpha1
kind: MACPool
metadata: {name: users}
spec: {ranges: [{start: "02:00:00:00:00:00", end: "02:00:00:00:00:ff"}]}
`

func TestUninstallKeepsWhatUsersMadeAndStopsNobody(t *testing.T) {
	t.Parallel()
	s := suite.StartForTest(t, suite.Options{Replicas: 2})
	optIn(t, s)
	_, err := s.KubectlInput(t.Context(), aPolicy+"---"+aPool, "create", "-f", "-")
	require.NoError(t, err)
	root, err := suite.Root()
	require.NoError(t, err)
	_, err = s.Kubectl(
		t.Context(), "delete", "-k", root+"/manifests", "--wait=false", "--selector=bridgehead.dev/keep!=true",
	)
	require.NoError(t, err, "what is kept is not asked for")
	waitUntil(t, func() bool { return len(webhookNames(t, s)) == 0 })
	for _, r := range s.Running() {
		require.NoError(t, s.Kill(r))
	}
	waitUntil(t, func() bool { return s.Client.Create(t.Context(), vmWith("after", make([]macpool.MAC, 1))) == nil })
	requireUsersObjects(t, s.ControlPlane)
}

// requireUsersObjects requires that aPolicy and aPool are there.
func requireUsersObjects(t *testing.T, plane *controlplane.ControlPlane) {
	t.Helper()
	out, err := plane.Kubectl(t.Context(), "get", "nncp/users", "macpool/users", "-o", "name")
	require.NoError(t, err)
	require.Equal(t, "nodenetworkconfigurationpolicy.nmstate.io/users\nmacpool.bridgehead.dev/users\n", out)
}

func TestWhatUsersMadeOutlivesAsManyUninstallsAsTheyLike(t *testing.T) {
	t.Parallel()
	plane := controlplane.StartForTest(t, controlplane.Options{Controllers: []string{"namespace-controller"}})
	root, err := suite.Root()
	require.NoError(t, err)
	require.NoError(t, plane.Apply(t.Context(), root+"/manifests"))
	_, err = plane.KubectlInput(t.Context(), aPolicy+"---"+aPool, "create", "-f", "-")
	require.NoError(t, err)
	waitUntil(t, func() bool { return deleteDefinitions(t, plane, "--dry-run=server") != nil })
	deleteAll := []string{"delete", "-k", root + "/manifests", "--ignore-not-found", "--wait=false"}
	for range 2 {
		_, err = plane.Kubectl(t.Context(), deleteAll...)
		for _, name := range definitions() {
			require.ErrorContains(t, err, name+" is kept, for all its objects would be deleted with it")
		}
	}
	require.NoError(t, plane.RestartAPIServer(t.Context()), "it reads the policy again")
	waitUntil(t, func() bool { return deleteDefinitions(t, plane, "--dry-run=server") != nil })
	_, err = plane.Kubectl(t.Context(), deleteAll...)
	require.ErrorContains(t, err, "is kept")
	requireUsersObjects(t, plane)

	waitUntil(t, func() bool { // the namespaces end
		_, err = plane.Kubectl(t.Context(), "apply", "--server-side", "-k", root+"/manifests")
		return err == nil
	})
	require.Error(t, deleteDefinitions(t, plane))
	requireUsersObjects(t, plane)

	// As docs/install.md says.
	_, err = plane.Kubectl(
		t.Context(), "annotate", "crd", "-l", "bridgehead.dev/keep", "bridgehead.dev/delete-all-objects=true",
	)
	require.NoError(t, err)
	for _, kind := range []string{"validatingadmissionpolicy", "validatingadmissionpolicybinding"} {
		_, err = plane.Kubectl(
			t.Context(), "patch", kind, "bridgehead-keep", "--type=merge", `--patch={"metadata":{"finalizers":null}}`,
		)
		require.NoError(t, err)
	}
	_, err = plane.Kubectl(t.Context(), "delete", "-k", root+"/manifests", "--ignore-not-found", "--wait=false")
	require.NoError(t, err)
	waitUntil(t, func() bool {
		left, err := plane.Kubectl(t.Context(), "get", "crd,validatingadmissionpolicies", "-o", "name")
		require.NoError(t, err)
		return left == ""
	})
}

func deleteDefinitions(t *testing.T, plane *controlplane.ControlPlane, flags ...string) error {
	_, err := plane.Kubectl(t.Context(), append(append([]string{"delete", "crd"}, definitions()...), flags...)...)
	return err
}

func TestCustomResourcesOfKubernetesNmstateAreTakenOverWithTheirPolicies(t *testing.T) {
	t.Parallel()
	plane := controlplane.StartForTest(t, controlplane.Options{})
	root, err := suite.Root()
	require.NoError(t, err)
	// As its operator makes them: by another field manager, generated otherwise, and stored in an older version once.
	crd := root + "/manifests/crds/nmstate.io_nodenetworkconfigurationpolicies.yaml"
	text, err := exec.CommandContext(t.Context(), "sed", "s/controller-gen.kubebuilder.io.version: .*/controller-gen.kubebuilder.io\\/version: v0.0.1/", crd).Output()
	require.NoError(t, err)
	_, err = plane.KubectlInput(t.Context(), string(text), "create", "-f", "-")
	require.NoError(t, err)
	name := "nodenetworkconfigurationpolicies.nmstate.io"
	_, err = plane.Kubectl(t.Context(), "wait", "--for=condition=Established", "crd", name)
	require.NoError(t, err)
	_, err = plane.Kubectl(
		t.Context(), "patch", "crd", name, "--subresource=status", "--type=merge", "-p",
		`{"status":{"storedVersions":["v1alpha1","v1"]}}`,
	)
	require.NoError(t, err)
	_, err = plane.KubectlInput(t.Context(), aPolicy, "create", "-f", "-")
	require.NoError(t, err)

	_, err = plane.Kubectl(t.Context(), "apply", "--server-side", "-k", root+"/manifests")
	require.ErrorContains(t, err, "--force-conflicts", "it says who has them, and how to take over")
	_, err = plane.Kubectl(t.Context(), "apply", "--server-side", "--force-conflicts", "-k", root+"/manifests")
	require.NoError(t, err)
	reader, err := client.New(plane.Config, client.Options{})
	require.NoError(t, err)
	policy := &unstructured.Unstructured{}
	policy.SetAPIVersion("nmstate.io/v1")
	policy.SetKind("NodeNetworkConfigurationPolicy")
	require.NoError(t, reader.Get(t.Context(), client.ObjectKey{Name: "users"}, policy))
	assert.Contains(t, policy.Object["spec"], "desiredState")
}
