// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
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
