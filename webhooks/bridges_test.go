// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"testing"
	"testing/synctest"
	"time"

	netv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"

	v1 "github.com/bridgehead-dev/bridgehead/api/nmstate/v1"
	"github.com/bridgehead-dev/bridgehead/nad"
)

var _ cache.ReflectorStore = (*nameStore)(nil)

func nodeWith(name string, amounts map[string]string) *corev1.Node {
	n := &corev1.Node{}
	n.Name = name
	n.Status.Allocatable = corev1.ResourceList{"cpu": resource.MustParse("1")}
	for bridge, amount := range amounts {
		n.Status.Allocatable[corev1.ResourceName(nad.BridgePrefix+bridge)] = resource.MustParse(amount)
	}
	return n
}

func policyWith(name, wish string) *v1.NodeNetworkConfigurationPolicy {
	p := &v1.NodeNetworkConfigurationPolicy{}
	p.Name = name
	p.Spec.DesiredState = &runtime.RawExtension{Raw: []byte(wish)}
	return p
}

func TestWhichBridgesAreOffered(t *testing.T) {
	var b Bridges
	assert.True(t, b.Offered("br9"), "what is not known counts as offered")
	require.NoError(
		t,
		b.nodes.Replace(
			[]any{nodeWith("a", map[string]string{"br0": "1k", "br1": "0"}), nodeWith("b", map[string]string{"br0": "1k"})}, "",
		),
	)
	assert.False(t, b.Ready())
	assert.True(t, b.Offered("br9"))
	require.NoError(t, b.policies.Replace([]any{
		policyWith("p", `{"interfaces":[{"name":"br2","type":"linux-bridge"},{"name":"eth1","type":"ethernet"},{"name":"br3","type":"linux-bridge","state":"absent"}]}`),
	}, ""))
	require.True(t, b.Ready())

	for bridge, offered := range map[string]bool{
		"br0": true, "br1": true, // kubelet writes zero for a moment when it restarts
		"br2": true, "br3": false, "eth1": false, "br9": false, "cpu": false,
	} {
		assert.Equal(t, offered, b.Offered(bridge), bridge)
	}

	require.NoError(t, b.nodes.Delete(nodeWith("a", nil)))
	assert.True(t, b.Offered("br0"), "another node has it")
	assert.False(t, b.Offered("br1"))
	require.NoError(t, b.nodes.Update(nodeWith("b", nil)))
	assert.False(t, b.Offered("br0"), "no node has it any more")
	require.NoError(t, b.policies.Add(policyWith("q", `{"interfaces":[{"name":"br0","type":"linux-bridge"}]}`)))
	assert.True(t, b.Offered("br0"))
	require.NoError(t, b.policies.Update(policyWith("q", `{}`)))
	assert.False(t, b.Offered("br0"))
	require.Error(t, b.nodes.Add("no object"))
	require.Error(t, b.nodes.Delete("no object"))
}

func TestABridgeIsSettledAWhileAfterItWasOffered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Bridges
		assert.False(t, b.Settled("br0"), "nothing is known")
		require.NoError(t, b.nodes.Replace([]any{nodeWith("a", map[string]string{"br0": "1k"})}, ""))
		require.NoError(t, b.policies.Replace(nil, ""))
		assert.True(t, b.Settled("br0"), "it was there at the start")

		require.NoError(t, b.policies.Add(policyWith("p", `{"interfaces":[{"name":"br1","type":"linux-bridge"}]}`)))
		require.True(t, b.Offered("br1"))
		assert.False(t, b.Settled("br1"), "another replica may not have heard of it")
		<-time.After(settleTime)
		assert.True(t, b.Settled("br1"))

		require.NoError(t, b.nodes.Update(nodeWith("a", map[string]string{"br0": "0", "br2": "1k"})))
		assert.True(t, b.Settled("br0"), "the node has it as before")
		assert.False(t, b.Settled("br2"))
		<-time.After(settleTime / 2)
		all := nodeWith("a", map[string]string{"br0": "1k", "br2": "1k", "br3": "1k"})
		require.NoError(t, b.nodes.Replace([]any{all}, ""))
		<-time.After(settleTime / 2)
		assert.True(t, b.Settled("br2"), "a watch that began anew has told of it again")
		assert.False(t, b.Settled("br3"))
		require.NoError(t, b.nodes.Delete(nodeWith("a", nil)))
		assert.False(t, b.Settled("br0"))
		require.NoError(t, b.nodes.Add(nodeWith("a", map[string]string{"br0": "1k"})))
		assert.False(t, b.Settled("br0"), "it went, and came back just now")
	})
}

// Between the two calls for a pod a policy, or a node, begins to offer the bridge of its network, or the second call
// meets a replica that heard of it earlier.
func TestAPodIsNotRefusedForABridgeThatWasOfferedJustNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bridges := &Bridges{}
		require.NoError(t, bridges.nodes.Replace(nil, ""))
		require.NoError(t, bridges.policies.Replace(nil, ""))
		networks := nad.NewCache(nil, nil)
		require.NoError(t, networks.Add(&netv1.NetworkAttachmentDefinition{
			ObjectMeta: metav1.ObjectMeta{Namespace: home, Name: "l2"},
			Spec:       netv1.NetworkAttachmentDefinitionSpec{Config: `{"cniVersion":"1.0.0","type":"bridge","bridge":"br1"}`},
		}))
		reviewers := map[string]Reviewer{}
		for _, route := range Routes(Sources{NADs: &NADWatch{Cache: networks}, Bridges: bridges}) {
			reviewers[route.Path] = route.Reviewer
		}
		pod := []byte(`{"metadata":{"name":"pod","annotations":{"k8s.v1.cni.cncf.io/networks":"l2"}},"spec":{"containers":[{"name":"a"}]}}`)
		ask := func(path string) *admissionv1.AdmissionResponse {
			return post(t, Handler{Reviewer: reviewers[path]}, podReview(t, podCase{}, pod))
		}
		require.Empty(t, ask("/mutate-pods").Patch)
		require.NoError(t, bridges.policies.Add(policyWith("p", `{"interfaces":[{"name":"br1","type":"linux-bridge"}]}`)))
		assert.True(t, ask("/validate-pods").Allowed)
		require.NotEmpty(t, ask("/mutate-pods").Patch)
		<-time.After(settleTime)
		assert.False(t, ask("/validate-pods").Allowed, "nobody can be without the news")
	})
}
