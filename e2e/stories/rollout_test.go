// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	"github.com/bridgehead-dev/bridgehead/api/nmstate/v1beta1"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
)

// A rollout is a cluster with a manager, whose nodes have fake agents.
type rollout struct {
	*suite.Suite
	*fakeAgents
	t *testing.T
}

// apply writes a policy with a bridge of its own name. spec is what else it says.
func (r rollout) apply(name, spec string) {
	r.t.Helper()
	_, err := r.KubectlInput(r.t.Context(), fmt.Sprintf(`
apiVersion: nmstate.io/v1
kind: NodeNetworkConfigurationPolicy
metadata: {name: %[1]s}
spec:
  desiredState: {interfaces: [{name: %[1]s, type: linux-bridge, state: up}]}
%[2]s`, name, spec), "apply", "-f", "-")
	require.NoError(r.t, err)
}

// kubectl runs kubectl and returns the words of each line.
func (r rollout) kubectl(args ...string) [][]string {
	r.t.Helper()
	out, err := r.Kubectl(r.t.Context(), args...)
	require.NoError(r.t, err)
	var lines [][]string
	for line := range strings.Lines(strings.TrimSpace(out)) {
		lines = append(lines, strings.Fields(line))
	}
	return lines
}

// label sets a label of nodes, or removes it if it ends in a dash.
func (r rollout) label(label string, nodes ...string) {
	r.t.Helper()
	r.kubectl(append(append([]string{"label", "node"}, nodes...), label)...)
}

func TestRollout(t *testing.T) {
	t.Parallel()
	s := suite.StartForTest(t, suite.Options{Replicas: 2, WithoutKubeVirt: true})
	c, err := client.NewWithWatch(s.Config, client.Options{Scheme: newNetworkClient(t, s.Config).Scheme()})
	require.NoError(t, err)
	r := rollout{Suite: s, fakeAgents: startAgents(t, c, "n1", "n2", "n3", "n4", "n5", "n6"), t: t}
	t.Run("no more nodes than maxUnavailable take their turns at a time", r.testTurns)
	t.Run("a failure has the others abort, until the policy changes", r.testFailure)
	t.Run("nodes come, go and change their labels", r.testNodes)
	t.Run("a policy that changes while nodes are at work", r.testChange)
	t.Run("a policy that selects nobody", r.testNobody)
	t.Run("an enactment of a policy that does not exist", r.testOrphan)
	t.Run("the manager is killed in the middle", r.testKill)
	t.Run("a policy that is deleted takes its enactments along", r.testDelete)
}

func (r rollout) testTurns(t *testing.T) {
	r.t = t
	r.apply("br-turns", "  maxUnavailable: 2")
	r.kubectl("wait", "nncp", "br-turns", "--for", "condition=Available", "--timeout", "2m")
	r.requireMost(r.t, "br-turns", 2)
	assert.Equal(t, [][]string{
		{"NAME", "STATUS", "REASON"}, {"br-turns", "Available", "SuccessfullyConfigured"},
	}, r.kubectl("get", "nncp", "br-turns"))
	assert.Contains(t, scrape(t, r.leader().Metrics), `bridgehead_policy_nodes{policy="br-turns",state="available"} 6`)
	enactments := r.kubectl("get", "nnce")
	assert.Equal(t, []string{"NAME", "STATUS", "STATUS", "AGE", "REASON"}, enactments[0])
	require.Len(t, enactments, 7)
	for i, line := range enactments[1:] {
		assert.Equal(t, []string{fmt.Sprintf("n%d.br-turns", i+1), "Available"}, line[:2])
	}
	assert.Equal(t, [][]string{{"Node/n1"}}, r.kubectl("get", "nnce", "n1.br-turns", "-o",
		"jsonpath={.metadata.ownerReferences[0].kind}/{.metadata.ownerReferences[0].name}"))
}

