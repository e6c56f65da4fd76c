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
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// importWhatIsThere imports all VMs and pods; finish waits until they are. While KubeVirt is not installed there are no
// VMs; it is looked for until it is.
func (j *Janitor) importWhatIsThere(ctx context.Context) (finish func() error, err error) {
	defer recovered(&err)
	finishPods, err := j.importPods(ctx)
	if err != nil {
		return nil, err
	}
	finishVMs, err := j.importVMs(ctx)
	if meta.IsNoMatchError(err) {
		j.Log.Info("KubeVirt is not installed: there is no VM to import; looking for it", "every", kubevirtPoll.String())
		go j.importLater(ctx)
		finishVMs = func() error { return nil }
	} else if err != nil {
		return nil, err
	}
	debug.FreeOSMemory() // the lists took several times what is kept of them
	return func() error { return errors.Join(finishPods(), finishVMs()) }, nil
}

func (j *Janitor) importLater(ctx context.Context) {
	_ = wait.PollUntilContextCancel(ctx, kubevirtPoll, false, func(ctx context.Context) (bool, error) {
		err := safely(ctx, func(ctx context.Context) error {
			finish, err := j.importVMs(ctx)
			if err != nil {
				return err
			}
			return finish()
		})
		if err != nil && !meta.IsNoMatchError(err) {
			j.Log.Error(err, "Import of VMs failed, retrying")
		}
		return err == nil, nil
	})
}

// importVMs sees to it that the addresses of all VMs and instances are in the ledger, and has what changes from then on
// queued.
func (j *Janitor) importVMs(ctx context.Context) (finish func() error, err error) {
	if err := j.watch(ctx, j.queueing(false), &vm{}, &vmi{}); err != nil {
		return nil, err
	}
	j.sawVMs.Store(true)
	keys, err := j.everyVM(ctx)
	if err != nil {
		return nil, err
	}
	return j.importAll(ctx, keys)
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
	var names []string
	for _, kind := range kinds {
		names = append(names, nameOf(kind))
	}
	defer j.sayWhile(ctx, "Waiting for the API server to list "+strings.Join(names, " and "), &atomic.Pointer[error]{})()
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

// nameOf returns what people call the objects of a kind.
func nameOf(kind client.Object) string {
	switch kind.(type) {
	case *vm:
		return "VirtualMachines"
	case *vmi:
		return "VirtualMachineInstances"
	}
	return kind.GetObjectKind().GroupVersionKind().Kind + "s"
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

func (j *Janitor) everyVM(ctx context.Context) (map[subject]bool, error) {
	found := map[subject]bool{}
	var vms vmList
	if err := j.VMs.List(ctx, &vms, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list VirtualMachines: %w", err)
	}
	for i := range vms.Items {
		found[subject{key: client.ObjectKeyFromObject(&vms.Items[i])}] = true
	}
	var vmis vmiList
	if err := j.VMs.List(ctx, &vmis, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list VirtualMachineInstances: %w", err)
	}
	for i := range vmis.Items {
		found[subject{key: client.ObjectKeyFromObject(&vmis.Items[i])}] = true
	}
	return found, nil
}

// podsIn returns the pods of a namespace, or of all, that have an address.
func (j *Janitor) podsIn(ctx context.Context, namespace string) (map[subject]bool, error) {
	pods := podList()
	if err := j.VMs.List(ctx, pods, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
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
