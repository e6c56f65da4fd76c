// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	"github.com/bridgehead-dev/bridgehead/api/nmstate/v1beta1"
	"github.com/bridgehead-dev/bridgehead/nad"
	"github.com/bridgehead-dev/bridgehead/netstate"
)

const (
	agentBridge   = "br1"
	agentResource = corev1.ResourceName(nad.BridgePrefix + agentBridge)
	agentPolicy   = `
apiVersion: nmstate.io/v1
kind: NodeNetworkConfigurationPolicy
metadata:
  name: uplink
  annotations: {bridgehead.dev/on-delete: revert}
spec:
  desiredState:
    interfaces:
    - name: br1
      type: linux-bridge
      state: up
      ipv4: {enabled: false}
      bridge:
        options: {stp: {enabled: false}}
        port: [{name: eth1}]
`
	// within is how long something may take that takes a second at most on a machine of its own.
	within = 5 * time.Minute
	moment = 20 * time.Millisecond
)

func TestAgentsKeepTheirNodesAsAPolicySays(t *testing.T) {
	t.Parallel()
	f := startFleet(t)
	agents, networks := []*hollowAgent{f.addNode(t, "n1"), f.addNode(t, "n2")}, []*hollowNode{newHollow(t), newHollow(t)}
	start := func(n int) { agents[n].start(t, networks[n]) }
	start(0)
	start(1)
	_, err := f.KubectlInput(t.Context(), agentPolicy, "apply", "-f", "-")
	require.NoError(t, err)
	for n, agent := range agents {
		require.Eventually(
			t, func() bool { return f.available(t, agent.name) && f.offers(t, agent.name) == 1000 }, within, moment, "applied",
		)
		require.True(t, networks[n].bridged())
	}
	var state v1beta1.NodeNetworkState
	require.NoError(t, f.client.Get(t.Context(), types.NamespacedName{Name: "n1"}, &state))
	assert.Contains(t, string(state.Status.CurrentState.Raw), `"name":"br1"`)
	assert.Equal(t, "Node", state.OwnerReferences[0].Kind)

	t.Run("what kubelet sets to zero is offered again", func(t *testing.T) { f.zero(t, "n1") })
	t.Run("what somebody removes is put back", func(t *testing.T) {
		networks[0].removeBridge(t)
		require.Eventually(t, func() bool { return networks[0].bridged() }, within, moment)
		require.Eventually(t, func() bool { return agents[0].said("uplink Healed: n1: ") }, within, moment)
	})
	t.Run("a node that boots while the API server is away has its bridge", func(t *testing.T) {
		agents[1].stop()
		require.NoError(t, f.KillAPIServer())
		networks[1] = newHollow(t)
		start(1)
		require.Eventually(t, func() bool { return networks[1].bridged() }, within, moment)
		networks[1].removeBridge(t)
		require.Eventually(t, func() bool { return networks[1].bridged() }, within, moment, "and keeps it")
		require.NoError(t, f.RestartAPIServer(t.Context()))
	})
	t.Run("a policy that a node gave up at boot is applied anew, and people are told", func(t *testing.T) {
		agents[1].stop()
		agents[1].fall(t, "no answer from default gateway (192.0.2.1 through br1: no ARP reply) within 1m0s")
		networks[1] = newHollow(t)
		start(1)
		const note = "fell back to the distribution's configuration at boot: no answer from default gateway (192.0.2.1 " +
			"through br1: no ARP reply) within 1m0s"
		require.Eventually(t, func() bool { return f.told(t, "FellBackAtBoot") == "n2: "+note }, within, moment)
		var e v1beta1.NodeNetworkConfigurationEnactment
		require.Eventually(t, func() bool {
			err := f.client.Get(t.Context(), types.NamespacedName{Name: "n2.uplink"}, &e)
			return err == nil && slices.ContainsFunc(e.Status.Conditions, func(c nmstate.Condition) bool {
				return c.Type == nmstate.EnactmentAvailable && c.Message == "successfully reconciled; "+note
			})
		}, within, moment)
		assert.True(t, networks[1].bridged())
		assert.Equal(t, map[string]int{"1": 1}, e.Status.RetryCount)
	})
	t.Run("a policy that is deleted is undone where it says so", func(t *testing.T) {
		_, err := f.Kubectl(t.Context(), "delete", "nncp", "uplink")
		require.NoError(t, err)
		for n, agent := range agents {
			require.Eventually(t, func() bool { return !networks[n].bridged() && f.offers(t, agent.name) == 0 }, within, moment)
		}
	})
}