func (r rollout) testFailure(t *testing.T) {
	r.t = t
	r.label("pair=yes", "n1", "n2")
	r.set(func(w *fakeAgents) { w.broken["n1"] = true })
	r.apply("br-pair", "  maxUnavailable: 1\n  nodeSelector: {pair: \"yes\"}")
	r.requireMessage(r.t, "br-pair", nmstate.PolicyDegraded, "1/2 nodes failed to configure, 1 nodes aborted configuration")
	r.requireMost(r.t, "br-pair", 1)
	assert.Equal(
		t,
		[][]string{{"n2.br-pair", "Aborted", "ConfigurationAborted"}},
		r.kubectl(
			"get", "nnce", "n2.br-pair", "-o",
			`jsonpath={.metadata.name} {.status.conditions[?(@.status=="True")].type} {.status.conditions[?(@.status=="True")].reason}`,
		),
	)
	require.Eventually(t, func() bool {
		events, err := r.Kubectl(t.Context(), "get", "events", "--field-selector", "involvedObject.name=br-pair",
			"-o", "jsonpath={.items[*].reason}: {.items[*].message}")
		return err == nil && events == `ReconcileFailed: reconciliation of enactment "n2.br-pair" has aborted`
	}, within, 10*moment)
	r.set(func(w *fakeAgents) { clear(w.broken) })
	r.kubectl("patch", "nncp", "br-pair", "--type=merge", "-p", `{"spec": {"maxUnavailable": "50%"}}`)
	r.requireMessage(r.t, "br-pair", nmstate.PolicyAvailable, "2/2 nodes successfully configured")
	r.requireMost(r.t, "br-pair", 1)
}

func (r rollout) testNodes(t *testing.T) {
	r.t = t
	r.kubectl("delete", "node", "n6")
	r.requireMessage(r.t, "br-turns", nmstate.PolicyAvailable, "5/5 nodes successfully configured")
	require.Eventually(t, func() bool { return r.says("n6.br-turns") == nil }, within, moment)
	r.addNode(r.t, "n7")
	r.requireMessage(r.t, "br-turns", nmstate.PolicyAvailable, "6/6 nodes successfully configured")
	r.label("pair-", "n2")
	r.requireMessage(r.t, "br-pair", nmstate.PolicyAvailable, "1/1 nodes successfully configured")
	require.Eventually(t, func() bool { return slices.Equal(r.names("br-pair"), []string{"n1.br-pair"}) }, within, moment)
	r.kubectl("delete", "nnce", "n3.br-turns")
	require.Eventually(t, func() bool { return len(r.says("n3.br-turns")) > 0 }, within, moment, "it is made again")
	r.requireMessage(r.t, "br-turns", nmstate.PolicyAvailable, "6/6 nodes successfully configured")
	r.kubectl("delete", "nns", "--all")
	r.label("pair=yes", "n2")
	r.requireMessage(r.t, "br-pair", nmstate.PolicyAvailable, "1/1 nodes successfully configured")
	r.requireMessage(r.t, "br-turns", nmstate.PolicyAvailable, "6/6 nodes successfully configured")
}

func (r rollout) testChange(t *testing.T) {
	r.t = t
	r.set(func(w *fakeAgents) { w.held = true })
	r.kubectl("patch", "nncp", "br-turns", "--type=merge", "-p", `{"spec": {"desiredState": {"interfaces": [{"name": "br-second", "type": "linux-bridge", "state": "up"}]}}}`)
	r.requireMessage(r.t, "br-turns", nmstate.PolicyProgressing, "Policy is progressing 0/6 nodes finished, 4 pending")
	r.kubectl("patch", "nncp", "br-turns", "--type=merge", "-p", `{"spec": {"desiredState": {"interfaces": [{"name": "br-third", "type": "linux-bridge", "state": "up"}]}}}`)
	require.Eventually(t, func() bool {
		return r.turn("n1.br-turns") == 3 && r.turn("n2.br-turns") == 3
	}, within, moment, "those at work go on with the newest")
	r.set(func(w *fakeAgents) { w.held = false })
	r.requireMessage(r.t, "br-turns", nmstate.PolicyAvailable, "6/6 nodes successfully configured")
	r.requireMost(r.t, "br-turns", 2)
	assert.Equal(
		t,
		[][]string{{"3", "3", "3", "3", "3", "3"}},
		r.kubectl("get", "nnce", "-l", nmstate.PolicyLabel+"=br-turns",
			"-o", "jsonpath={.items[*].status.policyGeneration}"),
	)
}

