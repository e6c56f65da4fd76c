// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bridgehead-dev/bridgehead/nad"
)

// defaultContainerAnnotation on a pod names the container that is meant where none is named (kubectl).
const defaultContainerAnnotation = "kubectl.kubernetes.io/default-container"

// A pod is what the rules read of a pod.
type pod struct {
	Metadata metadata `json:"metadata"`
	Spec     struct {
		HostNetwork    bool              `json:"hostNetwork"`
		NodeSelector   map[string]string `json:"nodeSelector"`
		Containers     []container       `json:"containers"`
		InitContainers []container       `json:"initContainers"`
	} `json:"spec"`
}

type container struct {
	Name          string             `json:"name"`
	RestartPolicy string             `json:"restartPolicy"`
	Resources     *containerResource `json:"resources"`
}

type containerResource struct {
	Requests map[string]resource.Quantity `json:"requests"`
	Limits   map[string]resource.Quantity `json:"limits"`
}

func readPod(raw []byte) (*pod, field.ErrorList) {
	p := &pod{}
	return p, decode(raw, p, nil)
}

// asks returns how many of a resource a container asks for, as far as it counts: at most so many.
func (c container) asks(name string, most int64) int64 {
	if c.Resources == nil {
		return 0
	}
	requested, limit := c.Resources.Requests[name], c.Resources.Limits[name]
	return min(max(requested.Value(), limit.Value(), 0), most)
}

// wants returns the resources that the attachments of a pod take together: each attachment one of each that its network
// asks for.
func wants(attachments []attachment) map[string]int64 {
	wanted := map[string]int64{}
	for _, a := range attachments {
		for _, r := range a.wanted {
			wanted[r.Name]++
		}
	}
	return wanted
}

// validateResourceNames refuses networks that ask for what no node can have.
func validateResourceNames(n podNetworks) field.ErrorList {
	var problems field.ErrorList
	for _, a := range n.attachments {
		for _, r := range a.wanted {
			if err := nad.CheckResourceName(r.Name); err != nil {
				problems = append(problems, field.Invalid(a.path, a.Ref.String(),
					fmt.Sprintf("the network requests, in its annotation %s, a resource that no node can have: %v", r.Key, err)))
			}
		}
	}
	return problems
}

// topUp has the containers of a pod ask for as much of each resource as is wanted. What they ask for already counts,
// whoever wrote it: KubeVirt, another injector, or an earlier look at the same pod. What is short is added to one
// container.
func topUp(p *pod, wanted map[string]int64, patch *Patch) {
	if len(p.Spec.Containers) == 0 {
		return // which the API server refuses
	}
	at := p.mainContainer()
	c := p.Spec.Containers[at]
	amounts := map[string]string{}
	for name, want := range wanted {
		if short := want - p.asks(name, want); short > 0 {
			amounts[name] = resource.NewQuantity(c.asks(name, want)+short, resource.DecimalSI).String()
		}
	}
	if len(amounts) == 0 {
		return
	}
	path := []any{"spec", "containers", at, "resources"}
	if c.Resources == nil {
		// An extended resource has the same request as limit.
		patch.Set(pointer(path...), map[string]map[string]string{"limits": amounts, "requests": amounts})
		return
	}
	setEach(patch, append(slices.Clone(path), "limits"), c.Resources.Limits == nil, amounts)
	setEach(patch, append(slices.Clone(path), "requests"), c.Resources.Requests == nil, amounts)
}

// setEach sets entries of a map in an object, or the map where there is none.
func setEach(patch *Patch, path []any, absent bool, entries map[string]string) {
	if absent {
		patch.Set(pointer(path...), entries)
		return
	}
	for _, key := range sortedKeys(entries) {
		patch.Set(pointer(append(slices.Clone(path), key)...), entries[key])
	}
}

// asks returns how many of a resource the containers that run side by side ask for, at most so many. Init containers
// that end before the others begin give back what they had.
func (p *pod) asks(name string, most int64) int64 {
	var sum int64
	for _, c := range p.Spec.Containers {
		sum += c.asks(name, most)
	}
	for _, c := range p.Spec.InitContainers {
		if c.RestartPolicy == "Always" {
			sum += c.asks(name, most)
		}
	}
	return sum
}

// mainContainer returns the index of the container that the networks are for: the one the pod says is meant, else the
// one that runs a VM, else the first.
func (p *pod) mainContainer() int {
	for _, name := range []string{p.Metadata.Annotations[defaultContainerAnnotation], "compute"} {
		if i := slices.IndexFunc(p.Spec.Containers, func(c container) bool { return name != "" && c.Name == name }); i >= 0 {
			return i
		}
	}
	return 0
}

// validateNodeSelectors refuses networks that need nodes which the pod, or another network, excludes.
func validateNodeSelectors(n podNetworks) field.ErrorList {
	owner, needed := map[string]nad.Ref{}, map[string]string{}
	var problems field.ErrorList
	for _, a := range n.attachments {
		labels, err := nad.ParseNodeSelector(a.network.NodeSelector)
		if err != nil {
			problems = append(problems, field.Invalid(a.path, a.Ref.String(),
				fmt.Sprintf("the network's annotation %s cannot be read: %v", nad.NodeSelectorAnnotation, err)))
			continue
		}
		for _, key := range sortedKeys(labels) {
			need := labels[key]
			has, given := n.pod.Spec.NodeSelector[key]
			planned, taken := needed[key]
			switch {
			case given && has != need:
				problems = append(problems, field.Invalid(field.NewPath("spec", "nodeSelector").Key(key), has,
					fmt.Sprintf("network %s is only on nodes where it is %q", a.Ref, need)))
			case taken && planned != need:
				problems = append(problems, field.Invalid(a.path, a.Ref.String(), fmt.Sprintf(
					"the network is only on nodes where label %s is %q, and network %s where it is %q", key, need, owner[key], planned,
				)))
			case !taken:
				needed[key], owner[key] = need, a.Ref
			}
		}
	}
	return problems
}

// selectorOf returns the labels of nodes that the networks of a pod need and the pod does not ask for yet. Its networks
// have passed the rules.
func selectorOf(n podNetworks) map[string]string {
	missing := map[string]string{}
	for _, a := range n.attachments {
		labels, err := nad.ParseNodeSelector(a.network.NodeSelector)
		if err != nil {
			continue // validateNodeSelectors refuses it
		}
		for key, need := range labels {
			if _, given := n.pod.Spec.NodeSelector[key]; !given {
				missing[key] = need
			}
		}
	}
	return missing
}

// selectNodes adds labels to the node selector of a pod.
func selectNodes(p *pod, labels map[string]string, patch *Patch) {
	if len(labels) > 0 {
		setEach(patch, []any{"spec", "nodeSelector"}, p.Spec.NodeSelector == nil, labels)
	}
}
