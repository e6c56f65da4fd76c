// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	netv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	netclient "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/client/clientset/versioned"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"

	"github.com/bridgehead-dev/bridgehead/nad"
)

// installedInterval is how often a cluster without NADs is asked whether it has them now.
const installedInterval = 5 * time.Second

// A NADWatch keeps a cache of the NADs of a cluster.
type NADWatch struct {
	// Cache has every NAD there is once Ready.
	Cache  *nad.Cache
	client netclient.Interface
	multus string
	log    logr.Logger
	// absent is true while the cluster is known to have no kind for NADs.
	absent atomic.Bool
}

// NewNADWatch makes a watch; Run begins it. resourceKeys are the annotations of NADs that name resources, multus is the
// namespace of default networks that are named without.
func NewNADWatch(cfg *rest.Config, resourceKeys []string, multus string, log logr.Logger) (*NADWatch, error) {
	nads, err := netclient.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("make client for NADs: %w", err)
	}
	w := &NADWatch{client: nads, multus: multus, log: log}
	w.Cache = nad.NewCache(resourceKeys, w.get)
	return w, nil
}

// get reads one NAD past the cache.
func (w *NADWatch) get(ctx context.Context, ref nad.Ref) (*netv1.NetworkAttachmentDefinition, error) {
	found, err := w.client.K8sCniCncfIoV1().
		NetworkAttachmentDefinitions(ref.Namespace).
		Get(ctx, ref.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil // that there is none is an answer
	}
	return found, err
}

// Run keeps the cache until ctx is done. Where NADs are not installed it waits until they are: VMs are served all the
// same.
func (w *NADWatch) Run(ctx context.Context) {
	if !w.await(ctx) {
		return
	}
	reflector := toolscache.NewReflectorWithOptions(w.listWatch(), &netv1.NetworkAttachmentDefinition{}, w.Cache,
		toolscache.ReflectorOptions{Name: "networks"})
	reflector.RunWithContext(ctx)
}

// await waits until NADs are installed; false if ctx is done before.
func (w *NADWatch) await(ctx context.Context) bool {
	ticker := time.NewTicker(installedInterval)
	defer ticker.Stop()
	for {
		_, err := w.client.Discovery().ServerResourcesForGroupVersion(netv1.SchemeGroupVersion.String())
		if err == nil {
			w.absent.Store(false)
			return true
		}
		if apierrors.IsNotFound(err) && !w.absent.Swap(true) {
			w.log.Info("NetworkAttachmentDefinitions are not installed: pods that name one are refused until they are")
		}
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
	}
}

func (w *NADWatch) listWatch() toolscache.ListerWatcher {
	all := w.client.K8sCniCncfIoV1().NetworkAttachmentDefinitions(metav1.NamespaceAll)
	return &toolscache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return all.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return all.Watch(ctx, o)
		},
	}
}

// Ready reports whether every NAD there is has been read.
func (w *NADWatch) Ready() bool { return w.Cache.Synced() || w.absent.Load() }

// TakesMAC reports whether an interface of a pod can have an address that is asked for, as far as the cache knows.
func (w *NADWatch) TakesMAC(i nad.Interface) bool { return w.Cache.TakesMAC(i, w.multus) }

// OnBridge names the networks that attach to a bridge, as <namespace>/<name>.
func (w *NADWatch) OnBridge(bridge string) []string {
	var refs []string
	for _, d := range w.Cache.OnBridge(bridge) {
		refs = append(refs, d.Ref.String())
	}
	return refs
}
