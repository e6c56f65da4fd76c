// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/bridgehead-dev/bridgehead/nad"
	"github.com/bridgehead-dev/bridgehead/netstate"
)

func TestWhichBridgesAreOffered(t *testing.T) {
	for name, c := range map[string]struct {
		current, committed string
		bridges, stray     []string
	}{
		"one made by hand with an uplink": {
			current: "- {name: br1, type: linux-bridge, state: up, bridge: {port: [{name: eth1}]}}\n- {name: eth1, type: ethernet, state: up, controller: br1}",
			bridges: []string{"br1"},
		},
		"one made by hand with an uplink, but down": {
			current: "- {name: br1, type: linux-bridge, state: down, bridge: {port: [{name: eth1}]}}\n- {name: eth1, type: ethernet, state: up, controller: br1}",
		},
		"one made by hand with nothing but a pod's veth": {
			current: "- {name: br1, type: linux-bridge, state: up, bridge: {port: [{name: veth1}]}}\n- {name: veth1, type: veth, state: ignore, controller: br1}",
		},
		"Docker's own, whatever is plugged in": {
			current: "- {name: docker0, type: linux-bridge, state: up, bridge: {port: [{name: eth1}]}}\n- {name: eth1, type: ethernet, state: up, controller: docker0}",
		},
		"libvirt's, by pattern": {
			current: "- {name: virbr7, type: linux-bridge, state: up, bridge: {port: [{name: eth1}]}}\n- {name: eth1, type: ethernet, state: up, controller: virbr7}",
		},
		"Docker's own, where a policy declares it": {
			current:   "- {name: docker0, type: linux-bridge, state: up, bridge: {port: []}}",
			committed: "- {name: docker0, type: linux-bridge, state: up}",
			bridges:   []string{"docker0"},
		},
		"a declared one without any port": {
			current:   "- {name: br1, type: linux-bridge, state: up, bridge: {port: []}}",
			committed: "- {name: br1, type: linux-bridge, state: up, bridge: {port: []}}",
			bridges:   []string{"br1"},
		},
		"a declared one that is down": {
			current:   "- {name: br1, type: linux-bridge, state: down, bridge: {port: []}}",
			committed: "- {name: br1, type: linux-bridge, state: up}",
		},
		"a declared one that is gone": {
			committed: "- {name: br1, type: linux-bridge, state: up}",
		},
		"one that the CNI plugin made in place of a declared one": {
			current:   "- {name: br1, type: linux-bridge, state: up, bridge: {port: [{name: veth1}]}}\n- {name: veth1, type: veth, state: ignore, controller: br1}",
			committed: "- {name: br1, type: linux-bridge, state: up, bridge: {port: [{name: eth1}]}}",
			stray:     []string{"br1"},
		},
		"one whose name ends otherwise than a resource's may": {
			current: "- {name: br_bad_, type: linux-bridge, state: up, bridge: {port: [{name: eth1}]}}\n- {name: eth1, type: ethernet, state: up, controller: br_bad_}",
		},
		"one with a character in its name that a resource's may not have": {
			current: "- {name: \"br:1\", type: linux-bridge, state: up, bridge: {port: [{name: eth1}]}}\n- {name: eth1, type: ethernet, state: up, controller: \"br:1\"}",
		},
	} {
		t.Run(name, func(t *testing.T) {
			bridges, stray := advertised(interfaces(t, c.current), interfaces(t, c.committed), DefaultIgnoredBridges())
			assert.Equal(t, c.bridges, bridges)
			assert.Equal(t, c.stray, stray)
		})
	}
}

// interfaces returns a state of these interfaces, and nothing else.
func interfaces(t *testing.T, list string) netstate.State {
	t.Helper()
	if list == "" {
		return netstate.State{}
	}
	return parse(t, "interfaces:\n"+list)
}

func TestTheNodeIsPatchedWhereItDiffersOnly(t *testing.T) {
	offers := func(values ...string) corev1.ResourceList {
		list := corev1.ResourceList{"cpu": resource.MustParse("4")}
		for n := 0; n < len(values); n += 2 {
			list[corev1.ResourceName(values[n])] = resource.MustParse(values[n+1])
		}
		return list
	}
	const br1 = nad.BridgePrefix + "br1"
	for name, c := range map[string]struct {
		capacity, allocatable corev1.ResourceList
		bridges               []string
		want                  string
	}{
		"nothing to offer": {offers(), offers(), nil, ""},
		"a new bridge": {offers(), offers(), []string{"br1"},
			`{"status": {"capacity": {"bridge.network.kubevirt.io/br1": "1k"}, "allocatable": {"bridge.network.kubevirt.io/br1": "1k"}}}`},
		"offered already, in other words": {offers(br1, "1000"), offers(br1, "1k"), []string{"br1"}, ""},
		"kubelet set it to zero": {offers(br1, "0"), offers(br1, "1k"), []string{"br1"},
			`{"status": {"capacity": {"bridge.network.kubevirt.io/br1": "1k"}}}`},
		"a bridge that is gone": {offers(br1, "1k"), offers(br1, "1k"), nil,
			`{"status": {"capacity": {"bridge.network.kubevirt.io/br1": null}, "allocatable": {"bridge.network.kubevirt.io/br1": null}}}`},
		"other resources are none of ours": {offers("devices.kubevirt.io/kvm", "1k"), offers(), nil, ""},
		"only allocatable is missing": {offers(br1, "1k"), offers(), []string{"br1"},
			`{"status": {"allocatable": {"bridge.network.kubevirt.io/br1": "1k"}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			node := &corev1.Node{Status: corev1.NodeStatus{Capacity: c.capacity, Allocatable: c.allocatable}}
			patch, err := capacityPatch(node, c.bridges)
			require.NoError(t, err)
			if c.want == "" {
				assert.Empty(t, string(patch))
				return
			}
			assert.JSONEq(t, c.want, string(patch))
		})
	}
}
