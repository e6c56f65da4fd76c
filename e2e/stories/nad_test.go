// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/e2e/suite"
)

// kubectl runs kubectl and returns everything it says, warnings included.
func kubectl(t *testing.T, s *suite.Suite, stdin string, args ...string) (string, error) {
	t.Helper()
	command := s.KubectlCommand(t.Context(), args...)
	command.Stdin = strings.NewReader(stdin)
	out, err := command.CombinedOutput()
	return string(out), err
}

// create creates objects and returns what kubectl says.
func create(t *testing.T, s *suite.Suite, manifest string) string {
	t.Helper()
	out, err := kubectl(t, s, manifest, "create", "-f", "-")
	require.NoError(t, err, out)
	return out
}

func network(name, annotations, config string) string {
	return fmt.Sprintf("apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\nmetadata: {name: %s, annotations: {%s}}\nspec: {config: '%s'}\n---\n", name, annotations, config)
}

func playedNode(name, capacity string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Node\nmetadata: {name: %s, labels: {kubernetes.io/hostname: %s}}\n"+
		"status: {capacity: {%[3]s}, allocatable: {%[3]s}, conditions: [{type: Ready, status: 'True', reason: KubeletReady, message: is played}]}\n---\n", name, name, capacity)
}

func TestNetworksAreJudgedAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	s := suite.StartForTest(t, suite.Options{Replicas: 1})
	resource := func(name string) string {
		t.Helper()
		out, err := s.Kubectl(t.Context(), "get", "net-attach-def", name, "-o", `jsonpath={.metadata.annotations.k8s\.v1\.cni\.cncf\.io/resourceName}`)
		require.NoError(t, err)
		return out
	}

	t.Run("the missing comma of the story is pointed at", func(t *testing.T) {
		out, err := kubectl(t, s, "", "apply", "-f", "testdata/20-nad-with-the-missing-comma.yaml")
		require.Error(t, err)
		t.Log(out)
		assert.Contains(t, out, "spec.config: Invalid value: line 2, column 26: a comma is missing after \"0.3.1\"\n"+
			"      \"cniVersion\": \"0.3.1\"\n"+
			"                           ^")
	})

	t.Run("the network of the story is let in, with a warning while no node has its bridge", func(t *testing.T) {
		out, err := kubectl(t, s, "", "apply", "-f", "testdata/21-nad-br0-100-l2.yaml")
		require.NoError(t, err, out)
		assert.Contains(t, out, "Warning: no node has bridge br0 now: pods on this network wait until one has")
		create(t, s, playedNode("node01", "bridge.network.kubevirt.io/br0: 1k"))
		out, err = kubectl(t, s, "", "annotate", "net-attach-def", "br0-100-l2", "k8s.v1.cni.cncf.io/nodeSelector=zone=a")
		require.NoError(t, err)
		assert.NotContains(t, out, "Warning")
	})

	t.Run("a bridge is named as the resource", func(t *testing.T) {
		create(t, s, network("named", "", `{"cniVersion":"0.3.1","type":"bridge","bridge":"br1"}`)+
			network("unasked", "bridgehead.dev/resource-name: none", `{"cniVersion":"0.3.1","type":"bridge","bridge":"br1"}`)+
			network("other", "", `{"cniVersion":"0.3.1","type":"macvlan","master":"eth1"}`))
		assert.Equal(t, "bridge.network.kubevirt.io/br1", resource("named"))
		assert.Empty(t, resource("unasked"))
		assert.Empty(t, resource("other"))

		patch := `{"spec":{"config":"{\"cniVersion\":\"0.3.1\",\"type\":\"bridge\",\"bridge\":\"br2\"}"}}`
		_, err := s.Kubectl(t.Context(), "patch", "net-attach-def", "named", "--type=merge", "-p", patch)
		require.NoError(t, err)
		assert.Equal(t, "bridge.network.kubevirt.io/br2", resource("named"), "it follows the bridge")

		patch = `{"spec":{"config":"{\"cniVersion\":\"0.3.1\",\"type\":\"macvlan\",\"master\":\"eth1\"}"}}`
		_, err = s.Kubectl(t.Context(), "patch", "net-attach-def", "named", "--type=merge", "-p", patch)
		require.NoError(t, err)
		assert.Empty(t, resource("named"), "it goes with the bridge")
	})

	t.Run("a resource of another bridge is refused", func(t *testing.T) {
		out, err := kubectl(t, s, network("torn", "k8s.v1.cni.cncf.io/resourceName: bridge.network.kubevirt.io/br0",
			`{"cniVersion":"0.3.1","type":"bridge","bridge":"br1"}`), "create", "-f", "-")
		require.Error(t, err)
		assert.Contains(t, out, "is the resource of bridge br0, but the configuration attaches to bridge br1")
	})

	t.Run("a bridge that does not take the VLAN to the wire is warned of", func(t *testing.T) {
		create(t, s, `{"apiVersion":"nmstate.io/v1beta1","kind":"NodeNetworkState","metadata":{"name":"node01"}}`)
		_, err := s.Kubectl(t.Context(), "patch", "nodenetworkstate", "node01", "--subresource=status", "--type=merge", "-p",
			`{"status":{"currentState":{"interfaces":[{"name":"br9","type":"linux-bridge","bridge":{"port":[{"name":"eth1"}]}},{"name":"eth1","type":"ethernet"}]}}}`)
		require.NoError(t, err)
		out := create(t, s, network("tagged", "", `{"cniVersion":"0.3.1","type":"bridge","bridge":"br9","vlan":100}`))
		assert.Contains(t, out, "Warning: node node01: bridge br9 does not filter VLANs: frames would leave it untagged")
	})

	t.Run("who uses a network is named when it is deleted", func(t *testing.T) {
		create(t, s, network("used", "bridgehead.dev/resource-name: none", `{"cniVersion":"0.3.1","type":"bridge","bridge":"br0"}`))
		create(t, s, pod("user", "k8s.v1.cni.cncf.io/networks: used", ""))
		create(t, s, pod("by-default", "v1.multus-cni.io/default-network: default/used", ""))
		create(t, s, pod("on-the-node", "k8s.v1.cni.cncf.io/networks: used", ", hostNetwork: true"))
		create(t, s, pod("ended", "k8s.v1.cni.cncf.io/networks: used", ""))
		const ended = `{"status":{"phase":"Succeeded"}}`
		_, err := s.Kubectl(t.Context(), "patch", "pod", "ended", "--subresource=status", "-p", ended)
		require.NoError(t, err)
		create(t, s, `{"apiVersion":"kubevirt.io/v1","kind":"VirtualMachineInstance","metadata":{"name":"alone"},`+
			`"spec":{"domain":{"devices":{}},"networks":[{"name":"net","multus":{"networkName":"br0-100-l2"}}]}}`)
		_, err = s.Kubectl(t.Context(), "apply", "-f", "testdata/30-vms.yaml")
		require.NoError(t, err)
		out, err := kubectl(t, s, "", "delete", "net-attach-def", "used", "br0-100-l2")
		require.NoError(t, err)
		assert.Contains(t, out, "Warning: Pod default/user uses this network, which is deleted")
		assert.Contains(t, out, "Warning: Pod default/by-default uses this network, which is deleted")
		assert.NotContains(t, out, "default/ended", "it does not start again")
		assert.NotContains(t, out, "default/on-the-node", "it is on no network")
		assert.Contains(t, out, "Warning: VirtualMachine default/vma uses this network, which is deleted")
		assert.Contains(t, out, "Warning: VirtualMachineInstance default/alone uses this network, which is deleted")
	})

	t.Run("what was let in before may be changed in other ways", func(t *testing.T) {
		_, err := s.Kubectl(t.Context(), "label", "net-attach-def", "named", "a=b")
		require.NoError(t, err)
	})
}
