// SPDX-License-Identifier: Apache-2.0

// Package janitor keeps the ledger true to what exists: it imports the addresses of VMs and pods, frees those whose
// holder is gone, ends the reservations of dead replicas and reports collisions.
package janitor

import (
	"context"
	"fmt"
	"maps"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/cluster"
	"github.com/bridgehead-dev/bridgehead/macpool/ledger"
	"github.com/bridgehead-dev/bridgehead/nad"
)

const (
	// debounce is how long the janitor leaves a VM that changed alone: the replica that admitted it is about to
	// record its addresses, within two seconds, and needs no help.
	debounce = 3 * time.Second
	// sweepInterval is how often the janitor looks for what no event tells of.
	sweepInterval = 10 * time.Second
	// reportInterval is how often the status of the pools is brought up to date.
	reportInterval = 2 * time.Second
	// importWorkers is how many objects are imported or decided about, and how many blocks written, at a time.
	importWorkers = 32
	// retryInterval is how often an import is tried again.
	retryInterval = time.Second
	// sayInterval is how often the log says what an import waits for.
	sayInterval = 10 * time.Second
	// kubevirtPoll is how often the janitor looks whether KubeVirt is there by now.
	kubevirtPoll = 5 * time.Second
)

// A Janitor keeps the ledger true to what exists: it imports the addresses of all VMs and instances, and of pods in the
// namespaces that VMs selects for them, frees those whose holder is gone, and settles what dead replicas had reserved.
// One at a time should run, but two at once do no harm: every change is decided on a fresh read and written on the
// version that it was decided on.
type Janitor struct {
	Ledger *ledger.Ledger
	// VMs is a cache of NewVMCache that is not started.
	VMs cache.Cache
	// Client must not read from a cache.
	Client client.Client
	// Namespace holds the Leases of the replicas.
	Namespace string
	// Term goes into the status of the pools when the import is done.
	Term  cluster.Term
	Log   logr.Logger
	Clock clock.WithTicker
	// TakesMAC reports whether an interface of a pod has an address that can be given; nil says so of all.
	TakesMAC func(nad.Interface) bool
	// Unreadable are the names of blocks that have rows which cannot be read; nil says that there are none.
	Unreadable func() []string
	// Serving returns how many namespaces every pool serves, by its name; nil leaves that untold.
	Serving func() map[string]int
	// Foreign returns the addresses that no pool lends since others have them, such as nodes; nil knows of none.
	Foreign func() []macpool.Range
	// Events is where collisions are told; nil for nowhere.
	Events events.EventRecorder

	collisions atomic.Pointer[[]macpool.Collision]
	suspected  map[string]bool // the collisions that the last sweep saw
	reported   map[string]bool // the collisions that were told already

	imported  atomic.Bool
	watched   sync.Map // the kinds of KubeVirt that were watched once: they are installed
	unwritten tally
	launchers Launchers
	queue     workqueue.TypedRateLimitingInterface[subject]
	monitor   leaseMonitor
	empty     map[macpool.Prefix]string // blocks found empty by the last sweep, with their versions
}

// cached and live read what objects have, from the cache and past it.
func (j *Janitor) cached() Objects { return Objects{Reader: j.VMs, Cached: true, TakesMAC: j.TakesMAC} }
func (j *Janitor) live() Objects {
	return Objects{Reader: j.Client, TakesMAC: j.TakesMAC, Launchers: &j.launchers}
}

// Imported reports whether this janitor has imported every address in use.
func (j *Janitor) Imported() bool { return j.imported.Load() }

// Start keeps the ledger until ctx is done. A Janitor is started once.
func (j *Janitor) Start(ctx context.Context) error {
	// A replica is dead that has not renewed its Lease for as long as that lasts and an admission may take.
	j.monitor = leaseMonitor{patience: cluster.LeaseDuration + j.Ledger.MaxAdmission}
	j.queue = workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[subject]())
	defer j.queue.ShutDown()
	if err := cluster.EnsureDefaultPool(ctx, j.Client, j.Log); err != nil {
		return err
	}
	jobs, ctx := errgroup.WithContext(ctx)
	jobs.Go(func() error { <-ctx.Done(); j.queue.ShutDown(); return nil })
	jobs.Go(func() error { return j.VMs.Start(ctx) })
	jobs.Go(func() error {
		finish, err := j.importWhatIsThere(ctx)
		if err != nil {
			return err
		}
		jobs.Go(func() error {
			err := finish()
			j.imported.Store(err == nil)
			return err
		})
		for range importWorkers {
			jobs.Go(func() error { j.work(ctx); return nil })
		}
		jobs.Go(func() error { j.repeat(ctx, sweepInterval, "Sweep of the ledger", j.sweep); return nil })
		jobs.Go(func() error { j.repeat(ctx, reportInterval, "Report on the pools", j.reportPools); return nil })
		return nil
	})
	return jobs.Wait()
}

func (j *Janitor) work(ctx context.Context) {
	for {
		next, stop := j.queue.Get()
		if stop {
			return
		}
		recheck, err := j.reconcile(ctx, next)
		switch {
		case err != nil && ctx.Err() == nil:
			j.Log.Error(err, "Cannot record the addresses of an object, retrying", "pod", next.pod, "key", next.key)
			j.queue.AddRateLimited(next)
		case recheck > 0:
			j.queue.Forget(next)
			j.queue.AddAfter(next, recheck)
		default:
			j.queue.Forget(next)
		}
		j.queue.Done(next)
	}
}

