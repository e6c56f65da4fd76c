package main

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	netv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	netclient "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/client/clientset/versioned"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/bridgehead-dev/bridgehead/api/nmstate/v1"
	"github.com/bridgehead-dev/bridgehead/api/nmstate/v1beta1"
	"github.com/bridgehead-dev/bridgehead/nad"
	"github.com/bridgehead-dev/bridgehead/webhooks"
)

// installedEvery is how often a cluster without NADs is asked whether it has them now.
const installedEvery = 5 * time.Second

// networks is what the webhooks for pods and NADs know of the cluster.
type networks struct {
	cache   *nad.Cache
	nads    netclient.Interface
	clients kubernetes.Interface
	cluster webhooks.NADCluster
	// absent is true while the cluster is known to have no kind for NADs.
	absent atomic.Bool
}

func newNetworks(cfg *rest.Config, resourceKeys []string) (*networks, error) {
	nads, err := netclient.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("make client for NADs: %w", err)
	}
	clients, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, metav1.AddMetaToScheme, v1.AddToScheme, v1beta1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("make scheme: %w", err)
		}
	}
	reader, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	n := &networks{nads: nads, clients: clients, cluster: webhooks.NADCluster{Reader: reader}}
	n.cache = nad.NewCache(resourceKeys, n.get)
	return n, nil
}

// get reads one NAD past the cache.
func (n *networks) get(ctx context.Context, ref nad.Ref) (*netv1.NetworkAttachmentDefinition, error) {
	found, err := n.nads.K8sCniCncfIoV1().NetworkAttachmentDefinitions(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil // that there is none is an answer
	}
	return found, err
}

// mayRead asks the API server whether a user may read NADs of a namespace.
func (n *networks) mayRead(ctx context.Context, user authenticationv1.UserInfo, namespace string) (bool, error) {
	extra := map[string]authorizationv1.ExtraValue{}
	for key, values := range user.Extra {
		extra[key] = authorizationv1.ExtraValue(values)
	}
	review, err := n.clients.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: user.Username, UID: user.UID, Groups: user.Groups, Extra: extra,
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: "get", Group: "k8s.cni.cncf.io", Resource: "network-attachment-definitions", Namespace: namespace,
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("ask what %s may read: %w", user.Username, err)
	}
	return review.Status.Allowed, nil
}

// watchNetworks keeps the cache until ctx is done. Where NADs are not installed it waits until they are: VMs are served all the
// same.
func (r *replica) watchNetworks() everywhere {
	return func(ctx context.Context) error {
		n := r.networks
		if !n.await(ctx, r) {
			return nil
		}
		reflector := toolscache.NewReflectorWithOptions(n.listWatch(), &netv1.NetworkAttachmentDefinition{}, n.cache,
			toolscache.ReflectorOptions{Name: "networks"})
		reflector.RunWithContext(ctx)
		return nil
	}
}

// await waits until NADs are installed; false if ctx is done before.
func (n *networks) await(ctx context.Context, r *replica) bool {
	ticker := time.NewTicker(installedEvery)
	defer ticker.Stop()
	for {
		_, err := n.nads.Discovery().ServerResourcesForGroupVersion(netv1.SchemeGroupVersion.String())
		absent := apierrors.IsNotFound(err)
		if !absent && err == nil {
			n.absent.Store(false)
			return true
		}
		if absent && !n.absent.Swap(true) {
			r.log.Info("NetworkAttachmentDefinitions are not installed: pods that name one are refused until they are")
		}
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
	}
}

func (n *networks) listWatch() toolscache.ListerWatcher {
	all := n.nads.K8sCniCncfIoV1().NetworkAttachmentDefinitions(metav1.NamespaceAll)
	return &toolscache.ListWatch{
		ListWithContextFunc:  func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return all.List(ctx, o) },
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) { return all.Watch(ctx, o) },
	}
}

// ready says whether every NAD there is has been read.
func (n *networks) ready() bool { return n.cache.Synced() || n.absent.Load() }

// handleNetworks serves the webhooks for pods and NADs.
func (r *replica) handleNetworks(mux *http.ServeMux) {
	n, o := r.networks, r.options
	pod := webhooks.Pod{Networks: n.cache, MultusNamespace: o.MultusNamespace, MayRead: n.mayRead}
	addressed := pod
	addressed.Ledger, addressed.PoolFor, addressed.Now = r.ledger, r.pools.For, time.Now
	for path, handler := range map[string]webhooks.Handler{
		// The API server decides by the namespace which of the two a pod goes to.
		"/mutate-pods":      {Log: r.log.WithName("pod"), Reviewer: pod},
		"/mutate-pods/macs": {Log: r.log.WithName("pod"), Reviewer: addressed},
		"/mutate-network-attachment-definitions": {
			Log: r.log.WithName("nad"), Reviewer: webhooks.NADDefaults{ResourceKeys: o.ResourceNameKeys},
		},
		"/validate-network-attachment-definitions": {Log: r.log.WithName("nad"), Reviewer: webhooks.NAD{
			ResourceKeys: o.ResourceNameKeys,
			Advertising:  n.cluster.Advertising, Unserved: n.cluster.Unserved, Users: n.cluster.Users,
		}},
	} {
		handler.Observe = r.counts.observe(path)
		mux.Handle(path, handler)
	}
}