func TestAPolicyThatIsDeletedLeavesWhatItMade(t *testing.T) {
	t.Parallel()
	f := startFleet(t)
	agent, network := f.addNode(t, "n1"), newHollow(t)
	agent.start(t, network)
	policy := strings.ReplaceAll(agentPolicy, "{bridgehead.dev/on-delete: revert}", "{}")
	require.NotEqual(t, agentPolicy, policy)
	_, err := f.KubectlInput(t.Context(), policy, "apply", "-f", "-")
	require.NoError(t, err)
	require.Eventually(
		t, func() bool { return f.available(t, "n1") && f.offers(t, "n1") == 1000 }, within, moment, "applied",
	)

	_, err = f.Kubectl(t.Context(), "delete", "nncp", "uplink")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return agent.forgot(t, "uplink") }, within, moment)
	assert.True(t, network.bridged())
	var e v1beta1.NodeNetworkConfigurationEnactment
	require.Eventually(t, func() bool {
		return apierrors.IsNotFound(f.client.Get(t.Context(), types.NamespacedName{Name: "n1.uplink"}, &e))
	}, within, moment, "the enactment goes with the policy")
	f.zero(t, "n1") // with its uplink it is offered like one made by hand

	agent.stop()
	booted := newHollow(t)
	agent.start(t, booted)
	require.Eventually(t, booted.bridged, within, moment, "also over a reboot")
}

// A busyNode is one that takes its time to be read while somebody holds it.
type busyNode struct {
	*hollowNode
	held  sync.Mutex
	waits atomic.Int32
}

// Read implements nodeagent.Network.
func (b *busyNode) Read() (netstate.State, error) {
	b.waits.Add(1)
	b.held.Lock()
	defer b.held.Unlock()
	b.waits.Add(-1)
	return b.hollowNode.Read()
}

func TestAPolicyThatIsAnnotatedAndDeletedWhileTheAgentIsBusyIsUndone(t *testing.T) {
	t.Parallel()
	f := startFleet(t)
	agent, network := f.addNode(t, "n1"), &busyNode{hollowNode: newHollow(t)}
	agent.start(t, network)
	policy := strings.ReplaceAll(agentPolicy, "{bridgehead.dev/on-delete: revert}", "{}")
	_, err := f.KubectlInput(t.Context(), policy, "apply", "-f", "-")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return f.available(t, "n1") }, within, moment, "applied")

	network.held.Lock()
	network.removeBridge(t)
	require.Eventually(t, func() bool { return network.waits.Load() > 0 }, within, moment, "the agent looks at the node")
	_, err = f.Kubectl(t.Context(), "annotate", "nncp", "uplink", "bridgehead.dev/on-delete=revert")
	require.NoError(t, err)
	_, err = f.Kubectl(t.Context(), "delete", "nncp", "uplink")
	require.NoError(t, err)
	var e v1beta1.NodeNetworkConfigurationEnactment
	require.Eventually(t, func() bool {
		return apierrors.IsNotFound(f.client.Get(t.Context(), types.NamespacedName{Name: "n1.uplink"}, &e))
	}, within, moment, "the watches have told")
	network.held.Unlock()
	require.Eventually(t, func() bool { return len(agent.records(t)) == 0 }, within, moment, "undone and forgotten")
	assert.False(t, network.bridged())
}

func TestANodeWithoutTheNICSaysSoAndWaitsForIt(t *testing.T) {
	t.Parallel()
	f := startFleet(t)
	agent, network := f.addNode(t, "n1"), newHollow(t)
	agent.start(t, network)
	_, err := f.KubectlInput(t.Context(), strings.ReplaceAll(agentPolicy, "eth1", "eth9"), "apply", "-f", "-")
	require.NoError(t, err)
	var e v1beta1.NodeNetworkConfigurationEnactment
	require.Eventually(t, func() bool {
		err := f.client.Get(t.Context(), types.NamespacedName{Name: "n1.uplink"}, &e)
		return err == nil && nmstate.IsTrue(e.Status.Conditions, nmstate.EnactmentFailing)
	}, within, moment)
	failing := e.Status.Conditions[slices.IndexFunc(e.Status.Conditions,
		func(c nmstate.Condition) bool { return c.Type == nmstate.EnactmentFailing })]
	assert.Equal(t, nmstate.ReasonFailedToConfigure, failing.Reason)
	assert.Contains(t, failing.Message, "eth9")
	assert.Contains(t, failing.Message, "; it is tried again when the node has eth9")
	assert.NotContains(t, failing.Message, "\n")
	assert.Equal(t, map[string]int{"1": 1}, e.Status.RetryCount)

	_, err = f.KubectlInput(t.Context(), agentPolicy, "apply", "-f", "-")
	require.NoError(t, err)
	require.Eventually(
		t, func() bool { return f.available(t, "n1") }, within, moment, "a policy that is put right is applied",
	)
}

