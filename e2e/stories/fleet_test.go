// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr/testr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	v1 "github.com/bridgehead-dev/bridgehead/api/nmstate/v1"
	"github.com/bridgehead-dev/bridgehead/api/nmstate/v1beta1"
	"github.com/bridgehead-dev/bridgehead/arming"
	"github.com/bridgehead-dev/bridgehead/e2e/hollow"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
	"github.com/bridgehead-dev/bridgehead/nodeagent/tell"
)

// A hollowNode is the network of a node that exists in memory only.
type hollowNode struct{ *hollow.Network }

func newHollow(t *testing.T) *hollowNode {
	t.Helper()
	network, err := hollow.New()
	require.NoError(t, err)
	return &hollowNode{network}
}

// bridged reports whether the bridge is there.
func (h *hollowNode) bridged() bool {
	state, err := h.Read()
	_, found := state.Interface(agentBridge)
	return found && err == nil
}

// removeBridge takes the bridge away, as somebody would by hand.
func (h *hollowNode) removeBridge(t *testing.T) {
	t.Helper()
	state, err := h.Read()
	require.NoError(t, err)
	desired := netstate.State{Interfaces: []netstate.Interface{{Name: agentBridge, State: netstate.StateAbsent}}}
	steps, err := netstate.Plan(netstate.Own(state, desired), desired)
	require.NoError(t, err)
	require.NoError(t, kernel.Apply(h, steps))
}

// A hollowAgent runs a hollow node.
type hollowAgent struct {
	name   string
	config *rest.Config
	dir    string
	agent  *nodeagent.Agent // once it is started
	stop   func()

	mu     sync.Mutex
	events []string
}

// start has the agent run on a network until it is stopped.
func (a *hollowAgent) start(t *testing.T, network nodeagent.Network) {
	t.Helper()
	reader, err := client.New(a.config, client.Options{})
	require.NoError(t, err)
	others := &arming.Watch{Reader: reader, Neighbours: arming.OnNodes()}
	ctx, cancel := context.WithCancel(context.Background())
	event, err := tell.Events(ctx, a.config, a.name)
	require.NoError(t, err)
	agent, err := nodeagent.New(nodeagent.Options{
		NodeName: a.name, Network: network, StateDir: a.dir, Config: a.config, Version: "test",
		IgnoredBridges: nodeagent.DefaultIgnoredBridges(), Others: others.Check, Log: testr.New(t).WithName(a.name),
		Event: func(policy, kind, reason, note string) {
			event(policy, kind, reason, note)
			a.mu.Lock()
			defer a.mu.Unlock()
			a.events = append(a.events, strings.TrimSpace(policy+" "+reason+": "+note))
		},
	})
	require.NoError(t, err)
	a.agent = agent
	var ended error
	var running sync.WaitGroup
	running.Go(func() { ended = agent.Run(ctx) })
	a.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		assert.NoError(t, ended)
	})
	t.Cleanup(a.stop)
}

// said reports whether there was an event that begins so.
func (a *hollowAgent) said(event string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.ContainsFunc(a.events, func(e string) bool { return strings.HasPrefix(e, event) })
}

// A fleet is a cluster of hollow nodes.
type fleet struct {
	*suite.Suite
	client client.Client
}

func startFleet(t *testing.T) *fleet {
	t.Helper()
	s := suite.StartForTest(t, suite.Options{Replicas: 1})
	return &fleet{Suite: s, client: newNetworkClient(t, s.Config)}
}

func newNetworkClient(t *testing.T, cfg *rest.Config) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	require.NoError(t, errors.Join(corev1.AddToScheme(scheme), v1.AddToScheme(scheme), v1beta1.AddToScheme(scheme)))
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	require.NoError(t, err)
	return c
}

// addNode makes a Node, and an agent for it with a token like kubelet would get it.
func (f *fleet) addNode(t *testing.T, name string) *hollowAgent {
	t.Helper()
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kubernetes.io/hostname": name}},
		Status: corev1.NodeStatus{
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		},
	}
	require.NoError(t, f.client.Create(t.Context(), node))
	cfg, err := f.ServiceAccountConfigOn(t.Context(), "bridgehead-agent", "bridgehead-agent", node)
	require.NoError(t, err)
	return &hollowAgent{name: name, config: cfg, dir: t.TempDir()}
}

// offers returns how many attachments to the bridge a node offers, by its Node; zero if it does not mention it.
func (f *fleet) offers(t *testing.T, node string) int64 {
	t.Helper()
	var n corev1.Node
	if f.client.Get(t.Context(), types.NamespacedName{Name: node}, &n) != nil {
		return -1 // the API server is not back yet
	}
	a, b := n.Status.Allocatable[agentResource], n.Status.Capacity[agentResource]
	return min(a.Value(), b.Value())
}

// available reports whether a node is said to be as the policy wants it.
func (f *fleet) available(t *testing.T, node string) bool {
	t.Helper()
	var e v1beta1.NodeNetworkConfigurationEnactment
	err := f.client.Get(t.Context(), types.NamespacedName{Name: node + ".uplink"}, &e)
	return err == nil && nmstate.IsTrue(e.Status.Conditions, nmstate.EnactmentAvailable)
}

// told returns what the event of the policy uplink with a reason says in the API; "" if there is none.
func (f *fleet) told(t *testing.T, reason string) string {
	t.Helper()
	out, err := f.Kubectl(t.Context(), "get", "events.v1.events.k8s.io", "-A", "-o",
		`jsonpath={.items[?(@.reason=="`+reason+`")].note}`,
		"--field-selector", "regarding.kind=NodeNetworkConfigurationPolicy,regarding.name=uplink")
	if err != nil {
		return ""
	}
	return out
}

// records returns what an agent has noted that its node is committed to.
func (a *hollowAgent) records(t *testing.T) []journal.Record {
	t.Helper()
	j, err := journal.Open(a.dir)
	require.NoError(t, err)
	records, err := j.Records()
	require.NoError(t, err)
	return records
}

// forgot reports whether an agent has noted that a policy is gone.
func (a *hollowAgent) forgot(t *testing.T, policy string) bool {
	t.Helper()
	return slices.ContainsFunc(a.records(t), func(r journal.Record) bool { return r.Policy == policy && r.Orphan })
}

// fall notes that the node gave up all policies when it booted, as the unit of the host does before an agent runs.
func (a *hollowAgent) fall(t *testing.T, cause string) {
	t.Helper()
	j, err := journal.Open(a.dir)
	require.NoError(t, err)
	records, err := j.Records()
	require.NoError(t, err)
	require.NotEmpty(t, records)
	require.NoError(t, j.NoteFallen(journal.Fallen{Boot: "this", Cause: cause, Records: records, Done: true}))
	for _, r := range records {
		require.NoError(t, j.Drop(r.Key()))
	}
}

// zero does to a Node what kubelet does when it starts, and waits for the agent to repair that.
func (f *fleet) zero(t *testing.T, node string) {
	t.Helper()
	zero := client.RawPatch(types.MergePatchType, []byte(
		`{"status": {"capacity": {"`+agentResource+`": "0"}, "allocatable": {"`+agentResource+`": "0"}}}`))
	require.NoError(t, f.client.Status().Patch(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}, zero))
	require.Eventually(t, func() bool { return f.offers(t, node) == 1000 }, within, moment)
}
