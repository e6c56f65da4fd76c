// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/e2e/controlplane"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
	"github.com/bridgehead-dev/bridgehead/macpool"
)

const (
	bridge0 = "bridge.network.kubevirt.io/br0"
	// asksForBr0 is the annotation of a network whose pods ask for br0, whether or not anybody offers it.
	asksForBr0 = "k8s.v1.cni.cncf.io/resourceName: " + bridge0
)

// pod returns a pod in the default namespace. more is added to its spec.
func pod(name, annotations, more string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: %s, annotations: {%s}}\n"+
		"spec: {containers: [{name: main, image: pause}]%s}\n---\n", name, annotations, more)
}

func podOf(t *testing.T, s *suite.Suite, name string) *corev1.Pod {
	t.Helper()
	p := &corev1.Pod{}
	require.NoError(t, s.Client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: name}, p))
	return p
}

// asked returns how much of bridge br0 the container of a pod asks for.
func asked(p *corev1.Pod) string {
	resources := p.Spec.Containers[0].Resources
	requested, limit := resources.Requests[bridge0], resources.Limits[bridge0]
	if requested.Cmp(limit) != 0 {
		return requested.String() + " up to " + limit.String()
	}
	return requested.String()
}

func TestPodsAskForWhatTheirNetworksNeed(t *testing.T) {
	t.Parallel()
	s := suite.StartForTest(t, suite.Options{Replicas: 2})
	create(t, s, network("l2", asksForBr0, `{"cniVersion":"0.3.1","type":"bridge","bridge":"br0"}`)+
		network("bare", "bridgehead.dev/resource-name: none", `{"cniVersion":"0.3.1","type":"bridge","bridge":"br0"}`)+
		network("zoned", "k8s.v1.cni.cncf.io/nodeSelector: zone=a, bridgehead.dev/resource-name: none", `{"cniVersion":"0.3.1","type":"macvlan"}`))

	for name, c := range map[string]struct{ annotations, more, want string }{
		"one":          {annotations: "k8s.v1.cni.cncf.io/networks: l2", want: "1"},
		"two":          {annotations: "k8s.v1.cni.cncf.io/networks: 'l2, default/l2@net7'", want: "2"},
		"json":         {annotations: `k8s.v1.cni.cncf.io/networks: '[{"name":"l2"},{"name":"bare"}]'`, want: "1"},
		"nothing-due":  {annotations: "k8s.v1.cni.cncf.io/networks: bare", want: "0"},
		"no-networks":  {want: "0"},
		"empty":        {annotations: "k8s.v1.cni.cncf.io/networks: ''", want: "0"},
		"default-net":  {annotations: "v1.multus-cni.io/default-network: default/l2", want: "1"},
		"a-mirror-pod": {annotations: "k8s.v1.cni.cncf.io/networks: nope, kubernetes.io/config.mirror: x", more: ", nodeName: nowhere", want: "0"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := kubectl(t, s, pod(name, c.annotations, c.more), "create", "-f", "-")
			require.NoError(t, err, out)
			assert.Equal(t, c.want, asked(podOf(t, s, name)))
		})
	}

	t.Run("labels of nodes come with the network", func(t *testing.T) {
		create(t, s, pod("zoned", "k8s.v1.cni.cncf.io/networks: zoned", ", nodeSelector: {disk: fast}"))
		assert.Equal(t, map[string]string{"disk": "fast", "zone": "a"}, podOf(t, s, "zoned").Spec.NodeSelector)
		out, err := kubectl(
			t, s, pod("torn", "k8s.v1.cni.cncf.io/networks: zoned", ", nodeSelector: {zone: b}"), "create", "-f", "-",
		)
		require.Error(t, err)
		assert.Contains(t, out, `spec.nodeSelector[zone]: Invalid value: "b": network default/zoned is only on nodes where it is "a"`)
	})

	t.Run("mistakes are named", func(t *testing.T) {
		_, err := s.Kubectl(t.Context(), "create", "namespace", "other")
		require.NoError(t, err)
		_, err = s.KubectlInput(
			t.Context(), network("far", "", `{"cniVersion":"0.3.1","type":"macvlan"}`), "create", "-n", "other", "-f", "-",
		)
		require.NoError(t, err)
		for annotation, want := range map[string]string{
			"nope":                     "there is no NetworkAttachmentDefinition nope in namespace default",
			`'[{"name":"other/far"}]'`: `in JSON the namespace is a key of its own: write "namespace": "other", "name": "far"`,
			`'[{"name":"l2"'`:          "the text ends before the object of line 1, column 2",
			"far":                      "",
		} {
			out, err := kubectl(t, s, pod("bad", "k8s.v1.cni.cncf.io/networks: "+annotation, ""), "create", "-f", "-")
			require.Error(t, err, annotation)
			assert.Contains(t, out, want)
		}
		// Where the name exists is told to those who may read it.
		for user, told := range map[string]bool{"reader": true, "stranger": false} {
			out, err := kubectl(t, s, rights(user, told), "apply", "-f", "-")
			require.NoError(t, err, out)
			out, err = kubectl(t, s, pod("bad", "k8s.v1.cni.cncf.io/networks: far", ""), "create", "--as="+user, "-f", "-")
			require.Error(t, err)
			assert.Contains(t, out, "there is no NetworkAttachmentDefinition far in namespace default")
			assert.Equal(t, told, strings.Contains(out, "there is one in other"), out)
		}
	})
}