func TestAnAgentWritesWhatIsOfItsOwnNodeOnly(t *testing.T) {
	t.Parallel()
	f := startFleet(t)
	own, other := f.addNode(t, "n1"), f.addNode(t, "n2")
	for _, name := range []string{"n1.p", "n2.p"} {
		require.NoError(
			t,
			f.client.Create(t.Context(), &v1beta1.NodeNetworkConfigurationEnactment{ObjectMeta: metav1.ObjectMeta{
				Name: name, Labels: map[string]string{nmstate.NodeLabel: name[:2]},
			}}),
		)
	}
	unbound, err := f.ServiceAccountConfig(t.Context(), "bridgehead-agent", "bridgehead-agent")
	require.NoError(t, err)
	patch := func(node, status string) func(client.Client) error {
		return func(c client.Client) error {
			return c.Status().Patch(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}},
				client.RawPatch(types.MergePatchType, []byte(status)))
		}
	}
	report := func(node string) func(client.Client) error {
		return func(c client.Client) error {
			return c.Create(t.Context(), &v1beta1.NodeNetworkState{ObjectMeta: metav1.ObjectMeta{Name: node}}, client.DryRunAll)
		}
	}
	enact := func(name string) func(client.Client) error {
		return func(c client.Client) error {
			var e v1beta1.NodeNetworkConfigurationEnactment
			if err := c.Get(t.Context(), types.NamespacedName{Name: name}, &e); err != nil {
				return err
			}
			e.Status.PolicyGeneration++
			return c.Status().Update(t.Context(), &e)
		}
	}
	const bridges = `{"status": {"capacity": {"bridge.network.kubevirt.io/br1": "1k"}}}`
	// The API server needs a moment until it enforces a new policy.
	require.Eventually(t, func() bool { return apierrors.IsForbidden(patch("n1", bridges)(newNetworkClient(t, other.config))) }, within, moment)
	for name, c := range map[string]struct {
		config *rest.Config
		write  func(client.Client) error
		denied string
	}{
		"bridges on its Node":        {own.config, patch("n1", bridges), ""},
		"bridges on another Node":    {own.config, patch("n2", bridges), "the agent of node n1 may not write n2"},
		"its state":                  {own.config, report("n1"), ""},
		"another's state":            {own.config, report("n2"), "the agent of node n1 may not write n2"},
		"its enactment":              {own.config, enact("n1.p"), ""},
		"another's enactment":        {own.config, enact("n2.p"), "the agent of node n1 may not write n2.p"},
		"with a token of no node":    {unbound, patch("n1", bridges), "the token of the agent names no node"},
		"another resource":           {own.config, patch("n1", `{"status": {"capacity": {"cpu": "1000"}}}`), "capacity and allocatable of bridge.network"},
		"a condition of its Node":    {own.config, patch("n1", `{"status": {"conditions": []}}`), "capacity and allocatable of bridge.network"},
		"an address of its Node":     {own.config, patch("n1", `{"status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]}}`), "capacity and allocatable of bridge.network"},
		"a label of its Node":        {own.config, patch("n1", `{"metadata": {"labels": {"a": "b"}}}`), "capacity and allocatable of bridge.network"},
		"a finalizer of its Node":    {own.config, patch("n1", `{"metadata": {"finalizers": ["a/b"]}}`), "capacity and allocatable of bridge.network"},
		"what its Node runs":         {own.config, patch("n1", `{"status": {"nodeInfo": {"kubeletVersion": "v0"}}}`), "capacity and allocatable of bridge.network"},
		"the volumes of its Node":    {own.config, patch("n1", `{"status": {"volumesInUse": ["a"]}}`), "capacity and allocatable of bridge.network"},
		"the port of its kubelet":    {own.config, patch("n1", `{"status": {"daemonEndpoints": {"kubeletEndpoint": {"Port": 1}}}}`), "capacity and allocatable of bridge.network"},
		"the images that are cached": {own.config, patch("n1", `{"status": {"images": [{"names": ["a"]}]}}`), "capacity and allocatable of bridge.network"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.write(newNetworkClient(t, c.config))
			if c.denied == "" {
				require.NoError(t, err)
				return
			}
			require.True(t, apierrors.IsForbidden(err), "%v", err)
			assert.ErrorContains(t, err, c.denied)
		})
	}
}
