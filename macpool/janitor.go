package macpool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// settleDelay is how long the janitor leaves a VM that changed alone: the replica that admitted it is about to
	// record its addresses, and needs no help.
	settleDelay = time.Second
	// sweepEvery is how often the janitor looks for what no event tells of.
	sweepEvery = 10 * time.Second
	// reportEvery is how often the status of the pools is brought up to date.
	reportEvery = 2 * time.Second
	// importWorkers is how many VMs are imported, or settled, at a time.
	importWorkers = 32
	// kubevirtPoll is how often the janitor looks whether KubeVirt is there by now.
	kubevirtPoll = 5 * time.Second
)

// A Janitor keeps the ledger true to what exists: it imports the addresses of all VMs and instances, frees those whose
// holder is gone, and settles what dead replicas had reserved. One at a time should run, but two at once do no harm:
// every change is decided on a fresh read and written on the version that it was decided on.
type Janitor struct {
	Ledger *Ledger
	// VMs is a cache of NewVMCache that is not started.
	VMs cache.Cache
	// Client must not read from a cache.
	Client client.Client
	// Namespace holds the Leases of the replicas.
	Namespace string
	// Identity goes into the status of the pools when the import is done.
	Identity string
	Log      logr.Logger
	Clock    clock.WithTicker
	// Patience replaces LeaseDuration + LongestAdmission, for tests on a shorter scale; zero leaves it.
	Patience time.Duration
	// SweepEvery replaces the constant of that name, for tests; zero leaves it.
	SweepEvery time.Duration

	imported atomic.Bool
	queue    workqueue.TypedRateLimitingInterface[types.NamespacedName]
	watchman watchman
	empty    map[Prefix]string // blocks found empty by the last sweep, with their versions
}

// Imported says whether this janitor has imported every address in use.
func (j *Janitor) Imported() bool { return j.imported.Load() }

// Start keeps the ledger until ctx is done. A Janitor is started once.
func (j *Janitor) Start(ctx context.Context) error {
	j.watchman = watchman{patience: cmp.Or(j.Patience, LeaseDuration+LongestAdmission)}
	j.queue = workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[types.NamespacedName]())
	defer j.queue.ShutDown()
	if err := ensureDefaultPool(ctx, j.Client); err != nil {
		return err
	}
	jobs, ctx := errgroup.WithContext(ctx)
	jobs.Go(func() error { <-ctx.Done(); j.queue.ShutDown(); return nil })
	jobs.Go(func() error { return j.VMs.Start(ctx) })
	jobs.Go(func() error {
		if err := j.importWhatIsThere(ctx); err != nil {
			return err
		}
		for range importWorkers {
			jobs.Go(func() error { j.work(ctx); return nil })
		}
		every := cmp.Or(j.SweepEvery, sweepEvery)
		jobs.Go(func() error { j.repeat(ctx, every, "Sweep of the ledger", j.sweep); return nil })
		jobs.Go(func() error { j.repeat(ctx, reportEvery, "Report on the pools", j.reportPools); return nil })
		return nil
	})
	return jobs.Wait()
}

// importWhatIsThere imports all VMs and reports that in the status of the pools. While KubeVirt is not installed there
// are none; it is looked for until it is.
func (j *Janitor) importWhatIsThere(ctx context.Context) error {
	err := j.importVMs(ctx)
	if meta.IsNoMatchError(err) {
		j.Log.Info("KubeVirt is not installed: there is no VM to import; looking for it", "every", kubevirtPoll.String())
		go j.importLater(ctx)
	} else if err != nil {
		return err
	}
	j.imported.Store(true)
	return j.reportPools(ctx)
}

func (j *Janitor) importLater(ctx context.Context) {
	_ = wait.PollUntilContextCancel(ctx, kubevirtPoll, false, func(ctx context.Context) (bool, error) {
		err := j.importVMs(ctx)
		if err != nil && !meta.IsNoMatchError(err) {
			j.Log.Error(err, "Import of VMs failed, retrying")
		}
		return err == nil, nil
	})
}

// importVMs reads all VMs and instances, sees to it that their addresses are in the ledger, and has what changes from
// then on queued.
func (j *Janitor) importVMs(ctx context.Context) error {
	if err := j.watch(ctx); err != nil {
		return err
	}
	begun := j.Clock.Now()
	keys, err := j.everyKey(ctx)
	if err != nil {
		return err
	}
	imports, importCtx := errgroup.WithContext(ctx)
	imports.SetLimit(importWorkers)
	for key := range keys {
		imports.Go(func() error { return j.retry(importCtx, key) })
	}
	if err := imports.Wait(); err != nil {
		return fmt.Errorf("import addresses of VMs: %w", err)
	}
	j.Log.Info("Imported the addresses of all VMs", "vms", len(keys), "took", j.Clock.Since(begun).String())
	return nil
}