// rights lets a user create pods in the default namespace, and read networks of the other one if so wanted.
func rights(user string, reads bool) string {
	role := func(namespace, group, resource, verb string) string {
		return fmt.Sprintf("apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: %[1]s, namespace: %[2]s}\n"+
			"rules: [{apiGroups: ['%[3]s'], resources: [%[4]s], verbs: [%[5]s]}]\n---\n"+
			"apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: %[1]s, namespace: %[2]s}\n"+
			"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: %[1]s}\n"+
			"subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: %[1]s}]\n---\n", user, namespace, group, resource, verb)
	}
	all := role("default", "", "pods", "create")
	if reads {
		all += role("other", "k8s.cni.cncf.io", "network-attachment-definitions", "get")
	}
	return all
}

func TestPodsOfOptedInNamespacesGetAddresses(t *testing.T) {
	t.Parallel()
	s := suite.StartForTest(t, suite.Options{Replicas: 2})
	_, err := s.Kubectl(t.Context(), "label", "namespace", "default", "mutatepods.kubemacpool.io=allocate")
	require.NoError(t, err)
	create(t, s, network("l2", asksForBr0, `{"cniVersion":"0.3.1","type":"bridge","bridge":"br0"}`))
	addresses := func(p *corev1.Pod) []string {
		var elements []struct{ Name, MAC string }
		if err := json.Unmarshal([]byte(p.Annotations["k8s.v1.cni.cncf.io/networks"]), &elements); err != nil {
			return nil // still in the form without addresses
		}
		var macs []string
		for _, e := range elements {
			macs = append(macs, e.MAC)
		}
		return macs
	}
	waitUntil(t, func() bool { // the label is not known at once
		out, err := kubectl(
			t, s, pod("dry", "k8s.v1.cni.cncf.io/networks: l2", ""), "create", "--dry-run=server", "-o", "yaml", "-f", "-",
		)
		return err == nil && strings.Contains(out, `"mac":"`)
	})
	assert.Empty(t, heldBy(t, s), "a dry run holds nothing")

	create(t, s, pod("a", "k8s.v1.cni.cncf.io/networks: 'l2,l2'", ""))
	a := podOf(t, s, "a")
	macs := addresses(a)
	require.Len(t, macs, 2)
	assert.NotEqual(t, macs[0], macs[1])
	assert.Equal(t, "2", asked(a), "one call serves both")
	waitUntil(t, func() bool {
		return heldBy(t, s)[macs[0]] == "Pod default/a" && heldBy(t, s)[macs[1]] == "Pod default/a"
	})

	t.Run("what else is in the annotation stays as it was written", func(t *testing.T) {
		create(t, s, pod("b", `k8s.v1.cni.cncf.io/networks: '[ {"name":"l2", "ipam-claim-reference":"c", "newer":{"x":[1.50]} } ]'`, ""))
		b := podOf(t, s, "b")
		assert.Equal(t, `[ {"name":"l2", "ipam-claim-reference":"c", "newer":{"x":[1.50]},"mac":"`+addresses(b)[0]+`" } ]`,
			b.Annotations["k8s.v1.cni.cncf.io/networks"])
	})

	t.Run("an address that another pod has is refused by its name", func(t *testing.T) {
		out, err := kubectl(t, s, pod("thief", fmt.Sprintf(`k8s.v1.cni.cncf.io/networks: '[{"name":"l2","mac":%q}]'`, macs[0]), ""), "create", "-f", "-")
		require.Error(t, err)
		assert.Contains(t, out, macs[0]+" is held by Pod default/a for its interface net1")
	})

	t.Run("pods of a generated name each get their own", func(t *testing.T) {
		seen := map[string]bool{}
		for range 3 {
			p := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{
					GenerateName: "many-",
					Namespace:    "default",
					Annotations:  map[string]string{"k8s.v1.cni.cncf.io/networks": "l2"},
				},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "pause"}}},
			}
			require.NoError(t, s.Client.Create(t.Context(), p))
			require.Len(t, addresses(p), 1)
			assert.False(t, seen[addresses(p)[0]])
			seen[addresses(p)[0]] = true
		}
	})

	t.Run("the pod of a VM has its VM's address, and nobody else's", func(t *testing.T) {
		launcher := func(m string) string {
			p := pod("virt-launcher-x", fmt.Sprintf(`k8s.v1.cni.cncf.io/networks: '[{"name":"l2","namespace":"default","mac":%q,"interface":"pod1"}]'`, m), "")
			return strings.Replace(p, "metadata: {", "metadata: {labels: {kubevirt.io: virt-launcher}, ownerReferences: [{"+
				"apiVersion: kubevirt.io/v1, kind: VirtualMachineInstance, name: vm, uid: u, controller: true}], ", 1)
		}
		its := macpool.MAC{0x52, 0x54, 5: 9}.String()
		require.NoError(t, s.Client.Create(t.Context(), vmWith("vm", []macpool.MAC{{0x52, 0x54, 5: 9}})))
		out, err := kubectl(t, s, launcher(macs[0]), "create", "-f", "-")
		require.Error(t, err)
		assert.Contains(t, out, "VirtualMachine default/vm, which does not have "+macs[0])
		create(t, s, launcher(its))
		p := podOf(t, s, "virt-launcher-x")
		assert.Equal(t, its, addresses(p)[0])
		assert.Equal(t, "1", asked(p))
		waitUntil(t, func() bool { return heldBy(t, s)[its] == "VirtualMachine default/vm" })
	})
}

