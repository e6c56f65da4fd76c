// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/procfs"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrlcache "sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	apiruntime "k8s.io/apimachinery/pkg/runtime"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
	"github.com/bridgehead-dev/bridgehead/macpool"
	bhcluster "github.com/bridgehead-dev/bridgehead/macpool/cluster"
	"github.com/bridgehead-dev/bridgehead/macpool/janitor"
	"github.com/bridgehead-dev/bridgehead/macpool/ledger"
)

const (
	system = "bridgehead-system"
	// concurrency is how many VMs are admitted at a time.
	concurrency = 16
	// sweeps is how many sweeps are measured.
	sweeps = 5
	// recordTime is how long the records of what was lent take to be written.
	recordTime = 4 * time.Second
)

// A replica is what keeps addresses in one process.
type replica struct {
	ledger  *ledger.Ledger
	feed    *bhcluster.Feed
	pools   *bhcluster.Pools
	janitor *janitor.Janitor
	writes  *countingStore
	jobs    *errgroup.Group
	sweeps  *sweepCounter
	client  *http.Client
	url     string
}

// serve is a replica that reports its figures to standard output.
func serve(ctx context.Context, url string, o Options) error {
	ctrllog.SetLogger(logr.Discard())
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	begun := time.Now()
	r, err := start(ctx, url)
	if err != nil {
		return err
	}
	var f figures
	if err := wait.PollUntilContextCancel(ctx, 5*time.Millisecond, true, func(context.Context) (bool, error) {
		return r.feed.Synced() && r.janitor.Imported(), nil
	}); err != nil {
		return err
	}
	f.ReadySeconds = time.Since(begun).Seconds()
	if f.MiB, f.PeakMiB, err = memory(); err != nil {
		return err
	}
	if o.Admitted > 0 {
		if err := r.measure(ctx, o.Admitted, &f); err != nil {
			return err
		}
	}
	if err := r.ledger.Close(ctx); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(f)
}

// newScheme returns the types that a replica reads and writes.
func newScheme() (*apiruntime.Scheme, error) {
	scheme := apiruntime.NewScheme()
	for _, add := range []func(*apiruntime.Scheme) error{
		clientgoscheme.AddToScheme, v1alpha1.AddToScheme, janitor.AddVMsToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("make scheme: %w", err)
		}
	}
	return scheme, nil
}

// newConfig returns how the API server is reached, and what counts the sweeps that come by.
func newConfig(url string) (*rest.Config, *sweepCounter) {
	json := rest.ContentConfig{ContentType: "application/json", AcceptContentTypes: "application/json"}
	cfg, sweeps := &rest.Config{Host: url, QPS: -1, ContentConfig: json}, &sweepCounter{}
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		sweeps.next = next
		return sweeps
	})
	return cfg, sweeps
}

// start starts a replica that ends with ctx.
func start(ctx context.Context, url string) (*replica, error) {
	scheme, err := newScheme()
	if err != nil {
		return nil, err
	}
	cfg, sweeps := newConfig(url)
	direct, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	blocks, err := ctrlcache.New(cfg, ctrlcache.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("make cache: %w", err)
	}
	vms, err := janitor.NewVMCache(cfg, scheme, janitor.OptedIn())
	if err != nil {
		return nil, err
	}
	name := "replica-" + strconv.Itoa(os.Getpid())
	lease := &bhcluster.Lease{
		Client: direct, Namespace: system, Pod: name, Clock: clock.RealClock{}, Log: logr.Discard(),
	}
	r := &replica{
		pools: &bhcluster.Pools{}, writes: &countingStore{Store: bhcluster.KubeStore{Client: direct}}, url: url,
		sweeps: sweeps, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: concurrency}},
	}
	r.ledger = ledger.New(context.WithoutCancel(ctx), ledger.Options{
		Store: r.writes, Lease: lease, Objects: janitor.Objects{Reader: direct}, Clock: clock.RealClock{},
	})
	r.feed = &bhcluster.Feed{Ledger: r.ledger, Pools: r.pools, Cache: blocks, Log: logr.Discard()}
	if err := r.feed.Register(ctx); err != nil {
		return nil, err
	}
	r.janitor = &janitor.Janitor{
		Ledger: r.ledger, VMs: vms, Client: direct, Namespace: system, Term: bhcluster.Term{Holder: name},
		Log: logr.Discard(), Clock: clock.RealClock{},
	}
	r.jobs, ctx = errgroup.WithContext(ctx)
	r.jobs.Go(func() error { return lease.Run(ctx) })
	r.jobs.Go(func() error { return blocks.Start(ctx) })
	r.jobs.Go(func() error {
		if !blocks.WaitForCacheSync(ctx) {
			return ctx.Err()
		}
		return r.janitor.Start(ctx)
	})
	return r, nil
}

