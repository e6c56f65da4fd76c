// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"
	"github.com/bridgehead-dev/bridgehead/e2e/controlplane"
	"github.com/bridgehead-dev/bridgehead/e2e/fastclock"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/cluster"
	"github.com/bridgehead-dev/bridgehead/macpool/janitor"
	"github.com/bridgehead-dev/bridgehead/macpool/ledger"
)

// The ledgers and the janitor of the chaos have a clock that runs ahead: what takes a minute takes four seconds.
const (
	chaosSpeed     = 15
	chaosLease     = cluster.LeaseDuration / chaosSpeed
	chaosAdmission = 2 * time.Second
	chaosTimeout   = 1500 * time.Millisecond // of one admission, as of the webhook
	chaosPatience  = 20 * time.Millisecond   // of a client before it tries again
	chaosVMs       = 2000
	chaosReplicas  = 4
	chaosWorkers   = 16
)

// A chaos is a cluster whose replicas are killed, paused and cut off while VMs are created.
type chaos struct {
	t      *testing.T
	plane  *controlplane.ControlPlane
	client client.Client
	scheme *runtime.Scheme
	pool   macpool.Pool
	clock  fastclock.Clock // of replicas and janitor
	stats  struct{ created, refused, undecided, dropped, deleted, kills, pauses, restarts atomic.Int64 }

	mu       sync.Mutex
	replicas []*chaosReplica
	started  int
}

// A chaosReplica is what one process of the program has of the ledger.
type chaosReplica struct {
	ledger *ledger.Ledger
	lease  *cluster.Lease
	gate   *gate
	kill   context.CancelFunc
}

// A gate holds back all requests of a replica while it is closed: the replica is paused, or cut off.
type gate struct {
	next http.RoundTripper
	mu   sync.RWMutex
}

// RoundTrip implements http.RoundTripper.
func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.next.RoundTrip(r)
}