func (r rollout) testNobody(t *testing.T) {
	r.t = t
	r.apply("br-nobody", "  nodeSelector: {nobody: \"has-this\"}")
	r.requireMessage(r.t, "br-nobody", nmstate.PolicyIgnored, "Policy does not match any node")
	assert.Equal(
		t, [][]string{{"br-nobody", "Ignored", "NoMatchingNode"}}, r.kubectl("get", "nncp", "br-nobody", "--no-headers"),
	)
}

func (r rollout) testOrphan(t *testing.T) {
	r.t = t
	orphan := &v1beta1.NodeNetworkConfigurationEnactment{ObjectMeta: metav1.ObjectMeta{
		Name: "n1.nothing", Labels: map[string]string{nmstate.NodeLabel: "n1", nmstate.PolicyLabel: "nothing"},
	}}
	require.NoError(t, r.fakeAgents.client.Create(t.Context(), orphan))
	require.Eventually(t, func() bool {
		return apierrors.IsNotFound(r.fakeAgents.client.Get(t.Context(), client.ObjectKeyFromObject(orphan), orphan))
	}, within, moment)
}

// The replica that hands out turns is killed while a node is at work, and another goes on.
func (r rollout) testKill(t *testing.T) {
	r.t = t
	r.set(func(w *fakeAgents) { w.held = true })
	r.label("kill=yes", "n1", "n2", "n3", "n4", "n5")
	for _, node := range []string{"n1", "n2", "n3", "n4", "n5"} {
		r.addState(r.t, node)
	}
	r.apply("br-kill", "  maxUnavailable: 1\n  nodeSelector: {kill: \"yes\"}")
	r.requireMessage(r.t, "br-kill", nmstate.PolicyProgressing, "Policy is progressing 0/5 nodes finished, 4 pending")
	leader := r.leader()
	require.NoError(t, r.Suite.Kill(leader))
	killed := time.Now()
	r.set(func(w *fakeAgents) { w.held = false })
	r.requireMessage(r.t, "br-kill", nmstate.PolicyAvailable, "5/5 nodes successfully configured")
	t.Logf("%s was killed; the rollout was done %.1f s later", leader.Name, time.Since(killed).Seconds())
	r.requireMost(r.t, "br-kill", 1)
}

// leader returns the replica that hands out turns.
func (r rollout) leader() *suite.Replica {
	r.t.Helper()
	var lease coordinationv1.Lease
	require.NoError(
		r.t,
		r.Suite.Client.Get(
			r.t.Context(), types.NamespacedName{Namespace: "bridgehead-system", Name: "bridgehead-rollout"}, &lease,
		),
	)
	for _, replica := range r.Running() {
		if strings.HasPrefix(ptr.Deref(lease.Spec.HolderIdentity, ""), replica.Name+"-") {
			return replica
		}
	}
	require.Fail(r.t, "the lease is of none of the replicas", ptr.Deref(lease.Spec.HolderIdentity, ""))
	return nil
}

func (r rollout) testDelete(t *testing.T) {
	r.t = t
	r.kubectl("delete", "nncp", "br-turns", "br-pair", "br-nobody", "br-kill")
	require.Eventually(t, func() bool {
		return len(r.names("br-turns"))+len(r.names("br-pair"))+len(r.names("br-kill")) == 0
	}, within, moment)
	require.Eventually(
		t, func() bool { return !strings.Contains(scrape(t, r.leader().Metrics), "bridgehead_policy_nodes{") }, within,
		moment,
	)
}