// reconcile makes the ledger agree with one subject, soon, and says when to look again. A panic over one object becomes
// an error, so that the others are seen to.
func (j *Janitor) reconcile(ctx context.Context, who subject) (recheck time.Duration, err error) {
	defer recovered(&err)
	edits, recheck, err := j.decide(ctx, who)
	if err != nil {
		return 0, err
	}
	j.writeLater(who, edits)
	return recheck, nil
}

// recovered makes a panic the error of the function that defers it.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
	}
}

// leaveOut takes out of a correction what is being written already, and reports whether there was any.
func (j *Janitor) leaveOut(who subject, s correction) bool {
	before := len(s.adopt) + len(s.release)
	underWay := func(m macpool.MAC) bool { return j.unwritten.has(write{who: who, prefix: m.Prefix()}) }
	maps.DeleteFunc(s.adopt, func(m macpool.MAC, _ string) bool { return underWay(m) })
	maps.DeleteFunc(s.release, func(m macpool.MAC, _ macpool.Hold) bool { return underWay(m) })
	return len(s.adopt)+len(s.release) < before
}

// holdsOfEnded returns the holds that a pod has on addresses it was not seen to have, because it has ended: however
// young they are, no other pod of its name is on its way to them.
func (j *Janitor) holdsOfEnded(
	ctx context.Context, pod macpool.Object, has map[macpool.MAC]string,
) (map[macpool.MAC]macpool.Hold, error) {
	holds := j.Ledger.HoldsOf(pod)
	for m := range holds {
		ended := false
		if _, there := has[m]; !there {
			var err error
			if ended, err = j.live().Ended(ctx, pod, m); err != nil {
				return nil, err
			}
		}
		if !ended {
			delete(holds, m)
		}
	}
	return holds, nil
}

// correctionOf returns what is to be corrected in the holds of one of a subject's holders, which was seen to have these
// addresses, but for what is being written already.
func (j *Janitor) correctionOf(
	ctx context.Context, who subject, o macpool.Object, has map[macpool.MAC]string,
) (correction, error) {
	s := compare(has, j.Ledger.HoldsOf(o), j.Clock.Now(), j.Ledger.Grace)
	if who.pod && s.recheck > 0 {
		ended, err := j.holdsOfEnded(ctx, o, has)
		if err != nil {
			return correction{}, err
		}
		maps.Copy(s.release, ended)
	}
	if j.leaveOut(who, s) {
		s.recheck = debounce
	}
	return s, nil
}

// holderIn returns who of a subject has an address, the zero Holder if none has. What a VM held is its instance's once
// it was deleted without that (kubectl delete --cascade=orphan): the cache may not know of the instance yet.
func holderIn(live map[macpool.Object]map[macpool.MAC]string, m macpool.MAC) macpool.Holder {
	for o, has := range live {
		if iface, there := has[m]; there {
			return macpool.Holder{Object: o, Interface: iface}
		}
	}
	return macpool.Holder{}
}

// decide returns what to change so that the ledger agrees with one subject, and when to look again.
func (j *Janitor) decide(ctx context.Context, who subject) (edits []edit, recheck time.Duration, err error) {
	cached, err := j.cached().addresses(ctx, who)
	if err != nil {
		return nil, 0, err
	}
	adopts, err := j.adopts(ctx, who)
	if err != nil {
		return nil, 0, err
	}
	var live map[macpool.Object]map[macpool.MAC]string
	for _, o := range who.holders() {
		s, err := j.correctionOf(ctx, who, o, cached[o])
		if err != nil {
			return nil, 0, err
		}
		if s.recheck > 0 && (recheck == 0 || s.recheck < recheck) {
			recheck = s.recheck
		}
		if !adopts {
			clear(s.adopt)
		}
		for m, iface := range s.adopt {
			edits = append(edits, edit{mac: m, adopt: macpool.Holder{Object: o, Interface: iface}})
		}
		if len(s.release) > 0 && live == nil {
			// The cache may be behind; what it misses may have been given back its address by now.
			if live, err = j.live().addresses(ctx, who); err != nil {
				return nil, 0, err
			}
		}
		freed := j.freed(o, s.release, live)
		if len(freed) < len(s.release) {
			recheck = debounce
		}
		edits = append(edits, freed...)
	}
	return edits, recheck, nil
}

// freed returns how to free what an object does not have by a live read, or to pass it on to who has it by that.
func (j *Janitor) freed(
	o macpool.Object, release map[macpool.MAC]macpool.Hold, live map[macpool.Object]map[macpool.MAC]string,
) []edit {
	var edits []edit
	for m, hold := range release {
		if _, there := live[o][m]; there {
			continue
		}
		change := edit{mac: m, release: hold, adopt: holderIn(live, m)}
		if change.adopt == (macpool.Holder{}) {
			j.Log.Info("Address freed", "mac", m.String(), "holder", o.String())
		}
		edits = append(edits, change)
	}
	return edits
}
