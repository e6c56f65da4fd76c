package webhooks

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/bridgehead-dev/bridgehead/api/nmstate/v1"
	"github.com/bridgehead-dev/bridgehead/api/nmstate/v1beta1"
)

// A PolicyCluster looks at a cluster for what Policy judges by. Policies are written so rarely that nothing is kept. Its
// reader must know the kinds of nmstate and metadata of nodes.
type PolicyCluster struct {
	Reader client.Reader
}

// Look reads everything. Each of the four lists takes a second at most.
func (c PolicyCluster) Look(ctx context.Context) (PolicyView, error) {
	view := PolicyView{Labels: map[string]map[string]string{}}
	lister := NADCluster(c)
	nodes := &metav1.PartialObjectMetadataList{}
	nodes.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NodeList"))
	for _, read := range []struct {
		list  client.ObjectList
		visit func(client.Object)
	}{
		{nodes, func(o client.Object) { view.Labels[o.GetName()] = o.GetLabels() }},
		{&v1.NodeNetworkConfigurationPolicyList{}, func(o client.Object) {
			view.Policies = append(view.Policies, *o.(*v1.NodeNetworkConfigurationPolicy))
		}},
		{&v1beta1.NodeNetworkConfigurationEnactmentList{}, func(o client.Object) {
			view.Enactments = append(view.Enactments, *o.(*v1beta1.NodeNetworkConfigurationEnactment))
		}},
		{&v1beta1.NodeNetworkStateList{}, func(o client.Object) {
			view.States = append(view.States, *o.(*v1beta1.NodeNetworkState))
		}},
	} {
		err := lister.each(ctx, read.list, func(o client.Object) bool { read.visit(o); return true })
		if err != nil {
			return PolicyView{}, err
		}
	}
	return view, nil
}
