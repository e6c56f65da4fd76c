// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// importWhatIsThere imports all VMs and pods; finish waits until they are. While KubeVirt is not installed there are no
// VMs; it is looked for until it is. VMs are imported also where only instances are not known: they have addresses.
func (j *Janitor) importWhatIsThere(ctx context.Context) (finish func() error, err error) {
	defer recovered(&err)
	finishPods, err := j.importPods(ctx)
	if err != nil {
		return nil, err
	}
	finishVMs, unknown, err := j.importVMs(ctx, &vm{}, &vmi{})
	if err != nil {
		return nil, err
	}
	if len(unknown) > 0 {
		j.Log.Info("KubeVirt is not installed, or only in part; looking for the kinds that the API server does not know",
			"kinds", namesOf(unknown), "every", kubevirtPoll.String())
		go j.importLater(ctx, unknown)
	}
	debug.FreeOSMemory() // the lists took several times what is kept of them
	return func() error { return errors.Join(finishPods(), finishVMs()) }, nil
}

func (j *Janitor) importLater(ctx context.Context, unknown []client.Object) {
	_ = wait.PollUntilContextCancel(ctx, kubevirtPoll, false, func(ctx context.Context) (bool, error) {
		err := safely(ctx, func(ctx context.Context) error {
			finish, left, err := j.importVMs(ctx, unknown...)
			if err != nil {
				return err
			}
			if err := finish(); err != nil {
				return err
			}
			unknown = left
			return nil
		})
		if err != nil {
			j.Log.Error(err, "Import of VMs failed, retrying")
		}
		return err == nil && len(unknown) == 0, nil
	})
}

// importVMs sees to it that the addresses of all objects of these kinds, VMs or instances, are in the ledger, and has
// what changes from then on queued. Kinds that the API server does not know are left for later.
func (j *Janitor) importVMs(
	ctx context.Context, kinds ...client.Object,
) (finish func() error, unknown []client.Object, err error) {
	found := map[subject]bool{}
	for _, kind := range kinds {
		err := j.watchVMs(ctx, kind)
		if meta.IsNoMatchError(err) {
			unknown = append(unknown, kind)
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if err := j.everyVM(ctx, kind, found); err != nil {
			return nil, nil, err
		}
	}
	finish, err = j.importAll(ctx, found)
	return finish, unknown, err
}

// watchVMs has what happens to the objects of a kind, VMs or instances, queued, unless it is already.
func (j *Janitor) watchVMs(ctx context.Context, kind client.Object) error {
	if j.knew(kindOfVM(kind)) {
		return nil
	}
	if err := j.watch(ctx, j.queueing(false), kind); err != nil {
		return err
	}
	j.watched.Store(kindOfVM(kind), true)
	return nil
}

// importPods does for pods what importVMs does for VMs. A namespace that opts in later has its pods imported then.
func (j *Janitor) importPods(ctx context.Context) (finish func() error, err error) {
	if err := j.watch(ctx, j.queueing(true), pod()); err != nil {
		return nil, err
	}
	optIn := toolscache.ResourceEventHandlerFuncs{AddFunc: func(o any) {
		if namespace, ok := o.(client.Object); ok {
			j.queuePods(ctx, namespace.GetName())
		}
	}}
	if err := j.watch(ctx, optIn, namespaceMetadata()); err != nil {
		return nil, err
	}
	keys, err := j.podsIn(ctx, metav1.NamespaceAll)
	if err != nil {
		return nil, err
	}
	return j.importAll(ctx, keys)
}

// queuePods queues the pods of a namespace.
func (j *Janitor) queuePods(ctx context.Context, namespace string) {
	keys, err := j.podsIn(ctx, namespace)
	if err != nil {
		j.Log.Error(err, "Cannot import the pods of a namespace that opted in", "namespace", namespace)
	}
	for who := range keys {
		j.queue.Add(who)
	}
}

// sayWhile has the log say, now and then, what is being waited for and the last error met on the way, until the
// function it returns is called.
func (j *Janitor) sayWhile(ctx context.Context, what string, failed *atomic.Pointer[error]) (done func()) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		ticker := j.Clock.NewTicker(sayInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C():
			}
			if err := failed.Swap(nil); err != nil {
				j.Log.Error(*err, what+" goes on, retrying")
				continue
			}
			j.Log.Info(what + " goes on")
		}
	}()
	return cancel
}