func TestPodsAreBoundOnlyToNodesThatHaveTheBridge(t *testing.T) {
	t.Parallel()
	s := suite.StartForTest(t, suite.Options{Replicas: 1, ControlPlane: controlplane.Options{Scheduler: true}})
	const room = "cpu: '8', memory: 8Gi, pods: '50'"
	create(t, s, playedNode("without", room)+playedNode("with", room+", "+bridge0+": 1k"))
	_, err := s.Kubectl(
		t.Context(), "taint", "nodes", "--all", "node.kubernetes.io/not-ready-",
	) // which nothing else removes here
	require.NoError(t, err)
	create(t, s, network("l2", asksForBr0, `{"cniVersion":"0.3.1","type":"bridge","bridge":"br0"}`))
	for i := range 4 {
		create(t, s, pod(fmt.Sprint("pod-", i), "k8s.v1.cni.cncf.io/networks: l2", ""))
	}
	for i := range 4 {
		waitUntil(t, func() bool { return podOf(t, s, fmt.Sprint("pod-", i)).Spec.NodeName == "with" })
	}

	create(t, s, pod("stuck", "k8s.v1.cni.cncf.io/networks: l2", ", nodeSelector: {kubernetes.io/hostname: without}"))
	waitUntil(t, func() bool {
		out, err := s.Kubectl(
			t.Context(), "get", "events", "--field-selector", "involvedObject.name=stuck", "-o", "jsonpath={.items[*].message}",
		)
		return err == nil && strings.Contains(out, "Insufficient "+bridge0)
	})
	assert.Empty(t, podOf(t, s, "stuck").Spec.NodeName)
}

