// SPDX-License-Identifier: Apache-2.0

// Package nad reads what pods and NetworkAttachmentDefinitions (NADs) say about networks: the annotations in which a
// pod names NADs, the CNI configuration inside a NAD, and the resource that a network asks of a node. All of it but the
// Cache is pure, and total: any text has an answer, in which problems are told with their place.
package nad

import (
	"fmt"
	"slices"
	"strings"

	netv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

const (
	// NetworksAnnotation on a pod has its additional networks.
	NetworksAnnotation = netv1.NetworkAttachmentAnnot
	// StatusAnnotation on a pod has the networks it was attached to.
	StatusAnnotation = netv1.NetworkStatusAnnot
	// DefaultNetworkAnnotation on a pod has the network in place of the cluster's (Multus).
	DefaultNetworkAnnotation = "v1.multus-cni.io/default-network"
	// ResourceAnnotation on a NAD is the resource that a node must have for the network.
	ResourceAnnotation = "k8s.v1.cni.cncf.io/resourceName"
	// NodeSelectorAnnotation on a NAD has labels that a node must have for the network.
	NodeSelectorAnnotation = "k8s.v1.cni.cncf.io/nodeSelector"
	// OwnResourceAnnotation on a NAD says what becomes of the resource of its bridge: NoResource or DerivedResource.
	OwnResourceAnnotation = "bridgehead.dev/resource-name"
	// NoResource keeps the network of a bridge from asking for the bridge.
	NoResource = "none"
	// DerivedResource says that nobody wrote the resource into ResourceAnnotation: it was filled in after the bridge.
	DerivedResource = "derived"
	// BridgePrefix begins the names of the resources that stand for bridges.
	BridgePrefix = "bridge.network.kubevirt.io/"
)

// A Ref names a NAD.
type Ref struct{ Namespace, Name string }

func (r Ref) String() string { return r.Namespace + "/" + r.Name }

// A Definition is what is to be known of a NAD to attach pods to it.
type Definition struct {
	Ref
	// Resources are the values of the annotations for resources, in the order of their keys.
	Resources []Resource
	// Unasked is true where the NAD says that a bridge is not to be asked for.
	Unasked bool
	// Filled is true where the resource of its bridge was filled in, and not asked for by a person.
	Filled bool
	// NodeSelector is the annotation of that name.
	NodeSelector string
	// Bridges are the bridges that its plugins attach to. A configuration that cannot be read has none.
	Bridges []Bridge
	// Plugins are the types of its plugins, in order; the first makes the interface.
	Plugins []string
	// Lengths is true where an IP address that a pod asks for must have the length of its prefix.
	Lengths bool
	// OneIP is true where a pod can ask for one IP address at most.
	OneIP bool
}

// A Resource is what an annotation of a NAD says that a node must have.
type Resource struct{ Key, Name string }

// Read reads a NAD. keys are the annotations that name resources.
func Read(o *netv1.NetworkAttachmentDefinition, keys []string) Definition {
	d := Definition{
		Ref:          Ref{Namespace: o.Namespace, Name: o.Name},
		Unasked:      o.Annotations[OwnResourceAnnotation] == NoResource,
		Filled:       o.Annotations[OwnResourceAnnotation] == DerivedResource,
		NodeSelector: o.Annotations[NodeSelectorAnnotation],
	}
	for _, key := range keys {
		if name := o.Annotations[key]; name != "" {
			d.Resources = append(d.Resources, Resource{Key: key, Name: name})
		}
	}
	config, _ := ParseConfig(o.Spec.Config) // what is wrong with it is told where it is written, and by the plugin
	d.Bridges = config.Bridges()
	for _, p := range config.Plugins {
		d.Plugins = append(d.Plugins, p.Type)
		d.Lengths = d.Lengths || p.IPAM == "static" || p.IPAM == "whereabouts"
		d.OneIP = d.OneIP || p.IPAM == "host-local"
	}
	return d
}

// TakesMAC reports whether an interface of the network can have an address that the pod asks for. Of a plugin that is
// not known to take none, and where a file on the node has the configuration, it is assumed.
func (d Definition) TakesMAC() bool {
	if len(d.Plugins) == 0 {
		// Those of meshes are called as their plugins, which make no interface.
		return !slices.ContainsFunc(meshes(), func(mesh string) bool { return strings.HasSuffix(d.Name, mesh) })
	}
	// These make no interface, or one that lives on the address of its master, or on one that is made from a GUID.
	without := append(meshes(), "ipvlan", "ib-sriov", "ib-sriov-cni", "ipoib", "rdma", "loopback")
	// These take none, but tuning, further on in the list, can give their interfaces one. That of a VLAN has the address
	// of its master else, as all others on that master have.
	untuned := []string{"ptp", "vlan", "dummy"}
	first, tuned := d.Plugins[0], slices.ContainsFunc(d.Plugins, isTuning)
	return !slices.Contains(without, first) && (tuned || !slices.Contains(untuned, first))
}

// meshes returns the plugins of meshes, which redirect what other interfaces carry.
func meshes() []string { return []string{"istio-cni", "linkerd-cni", "kuma-cni"} }

// Maker returns the plugin that makes the interface, or the name of the network where a file on the node has its
// configuration.
func (d Definition) Maker() string {
	if len(d.Plugins) == 0 {
		return d.Name
	}
	return d.Plugins[0]
}

// TakesPrimaryMAC is TakesMAC of an interface in place of the cluster's. One of OVN-Kubernetes is on the primary
// network of its namespace, whose addresses are that network's to look after: VMs of two may have the same.
func (d Definition) TakesPrimaryMAC() bool {
	return d.TakesMAC() && !slices.Contains(d.Plugins, overlay)
}

// isTuning reports whether a plugin changes settings of the interface that another has made, its address among them.
func isTuning(plugin string) bool { return plugin == "tuning" || plugin == "cnv-tuning" }

// Wants returns the resources that one attachment to the network takes of a node, one of each: those that people wrote
// into the annotations, else the bridge. A bridge that nobody offers is one that the plugin makes for itself, on every
// node: it is not asked for, but named in unoffered.
func (d Definition) Wants(offered func(bridge string) bool) (wanted []Resource, unoffered string) {
	wanted = slices.DeleteFunc(slices.Clone(d.Resources), func(r Resource) bool { return d.Filled && r.ofBridge() })
	name := d.Derived()
	switch {
	case len(wanted) > 0 && len(wanted) == len(d.Resources), name == "":
		return wanted, ""
	case !offered(d.Bridges[0].Name):
		return wanted, d.Bridges[0].Name
	}
	return append(wanted, Resource{Name: name}), ""
}

// ofBridge reports whether a resource is that of a bridge, where it is filled in.
func (r Resource) ofBridge() bool {
	return r.Key == ResourceAnnotation && strings.HasPrefix(r.Name, BridgePrefix)
}

// NamesBridgeOnly reports whether the one resource of the network is that of a bridge, where it is filled in.
func (d Definition) NamesBridgeOnly() bool { return len(d.Resources) == 1 && d.Resources[0].ofBridge() }

// Derived returns the resource that stands for the bridge of the network; empty if it has none, or none that nodes are
// asked for.
func (d Definition) Derived() string {
	if d.Unasked || len(d.Bridges) == 0 || !d.Bridges[0].provided() {
		return ""
	}
	return BridgePrefix + d.Bridges[0].Name
}

// Requestable reports whether pods can ask for a bridge: not every name of a link makes one of a resource.
func Requestable(bridge string) bool { return CheckResourceName(BridgePrefix+bridge) == nil }

// CheckResourceName returns what is wrong with a name for an extended resource, by the rules of Kubernetes.
func CheckResourceName(name string) error {
	domain, _, qualified := strings.Cut(name, "/")
	switch {
	case !qualified:
		return fmt.Errorf("%q is not an extended resource: want <domain>/<name>, as in %sbr0", name, BridgePrefix)
	case domain == "kubernetes.io" || strings.HasSuffix(domain, ".kubernetes.io"):
		return fmt.Errorf("%q is a resource of Kubernetes itself: want one of another domain", name)
	case strings.HasPrefix(name, "requests."):
		return fmt.Errorf("%q begins with requests., which is for quotas", name)
	}
	// A quota names the resource with a prefix, which must be a name too.
	if problems := validation.IsQualifiedName("requests." + name); len(problems) > 0 {
		return fmt.Errorf("%q is not an extended resource: %s", name, strings.Join(problems, "; "))
	}
	return nil
}

// ParseNodeSelector reads labels written as key=value, or key for one without a value; several are separated by commas.
// An empty text has none.
func ParseNodeSelector(written string) (map[string]string, error) {
	selector := map[string]string{}
	if written == "" {
		return selector, nil
	}
	for item := range strings.SplitSeq(written, ",") {
		key, val, _ := strings.Cut(item, "=")
		key, val = strings.TrimSpace(key), strings.TrimSpace(val)
		problems := slices.Concat(validation.IsQualifiedName(key), validation.IsValidLabelValue(val))
		if len(problems) > 0 {
			return nil, fmt.Errorf("%q is not a node label, written <key>=<value>: %s", item, strings.Join(problems, "; "))
		}
		if other, twice := selector[key]; twice && other != val {
			return nil, fmt.Errorf("label %s is given two values, %q and %q", key, other, val)
		}
		selector[key] = val
	}
	return selector, nil
}