// adopts reports whether addresses are taken into the ledger because a subject has them: those of pods only where the
// namespace opted in. What is in the ledger stays there until nobody has it, whatever becomes of the label.
func (j *Janitor) adopts(ctx context.Context, who subject) (bool, error) {
	if !who.pod {
		return true, nil
	}
	err := j.VMs.Get(ctx, types.NamespacedName{Name: who.key.Namespace}, namespaceMetadata())
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look whether namespace %s opted in: %w", who.key.Namespace, err)
	}
	return true, nil
}

// watch has kinds of objects cached, and what happens to them handled. It returns when everything that exists has been.
func (j *Janitor) watch(ctx context.Context, handler toolscache.ResourceEventHandler, kinds ...client.Object) error {
	var synced []toolscache.InformerSynced
	defer j.sayWhile(ctx, "Waiting for the API server to list "+namesOf(kinds), &atomic.Pointer[error]{})()
	for _, kind := range kinds {
		informer, err := j.VMs.GetInformer(ctx, kind)
		if err != nil {
			return fmt.Errorf("watch %T: %w", kind, err)
		}
		registration, err := informer.AddEventHandler(handler)
		if err != nil {
			return fmt.Errorf("watch %T: %w", kind, err)
		}
		synced = append(synced, registration.HasSynced)
	}
	if !toolscache.WaitForCacheSync(ctx.Done(), synced...) {
		return ctx.Err()
	}
	return nil
}

// namesOf returns what people call the objects of kinds.
func namesOf(kinds []client.Object) string {
	var names []string
	for _, kind := range kinds {
		names = append(names, kindOfVM(kind)+"s")
	}
	return strings.Join(names, " and ")
}

// kindOfVM returns the kind of a VM or an instance, or of what has its kind with it.
func kindOfVM(object client.Object) string {
	switch object.(type) {
	case *vm:
		return macpool.KindVM
	case *vmi:
		return macpool.KindVMI
	}
	return object.GetObjectKind().GroupVersionKind().Kind
}

// queueing queues a pod, or a VM or instance: at once when it is gone, for somebody may wait for its addresses, and a
// moment after it changed.
func (j *Janitor) queueing(pods bool) toolscache.ResourceEventHandler {
	queue := func(o any, after time.Duration) {
		if tombstone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
			o = tombstone.Obj
		}
		if object, ok := o.(client.Object); ok {
			j.queue.AddAfter(subject{pod: pods, key: client.ObjectKeyFromObject(object)}, after)
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { queue(o, debounce) },
		UpdateFunc: func(_, o any) { queue(o, debounce) },
		DeleteFunc: func(o any) { queue(o, 0) },
	}
}

// everyVM adds all objects of a kind, VMs or instances, to those that were found.
func (j *Janitor) everyVM(ctx context.Context, kind client.Object, found map[subject]bool) error {
	var list client.ObjectList = &vmList{}
	if _, instances := kind.(*vmi); instances {
		list = &vmiList{}
	}
	if err := j.VMs.List(ctx, list); err != nil {
		return fmt.Errorf("list %s: %w", namesOf([]client.Object{kind}), err)
	}
	return meta.EachListItem(list, func(o runtime.Object) error {
		found[subject{key: client.ObjectKeyFromObject(o.(client.Object))}] = true
		return nil
	})
}

// podsIn returns the pods of a namespace, or of all, that have an address.
func (j *Janitor) podsIn(ctx context.Context, namespace string) (map[subject]bool, error) {
	pods := podList()
	if err := j.VMs.List(ctx, pods, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("list Pods: %w", err)
	}
	found := map[subject]bool{}
	for i := range pods.Items {
		if len(podAddresses(&pods.Items[i], j.TakesMAC)) > 0 {
			found[subject{pod: true, key: client.ObjectKeyFromObject(&pods.Items[i])}] = true
		}
	}
	return found, nil
}