// watch has VMs and instances cached and their changes queued.
func (j *Janitor) watch(ctx context.Context) error {
	var synced []toolscache.InformerSynced
	for _, kind := range []client.Object{&vm{}, &vmi{}} {
		informer, err := j.VMs.GetInformer(ctx, kind)
		if err != nil {
			return fmt.Errorf("watch VMs: %w", err)
		}
		registration, err := informer.AddEventHandler(j.handler())
		if err != nil {
			return fmt.Errorf("watch VMs: %w", err)
		}
		synced = append(synced, registration.HasSynced)
	}
	if !toolscache.WaitForCacheSync(ctx.Done(), synced...) {
		return ctx.Err()
	}
	return nil
}

// retry settles one VM, again and again while the API server is away.
func (j *Janitor) retry(ctx context.Context, key types.NamespacedName) error {
	return wait.PollUntilContextCancel(ctx, settleDelay, true, func(ctx context.Context) (bool, error) {
		_, err := j.settle(ctx, key, false)
		return err == nil, nil
	})
}

func (j *Janitor) everyKey(ctx context.Context) (map[types.NamespacedName]bool, error) {
	keys := map[types.NamespacedName]bool{}
	var vms vmList
	if err := j.VMs.List(ctx, &vms, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list VirtualMachines: %w", err)
	}
	for i := range vms.Items {
		keys[client.ObjectKeyFromObject(&vms.Items[i])] = true
	}
	var vmis vmiList
	if err := j.VMs.List(ctx, &vmis, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list VirtualMachineInstances: %w", err)
	}
	for i := range vmis.Items {
		keys[client.ObjectKeyFromObject(&vmis.Items[i])] = true
	}
	return keys, nil
}

// handler queues a VM or instance a moment after it changed.
func (j *Janitor) handler() toolscache.ResourceEventHandler {
	queue := func(o any) {
		if tombstone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
			o = tombstone.Obj
		}
		if object, ok := o.(client.Object); ok {
			j.queue.AddAfter(client.ObjectKeyFromObject(object), settleDelay)
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    queue,
		UpdateFunc: func(_, o any) { queue(o) },
		DeleteFunc: queue,
	}
}

func (j *Janitor) work(ctx context.Context) {
	for {
		key, stop := j.queue.Get()
		if stop {
			return
		}
		recheck, err := j.settle(ctx, key, true)
		switch {
		case err != nil && ctx.Err() == nil:
			j.Log.Error(err, "VM not settled, retrying", "vm", key)
			j.queue.AddRateLimited(key)
		case recheck > 0:
			j.queue.Forget(key)
			j.queue.AddAfter(key, recheck)
		default:
			j.queue.Forget(key)
		}
		j.queue.Done(key)
	}
}

// settle makes the ledger agree with one VM or instance, and says when to look again.
func (j *Janitor) settle(ctx context.Context, key types.NamespacedName, lazy bool) (recheck time.Duration, err error) {
	cached, err := KubeCensus{Reader: j.VMs}.addresses(ctx, key)
	if err != nil {
		return 0, err
	}
	var live map[Object]map[MAC]string
	var failed []error
	for _, o := range []Object{vmObject(key), {Kind: KindVMI, Namespace: key.Namespace, Name: key.Name}} {
		s := settle(cached[o], j.Ledger.holdsOf(o), j.Clock.Now(), j.Ledger.grace)
		if s.recheck > 0 && (recheck == 0 || s.recheck < recheck) {
			recheck = s.recheck
		}
		for m, iface := range s.adopt {
			failed = append(failed, j.adopt(ctx, m, Holder{Object: o, Interface: iface}, lazy))
		}
		if len(s.release) > 0 && live == nil {
			// The cache may be behind; what it misses may have been given back its address by now.
			if live, err = (KubeCensus{Reader: j.Client}).addresses(ctx, key); err != nil {
				return 0, err
			}
		}
		for m, hold := range s.release {
			if _, there := live[o][m]; there {
				recheck = settleDelay
				continue
			}
			j.Log.Info("Address freed", "mac", m.String(), "holder", o.String())
			failed = append(failed, j.Ledger.edit(ctx, m.Prefix(), lazy, func(b *Block) { b.Release(m, hold) }))
		}
	}
	return recheck, errors.Join(failed...)
}

func (j *Janitor) adopt(ctx context.Context, m MAC, h Holder, lazy bool) error {
	now := j.Ledger.now()
	return j.Ledger.edit(ctx, m.Prefix(), lazy, func(b *Block) { b.Adopt(m, h, now) })
}