func TestOnlyBridgesThatSomebodyOffersAreAskedFor(t *testing.T) {
	t.Parallel()
	s := suite.StartForTest(t, suite.Options{Replicas: 1})
	out := create(t, s, network("demo", "", `{"cniVersion":"0.3.1","type":"bridge","bridge":"br0","ipam":{"type":"host-local","subnet":"10.0.0.0/24"}}`))
	assert.Contains(t, out, "Warning: no policy declares bridge br0 and no node has it: the plugin will create one without an uplink")
	out = create(t, s, pod("before", "k8s.v1.cni.cncf.io/networks: demo", ""))
	assert.Contains(t, out, "Warning: network default/demo: no policy declares bridge br0 and no node has it: the pod does not request it")
	assert.Equal(t, "0", asked(podOf(t, s, "before")), "it would be Pending for ever")

	create(t, s, "apiVersion: nmstate.io/v1\nkind: NodeNetworkConfigurationPolicy\nmetadata: {name: br0}\n"+
		"spec: {desiredState: {interfaces: [{name: br0, type: linux-bridge, state: up}]}}\n")
	waitUntil(t, func() bool {
		out, err := kubectl(
			t, s, pod("after", "k8s.v1.cni.cncf.io/networks: demo", ""), "create", "--dry-run=server", "-o", "yaml", "-f", "-",
		)
		return err == nil && strings.Contains(out, bridge0)
	})
}

func TestAHundredPodsAtOnceNameANetworkWithoutAnnotations(t *testing.T) {
	t.Parallel()
	s := suite.StartForTest(t, suite.Options{Replicas: 2})
	create(t, s, network("bare", "", `{"cniVersion":"0.3.1","type":"macvlan"}`))
	none := networkReads(t, s)
	_, err := s.Kubectl(t.Context(), "get", "network-attachment-definition", "bare")
	require.NoError(t, err)
	before := networkReads(t, s)
	require.Equal(t, none+1, before, "reads are counted")
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() { assert.NoError(t, s.Client.Create(t.Context(), podFor(fmt.Sprint("named-", i), "bare"))) })
	}
	all.Wait()
	assert.LessOrEqual(t, networkReads(t, s)-before, 2, "each replica may miss the network once; the rest is answered from memory")
}

// networkReads counts the networks that were read one by one from the API server.
func networkReads(t *testing.T, s *suite.Suite) int {
	t.Helper()
	text, err := s.Kubectl(t.Context(), "get", "--raw", "/metrics")
	require.NoError(t, err)
	count := regexp.MustCompile(`(?m)^apiserver_request_total\{[^}]*resource="network-attachment-definitions"[^}]*verb="GET"[^}]*\} (\d+)$`)
	sum := 0
	for _, match := range count.FindAllStringSubmatch(text, -1) {
		n, err := strconv.Atoi(match[1])
		require.NoError(t, err)
		sum += n
	}
	return sum
}

func podFor(name, networks string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Namespace:   "default",
			Annotations: map[string]string{"k8s.v1.cni.cncf.io/networks": networks},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "pause"}}},
	}
}

func TestANetworkMayBeNamedAsSoonAsItExists(t *testing.T) {
	t.Parallel()
	s := suite.StartForTest(t, suite.Options{Replicas: 1})
	for i := range 20 {
		name := fmt.Sprint("fresh-", i)
		create(t, s, network(name, asksForBr0, `{"cniVersion":"0.3.1","type":"bridge","bridge":"br0"}`)+pod(name, "k8s.v1.cni.cncf.io/networks: "+name, ""))
		assert.Equal(t, "1", asked(podOf(t, s, name)))
	}
}

func TestVMsAreServedWithoutNetworkAttachmentDefinitions(t *testing.T) {
	t.Parallel()
	s := suite.StartForTest(t, suite.Options{Replicas: 1, WithoutKubeVirt: true})
	out, err := kubectl(t, s, pod("early", "k8s.v1.cni.cncf.io/networks: l2", ""), "create", "-f", "-")
	require.Error(t, err)
	assert.Contains(t, out, "there is no NetworkAttachmentDefinition l2 in namespace default")

	require.NoError(t, s.InstallKubeVirt(t.Context()))
	create(t, s, network("l2", asksForBr0, `{"cniVersion":"0.3.1","type":"bridge","bridge":"br0"}`)+pod("late", "k8s.v1.cni.cncf.io/networks: l2", ""))
	assert.Equal(t, "1", asked(podOf(t, s, "late")))
}