// measure has VMs admitted, and then looks what sweeps cost.
func (r *replica) measure(ctx context.Context, vms int, f *figures) error {
	latencies := make([]time.Duration, vms)
	if err := r.admit(ctx, "warm", latencies[:min(vms, 256)]); err != nil { // until the window is as large as it gets
		return err
	}
	before := r.writes.puts.Load()
	if err := r.admit(ctx, "new", latencies); err != nil {
		return err
	}
	slices.Sort(latencies)
	f.P50, f.P99 = microseconds(latencies[vms/2]), microseconds(latencies[vms*99/100])
	if err := suite.Sleep(ctx, recordTime); err != nil {
		return err
	}
	f.Writes = float64(r.writes.puts.Load()-before) / float64(vms)
	return r.measureSweeps(ctx, f)
}

// measureSweeps looks what sweeps cost, and all that a replica does beside them.
func (r *replica) measureSweeps(ctx context.Context, f *figures) error {
	var was, is runtime.MemStats
	if err := r.sweeps.wait(ctx, 1); err != nil {
		return err
	}
	runtime.ReadMemStats(&was)
	used := cpu()
	if err := r.sweeps.wait(ctx, sweeps); err != nil {
		return err
	}
	runtime.ReadMemStats(&is)
	f.SweepMilliseconds = float64((cpu() - used).Microseconds()) / 1000 / sweeps
	f.SweepMiB = float64(is.TotalAlloc-was.TotalAlloc) / (1 << 20) / sweeps
	return nil
}

// admit gives two addresses to each of many VMs, so many at a time, and creates the VMs.
func (r *replica) admit(ctx context.Context, name string, latencies []time.Duration) error {
	rule, err := r.pools.For("default")
	if err != nil {
		return err
	}
	name += "-" + strconv.Itoa(os.Getpid()) + "-"
	admissions, ctx := errgroup.WithContext(ctx)
	admissions.SetLimit(concurrency)
	for i := range latencies {
		admissions.Go(func() error {
			holder := macpool.Object{Kind: macpool.KindVM, Namespace: "default", Name: name + strconv.Itoa(i)}
			asked := time.Now()
			grant, err := r.ledger.Assign(ctx, macpool.Request{
				Holder: holder, Pool: rule.Pool, Asks: []macpool.Ask{{Interface: "a"}, {Interface: "b"}},
			})
			latencies[i] = time.Since(asked)
			if err != nil {
				return fmt.Errorf("admit %s: %w", holder, err)
			}
			return createVM(r.post, holder.Name, grant.MACs[0].String(), grant.MACs[1].String())
		})
	}
	return admissions.Wait()
}

func (r *replica) post(path, body string) error { return post(r.client, r.url+path, body) }

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// cpu returns what this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// memory returns what is resident now, and at most until now, in MiB.
func memory() (now, peak float64, err error) {
	self, err := procfs.Self()
	if err != nil {
		return 0, 0, fmt.Errorf("read memory: %w", err)
	}
	status, err := self.NewStatus()
	if err != nil {
		return 0, 0, fmt.Errorf("read memory: %w", err)
	}
	return float64(status.VmRSS) / (1 << 20), float64(status.VmHWM) / (1 << 20), nil
}
