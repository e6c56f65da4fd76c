// Package nad reads what pods and NetworkAttachmentDefinitions (NADs) say about networks: the annotations in which a pod
// names NADs, the CNI configuration inside a NAD, and the resource that a network asks of a node. All of it but the
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
	// OwnResourceAnnotation on a NAD, with the value "none", keeps the network of a bridge from asking for the bridge.
	OwnResourceAnnotation = "bridgehead.dev/resource-name"
	// NoResource is the value of OwnResourceAnnotation.
	NoResource = "none"
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
	// NodeSelector is the annotation of that name.
	NodeSelector string
	// Bridges are the bridges that its plugins attach to. A configuration that cannot be read has none.
	Bridges []Bridge
}

// A Resource is what an annotation of a NAD says that a node must have.
type Resource struct{ Key, Name string }

// Read reads a NAD. keys are the annotations that name resources.
func Read(o *netv1.NetworkAttachmentDefinition, keys []string) Definition {
	d := Definition{
		Ref:          Ref{Namespace: o.Namespace, Name: o.Name},
		Unasked:      o.Annotations[OwnResourceAnnotation] == NoResource,
		NodeSelector: o.Annotations[NodeSelectorAnnotation],
	}
	for _, key := range keys {
		if name := o.Annotations[key]; name != "" {
			d.Resources = append(d.Resources, Resource{Key: key, Name: name})
		}
	}
	config, _ := ParseConfig(o.Spec.Config) // what is wrong with it is told where it is written, and by the plugin
	d.Bridges = config.Bridges()
	return d
}

// Wants are the resources that one attachment to the network takes of a node, one of each: those that the annotations
// name, else the bridge.
func (d Definition) Wants() []Resource {
	if len(d.Resources) > 0 {
		return d.Resources
	}
	if name := d.Derived(); name != "" {
		return []Resource{{Name: name}}
	}
	return nil
}

// Derived is the resource that stands for the bridge of the network; empty if it has none, or none that nodes are
// asked for.
func (d Definition) Derived() string {
	if d.Unasked || len(d.Bridges) == 0 || !d.Bridges[0].provided() {
		return ""
	}
	return BridgePrefix + d.Bridges[0].Name
}

// CheckResourceName says what is wrong with a name for an extended resource, by the rules of Kubernetes.
func CheckResourceName(name string) error {
	domain, _, qualified := strings.Cut(name, "/")
	switch {
	case !qualified:
		return fmt.Errorf("%q is no extended resource: want <domain>/<name>, as in %sbr0", name, BridgePrefix)
	case domain == "kubernetes.io" || strings.HasSuffix(domain, ".kubernetes.io"):
		return fmt.Errorf("%q is a resource of Kubernetes itself: want one of another domain", name)
	case strings.HasPrefix(name, "requests."):
		return fmt.Errorf("%q begins with requests., which is for quotas", name)
	}
	// A quota names the resource with a prefix, which must be a name too.
	if problems := validation.IsQualifiedName("requests." + name); len(problems) > 0 {
		return fmt.Errorf("%q is no extended resource: %s", name, strings.Join(problems, "; "))
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
		key, val, _ := strings.Cut(strings.TrimSpace(item), "=")
		problems := slices.Concat(validation.IsQualifiedName(key), validation.IsValidLabelValue(val))
		if len(problems) > 0 {
			return nil, fmt.Errorf("%q is no label of a node, written <key>=<value>: %s", item, strings.Join(problems, "; "))
		}
		if other, twice := selector[key]; twice && other != val {
			return nil, fmt.Errorf("label %s is given two values, %q and %q", key, other, val)
		}
		selector[key] = val
	}
	return selector, nil
}
