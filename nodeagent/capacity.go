// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"encoding/json"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/bridgehead-dev/bridgehead/nad"
	"github.com/bridgehead-dev/bridgehead/netstate"
)

// bridgeCapacity is how many attachments a bridge takes: as many as bridge-marker says, about what the kernel allows.
const bridgeCapacity = "1k"

// DefaultIgnoredBridges returns patterns of bridges that belong to somebody else, whatever is plugged into them.
func DefaultIgnoredBridges() []string { return []string{"docker0", "cni0", "virbr*"} }

// advertised lists the bridges that pods may ask for, by name: those that a policy declares, once every port it
// declares is attached, and those made by hand that are up and have an uplink, which is a port that is not a pod's or
// a VM's. A bridge that is down is not among them, nor one that cannot be asked for by its name. stray are bridges
// that a policy declares and that lack a port of it: the bridge plugin makes such a one when ours is missing.
func advertised(current, committed netstate.State, ignored []string) (bridges, stray []string) {
	uplinks, declared := current.Uplinks(), committed.DeclaredBridges()
	for _, i := range current.Interfaces {
		if i.Type != netstate.TypeBridge || i.State != netstate.StateUp || !nad.Requestable(i.Name) {
			continue
		}
		wish, ours := declared[i.Name]
		switch {
		case ours && !attached(i, wish):
			stray = append(stray, i.Name)
		case ours, len(uplinks[i.Name]) > 0 && !matches(ignored, i.Name):
			bridges = append(bridges, i.Name)
		}
	}
	return bridges, stray
}

// attached reports whether every port that is wished for is there.
func attached(bridge, wish netstate.Interface) bool {
	ports := bridge.Ports()
	return !slices.ContainsFunc(wish.Ports(), func(p string) bool { return !slices.Contains(ports, p) })
}

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, name)
		return ok && err == nil
	})
}

// capacityPatch returns the merge patch that makes a Node offer these bridges and no others, or nil where it does.
// Values are compared, and not only names: kubelet sets them to zero when it restarts.
func capacityPatch(node *corev1.Node, bridges []string) ([]byte, error) {
	capacity, allocatable := difference(node.Status.Capacity, bridges), difference(node.Status.Allocatable, bridges)
	if len(capacity)+len(allocatable) == 0 {
		return nil, nil
	}
	status := map[string]any{}
	if len(capacity) > 0 {
		status["capacity"] = capacity
	}
	if len(allocatable) > 0 {
		status["allocatable"] = allocatable
	}
	return json.Marshal(map[string]any{"status": status})
}

// difference returns what to change of a list of resources: null removes one.
func difference(have corev1.ResourceList, bridges []string) map[string]any {
	changes := map[string]any{}
	want := resource.MustParse(bridgeCapacity)
	for _, b := range bridges {
		key := nad.BridgePrefix + b
		if q, ok := have[corev1.ResourceName(key)]; !ok || q.Cmp(want) != 0 {
			changes[key] = bridgeCapacity
		}
	}
	for key := range have {
		bridge, ours := strings.CutPrefix(string(key), nad.BridgePrefix)
		if ours && !slices.Contains(bridges, bridge) {
			changes[string(key)] = nil
		}
	}
	return changes
}