func TestChaosNeitherDuplicatesNorLeaksAddresses(t *testing.T) {
	c := newChaos(t)
	for range chaosReplicas {
		c.startReplica()
	}
	c.startJanitor()
	ctx, stop := context.WithCancel(t.Context())
	var havoc sync.WaitGroup
	havoc.Go(func() { c.wreak(ctx) })
	creators, creating := errgroup.WithContext(t.Context())
	var next atomic.Int64
	for range chaosWorkers {
		creators.Go(func() error {
			for n := next.Add(1); n <= chaosVMs; n = next.Add(1) {
				for decided := false; !decided; suite.Pause(creating, chaosPatience) {
					var err error
					if decided, err = c.create(creating, int(n)); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	err := creators.Wait()
	stop()
	havoc.Wait()
	require.NoError(t, err)
	c.closeAll()
	c.requireTrueLedger()
	s := &c.stats
	t.Logf(
		"%d VMs created, %d refused, %d undecided, %d rejected after admission, %d deleted; %d kills, %d pauses, %d API server restarts",
		s.created.Load(), s.refused.Load(), s.undecided.Load(), s.dropped.Load(), s.deleted.Load(), s.kills.Load(),
		s.pauses.Load(), s.restarts.Load(),
	)
	assert.Greater(t, s.created.Load(), int64(chaosVMs/2), "most VMs were created")
	assert.Positive(t, s.refused.Load())
	assert.Positive(t, s.kills.Load())
	assert.Positive(t, s.pauses.Load())
	assert.Positive(t, s.restarts.Load())
}

func newChaos(t *testing.T) *chaos {
	c := &chaos{
		t:      t,
		plane:  controlplane.StartForTest(t, controlplane.Options{UnsafeNoFsync: true}),
		scheme: runtime.NewScheme(),
		clock:  fastclock.New(chaosSpeed),
	}
	require.NoError(
		t,
		errors.Join(clientgoscheme.AddToScheme(c.scheme), v1alpha1.AddToScheme(c.scheme), janitor.AddVMsToScheme(c.scheme)),
	)
	root, err := suite.Root()
	require.NoError(t, err)
	require.NoError(t, c.plane.InstallKubeVirt(t.Context()))
	require.NoError(t, c.plane.Apply(t.Context(), root+"/manifests/crds/bridgehead.dev_macblocks.yaml"))
	require.NoError(t, c.plane.Apply(t.Context(), root+"/manifests/crds/bridgehead.dev_macpools.yaml"))
	c.client, err = client.New(c.plane.Config, client.Options{Scheme: c.scheme})
	require.NoError(t, err)
	first, err := macpool.ParseRange("02:4a:be:00:00:00", "02:4a:be:00:7f:ff")
	require.NoError(t, err)
	c.pool = macpool.Pool{Name: "default", Set: macpool.NewSet([]macpool.Range{first}, nil)}
	return c
}

// startReplica starts a replica as a new process would.
func (c *chaos) startReplica() {
	ctx, kill := context.WithCancel(c.t.Context())
	r := &chaosReplica{gate: &gate{}, kill: kill}
	cfg := rest.CopyConfig(c.plane.Config)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { r.gate.next = next; return r.gate })
	direct, err := client.New(cfg, client.Options{Scheme: c.scheme})
	require.NoError(c.t, err)
	c.mu.Lock()
	c.started++
	name := fmt.Sprint("replica-", c.started)
	c.mu.Unlock()
	r.lease = &cluster.Lease{Client: direct, Namespace: "default", Pod: name, Clock: c.clock, Log: logr.Discard()}
	go func() { assert.NoError(c.t, r.lease.Run(ctx)) }()
	r.ledger = c.newLedger(ctx, direct, r.lease)
	c.feed(ctx, cfg, r.ledger)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replicas = append(c.replicas, r)
}

func (c *chaos) newLedger(ctx context.Context, direct client.Client, lease ledger.ReplicaLease) *ledger.Ledger {
	return ledger.New(ctx, ledger.Options{
		Store: cluster.KubeStore{Client: direct}, Lease: lease, Objects: janitor.Objects{Reader: direct},
		Clock: c.clock, MaxAdmission: chaosSpeed * chaosAdmission,
	})
}

func (c *chaos) feed(ctx context.Context, cfg *rest.Config, ledger *ledger.Ledger) {
	watched, err := cache.New(cfg, cache.Options{Scheme: c.scheme})
	require.NoError(c.t, err)
	feed := &cluster.Feed{Ledger: ledger, Pools: &cluster.Pools{}, Cache: watched, Log: logr.Discard()}
	require.NoError(c.t, feed.Register(ctx))
	go func() { _ = watched.Start(ctx) }() // it ends with ctx
}

// nobody is the lease of the janitor, which lends nothing.
type nobody struct{}

// Replica implements ledger.ReplicaLease.
func (nobody) Replica() (string, bool) { return "", false }

func (c *chaos) startJanitor() {
	ledger := c.newLedger(c.t.Context(), c.client, nobody{})
	c.feed(c.t.Context(), c.plane.Config, ledger)
	go func() {
		for c.t.Context().Err() == nil {
			vms, err := janitor.NewVMCache(c.plane.Config, c.scheme, janitor.OptedIn())
			if err != nil {
				continue // the API server is away now and then
			}
			janitor := &janitor.Janitor{
				Ledger: ledger, VMs: vms, Client: c.client, Namespace: "default", Term: cluster.Term{Holder: "janitor"},
				Clock: c.clock, Log: logr.Discard(),
			}
			_ = janitor.Start(c.t.Context())
		}
	}()
}

// wreak kills, pauses and restarts things until ctx is done.
func (c *chaos) wreak(ctx context.Context) {
	for turn := 1; suite.Pause(ctx, 300*time.Millisecond); turn++ {
		switch {
		case turn%25 == 10:
			c.stats.restarts.Add(1)
			assert.NoError(c.t, c.plane.RestartAPIServer(context.WithoutCancel(ctx)))
		case turn%3 == 0:
			c.stats.kills.Add(1)
			c.take().kill()
			c.startReplica()
		case turn%3 == 1:
			c.stats.pauses.Add(1)
			r := c.pick()
			go func() {
				r.gate.mu.Lock()
				defer r.gate.mu.Unlock()
				suite.Pause(ctx, time.Duration(rand.N(int64(3*chaosLease))))
			}()
		}
	}
}

// take removes a replica.
func (c *chaos) take() *chaosReplica {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := rand.N(len(c.replicas))
	r := c.replicas[i]
	c.replicas = slices.Delete(c.replicas, i, i+1)
	return r
}

func (c *chaos) pick() *chaosReplica {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.replicas[rand.N(len(c.replicas))]
}

func (c *chaos) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.replicas {
		closing, cancel := context.WithTimeout(c.t.Context(), within)
		assert.NoError(c.t, r.ledger.Close(closing))
		assert.NoError(c.t, r.lease.End(closing))
		cancel()
		r.kill()
	}
}

// requireTrueLedger waits until the ledger holds exactly what the VMs have, and nothing is reserved any more.
func (c *chaos) requireTrueLedger() {
	var difference string
	err := wait.PollUntilContextTimeout(
		c.t.Context(),
		500*time.Millisecond,
		5*time.Minute,
		true,
		func(ctx context.Context) (bool, error) {
			var err error
			difference, err = c.difference(ctx)
			return difference == "", err
		},
	)
	require.NoError(c.t, err, "the ledger and the VMs differ: %s", difference)
}

// difference returns where the ledger and the VMs disagree, one example of each kind.
func (c *chaos) difference(ctx context.Context) (string, error) {
	vms := &unstructured.UnstructuredList{}
	vms.SetAPIVersion("kubevirt.io/v1")
	vms.SetKind("VirtualMachineList")
	if err := c.client.List(ctx, vms); err != nil {
		return "", err
	}
	owners := map[string]string{}
	for _, vm := range vms.Items {
		nics, _, err := unstructured.NestedSlice(vm.Object, "spec", "template", "spec", "domain", "devices", "interfaces")
		if err != nil {
			return "", err
		}
		for _, nic := range nics {
			mac := nic.(map[string]any)["macAddress"].(string)
			if other, ok := owners[mac]; ok {
				return "", fmt.Errorf("DUPLICATE: %s and %s both have %s", other, vm.GetName(), mac)
			}
			owners[mac] = vm.GetName()
		}
	}
	blocks, err := suite.Blocks(ctx, c.client)
	if err != nil {
		return "", err
	}
	for _, b := range blocks {
		for m, e := range b.Entries() {
			switch {
			case e.Reservation.Replica != "":
				return fmt.Sprintf("%s is reserved by %s", m, e.Reservation.Replica), nil
			case len(e.Holds) != 1 || e.Holds[0].Name != owners[m.String()]:
				return fmt.Sprintf("%s is held by %v and had by %q", m, e.Holds, owners[m.String()]), nil
			}
			delete(owners, m.String())
		}
	}
	for mac, vm := range owners {
		return fmt.Sprintf("%s of %s is not in the ledger", mac, vm), nil
	}
	return "", nil
}