func TestNetworksThatAreNamedBehindOurBackAreRefused(t *testing.T) {
	t.Parallel()
	s := suite.StartForTest(t, suite.Options{Replicas: 1})
	create(t, s, network("l2", asksForBr0, `{"cniVersion":"0.3.1","type":"bridge","bridge":"br0"}`))
	// A webhook that names networks when ours was not called is played by one of ours that is called for no pod.
	const template = "zz-bridgehead-template"
	_, err := s.Kubectl(t.Context(), "patch", "mutatingwebhookconfiguration", template, "--type=json", "-p",
		`[{"op":"test","path":"/webhooks/2/name","value":"pods.bridgehead.dev"},`+
			`{"op":"add","path":"/webhooks/2/matchConditions/-","value":{"name":"nobody","expression":"false"}}]`)
	require.NoError(t, err)
	waitUntil(t, func() bool {
		out, err := kubectl(
			t, s, pod("behind", "k8s.v1.cni.cncf.io/networks: l2", ""), "create", "--dry-run=server", "-f", "-",
		)
		return err != nil && strings.Contains(out, "the networks of the pod need "+bridge0+": 1, which it does not request")
	})
	asks := strings.Replace(
		pod("asks", "k8s.v1.cni.cncf.io/networks: l2", ""), "image: pause}",
		"image: pause, resources: {limits: {"+bridge0+": 1}}}", 1,
	)
	create(t, s, asks)
	create(t, s, pod("on-the-node", "k8s.v1.cni.cncf.io/networks: l2", ", hostNetwork: true"))
}

func TestAddressesThatAreNamedBehindOurBackAreRefused(t *testing.T) {
	t.Parallel()
	s := suite.StartForTest(t, suite.Options{Replicas: 1})
	_, err := s.Kubectl(t.Context(), "label", "namespace", "default", "mutatepods.kubemacpool.io=allocate")
	require.NoError(t, err)
	create(t, s, network("lan", "", `{"cniVersion":"0.3.1","type":"macvlan"}`))
	taken := macpool.MAC{0x52, 0x54, 0, 0, 0, 1}
	require.NoError(t, s.Client.Create(t.Context(), vmWith("vma", []macpool.MAC{taken})))
	waitUntil(t, func() bool { return heldBy(t, s)[taken.String()] == "VirtualMachine default/vma" })

	waitUntil(t, func() bool { // the label has come to the API server
		generated := podFor("", "lan")
		generated.GenerateName = "generated-"
		require.NoError(t, s.Client.Create(t.Context(), generated), "what it was given before it had a name is its own")
		return strings.Contains(generated.Annotations["k8s.v1.cni.cncf.io/networks"], `"mac"`)
	})
	create(t, s, pod("named", "k8s.v1.cni.cncf.io/networks: lan", ""))
	out, err := kubectl(t, s, "", "annotate", "--overwrite", "pod", "named",
		`k8s.v1.cni.cncf.io/networks=[{"name":"lan","mac":"`+taken.String()+`"}]`)
	require.Error(t, err, "a pod that waits to be attached asks for another address")
	assert.Contains(t, out, "is held by VirtualMachine default/vma")

	// Another webhook names networks when ours was not called, as above.
	_, err = s.Kubectl(t.Context(), "patch", "mutatingwebhookconfiguration", "zz-bridgehead-template", "--type=json", "-p",
		`[{"op":"test","path":"/webhooks/1/name","value":"mutatepods.kubemacpool.io"},`+
			`{"op":"add","path":"/webhooks/1/matchConditions/-","value":{"name":"nobody","expression":"false"}}]`)
	require.NoError(t, err)
	asks := pod("behind", `k8s.v1.cni.cncf.io/networks: '[{"name":"lan","mac":"`+taken.String()+`"}]'`, "")
	waitUntil(t, func() bool {
		out, err := kubectl(t, s, asks, "create", "--dry-run=server", "-f", "-")
		return err != nil && strings.Contains(out, "is held by VirtualMachine default/vma") &&
			strings.Contains(out, "another webhook added networks after bridgehead did")
	})
}
