// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/arming"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
)

// kinds returns the custom resources of neighbours: NetworkAddonsConfig and NMState, with no schema.
func kinds() string {
	var all []string
	for plural, names := range map[string][2]string{
		"networkaddonsconfigs": {"networkaddonsoperator.network.kubevirt.io", "NetworkAddonsConfig"},
		"nmstates":             {"nmstate.io", "NMState"},
	} {
		all = append(all, fmt.Sprintf(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[1]s.%[2]s, annotations: {api-approved.kubernetes.io: "unapproved, for a test"}}
spec:
  group: %[2]s
  scope: Cluster
  names: {plural: %[1]s, kind: %[3]s}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
`, plural, names[0], names[1]))
	}
	return strings.Join(all, "---")
}

// applyKinds makes the kinds of neighbours known.
func applyKinds(t *testing.T, s *suite.Suite) {
	t.Helper()
	_, err := s.KubectlInput(t.Context(), kinds(), "apply", "--server-side", "-f", "-")
	require.NoError(t, err)
	_, err = s.Kubectl(t.Context(), "wait", "--for=condition=Established", "crd", "--all")
	require.NoError(t, err)
}

// installed returns the object by which a neighbour is seen.
func installed(n arming.Neighbour) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{}}
	o.SetGroupVersionKind(n.Kind)
	o.SetNamespace(n.Namespace)
	o.SetName(n.Name)
	if n.Kind.Kind == "DaemonSet" {
		labels := map[string]any{"component": "kubernetes-nmstate-handler"}
		o.Object["spec"] = map[string]any{
			"selector": map[string]any{"matchLabels": labels},
			"template": map[string]any{
				"metadata": map[string]any{"labels": labels},
				"spec":     map[string]any{"containers": []any{map[string]any{"name": "handler", "image": "none"}}},
			},
		}
	}
	return o
}

func TestNothingIsDoneBesideOthersThatDoTheSameUntilTheyAreGone(t *testing.T) {
	t.Parallel()
	s := suite.StartForTest(t, suite.Options{})
	applyKinds(t, s)
	for _, namespace := range []string{"nmstate", "openshift-nmstate"} {
		_, err := s.Kubectl(t.Context(), "create", "namespace", namespace)
		require.NoError(t, err)
	}
	all := arming.Neighbours()
	require.NoError(t, s.Client.Create(t.Context(), installed(all[0])))
	replica, err := s.StartUnready(t.Context())
	require.NoError(t, err)
	for i, n := range all {
		what := n.Kind.Kind + " " + strings.TrimPrefix(n.Namespace+"/"+n.Name, "/")
		waitUntil(t, func() bool {
			ready, said := replica.Probe(t.Context())
			require.False(t, ready, "beside %s", what)
			return said == n.Project+" is installed: there is "+what+". To take over, "+n.Remove+"; see docs/install.md\n"
		})
		waitUntil(t, func() bool { return strings.Contains(eventsOfNeighbours(t, s), "there is "+what+".") })
		if i+1 < len(all) { // the next one comes before this one goes
			require.NoError(t, s.Client.Create(t.Context(), installed(all[i+1])))
		}
		require.NoError(t, s.Client.Delete(t.Context(), installed(n)))
	}
	require.NoError(t, replica.WaitReady(t.Context()))
	_, err = s.StartReplica(t.Context())
	require.NoError(t, err)
	assert.NotEmpty(t, webhookNames(t, s))

	require.NoError(t, s.Client.Create(t.Context(), installed(all[1])))
	_, err = s.StartReplica(t.Context())
	assert.NoError(t, err, "who was here first goes on")
}

func eventsOfNeighbours(t *testing.T, s *suite.Suite) string {
	t.Helper()
	events, err := s.Kubectl(t.Context(), "get", "events", "-n", "bridgehead-system",
		"--field-selector=reason=InstalledBesideOthers", "-o", "jsonpath={.items[*].message}{.items[*].note}")
	require.NoError(t, err)
	return events
}

func TestAgentsReportNothingBesideKubernetesNmstate(t *testing.T) {
	t.Parallel()
	s := suite.StartForTest(t, suite.Options{}) // no replica was ever ready: we were not here first
	applyKinds(t, s)
	f := &fleet{Suite: s, client: newNetworkClient(t, s.Config)}
	_, err := f.Kubectl(t.Context(), "create", "namespace", "nmstate")
	require.NoError(t, err)
	handler := arming.OnNodes()[2]
	require.Equal(t, "nmstate-handler", handler.Name)
	require.NoError(t, f.client.Create(t.Context(), installed(handler)))
	agent := f.addNode(t, "n1")
	agent.start(t, newHollow(t))
	waitUntil(t, func() bool {
		return strings.Contains(fmt.Sprint(agent.agent.Ready()), "there is DaemonSet nmstate/nmstate-handler")
	})
	states := &unstructured.UnstructuredList{}
	states.SetAPIVersion("nmstate.io/v1beta1")
	states.SetKind("NodeNetworkStateList")
	require.NoError(t, f.client.List(t.Context(), states))
	assert.Empty(t, states.Items)

	require.NoError(t, f.client.Delete(t.Context(), installed(handler)))
	state := &metav1.PartialObjectMetadata{}
	state.SetGroupVersionKind(states.GroupVersionKind())
	state.Kind = "NodeNetworkState"
	waitUntil(t, func() bool { return f.client.Get(t.Context(), client.ObjectKey{Name: "n1"}, state) == nil })
	waitUntil(t, func() bool { return agent.agent.Ready() == nil })
}
