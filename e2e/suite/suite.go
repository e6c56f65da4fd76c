// SPDX-License-Identifier: Apache-2.0

// Package suite runs Bridgehead as its users do: the manifests applied to a real control plane, and replicas of the
// program serving behind the Service that the manifests name, each with the permissions of its service account.
package suite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"
	"github.com/bridgehead-dev/bridgehead/e2e/controlplane"
	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/cluster"
)

const (
	namespace      = "bridgehead-system"
	serviceAccount = "bridgehead"
	// Service is the Service that the webhooks are called by, as <namespace>/<name>.
	Service = namespace + "/bridgehead-webhook"
)

// Options says what runs.
type Options struct {
	ControlPlane controlplane.Options
	// Replicas of the program to start.
	Replicas int
	// Release is what is installed; nil means what is in the repository.
	Release *Release
	// Manifests is the kustomization to apply, below the root of the release; empty means manifests.
	Manifests string
	// Install installs in another way than by applying manifests; nil means that.
	Install func(context.Context, *controlplane.ControlPlane) error
	// Before are files or folders to apply before the manifests.
	Before []string
	// Flags are further flags of the program.
	Flags []string
	// Skews are by how much the clocks of replicas are ahead of the API server's: the first replica has the first, and so
	// on, over and over.
	Skews []time.Duration
	// WithoutKubeVirt leaves out KubeVirt's CRDs.
	WithoutKubeVirt bool
	// Out is told what takes long. Nil means os.Stderr.
	Out io.Writer
}

// A Suite is a control plane with the manifests applied.
type Suite struct {
	*controlplane.ControlPlane
	// Client is an administrator's, without a cache.
	Client client.Client

	options Options
	dir     string
	mu      sync.Mutex
	release Release // of which replicas are started
	program string  // of the release
	running []*Replica
	started int
}

// Start brings everything up and returns when every replica is ready. ctx bounds the start only.
func Start(ctx context.Context, o Options) (*Suite, error) {
	if o.Out == nil {
		o.Out = os.Stderr
	}
	o.ControlPlane.Out = o.Out
	dir, err := os.MkdirTemp("", "bridgehead-")
	if err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	s := &Suite{options: o, dir: dir}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// StartForTest is Start for one test; everything is stopped when it is over. If it fails, the logs of the replicas are
// shown.
func StartForTest(t testing.TB, o Options) *Suite {
	t.Helper()
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.Logs())
		}
		if err := s.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return s
}

func (s *Suite) start(ctx context.Context) error {
	release, err := s.options.release()
	if err != nil {
		return err
	}
	if err := s.use(ctx, release); err != nil {
		return err
	}
	if s.ControlPlane, err = controlplane.Start(ctx, s.options.ControlPlane); err != nil {
		return err
	}
	if s.Client, err = NewClient(s.ControlPlane); err != nil {
		return err
	}
	if !s.options.WithoutKubeVirt {
		if err := s.InstallKubeVirt(ctx); err != nil {
			return err
		}
	}
	for _, path := range s.options.Before {
		if err := s.Apply(ctx, path); err != nil {
			return err
		}
	}
	if err := s.install(ctx, filepath.Join(release.Root, cmp.Or(s.options.Manifests, "manifests"))); err != nil {
		return err
	}
	for range s.options.Replicas {
		if _, err := s.StartReplica(ctx); err != nil {
			return err
		}
	}
	return nil
}

// install installs what the options say: manifests, or what they have in their place.
func (s *Suite) install(ctx context.Context, manifests string) error {
	if s.options.Install != nil {
		return s.options.Install(ctx, s.ControlPlane)
	}
	return s.Apply(ctx, manifests)
}

// Root returns the folder of the repository.
func Root() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(file), "..", "..")
	if _, err := os.Stat(filepath.Join(root, "go.mod")); !ok || err != nil {
		return "", fmt.Errorf("find the folder of the repository from %q: build the tests without -trimpath", file)
	}
	return root, nil
}

// NewClient returns an administrator's client, without a cache, that knows the kinds of Kubernetes and of the ledger.
func NewClient(c *controlplane.ControlPlane) (client.Client, error) {
	scheme := kruntime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("make scheme: %w", err)
	}
	ctrllog.SetLogger(logr.Discard()) // else controller-runtime says half a minute later that nobody has
	return client.New(c.Config, client.Options{Scheme: scheme})
}

// Stop ends everything, at once.
func (s *Suite) Stop() error {
	var failed []error
	for _, r := range s.Running() {
		failed = append(failed, r.Kill())
	}
	if s.ControlPlane != nil {
		failed = append(failed, s.ControlPlane.Stop())
	}
	return errors.Join(append(failed, os.RemoveAll(s.dir))...)
}

// Blocks returns the blocks of the ledger that have an address which is not free.
func (s *Suite) Blocks(ctx context.Context) ([]*macpool.Block, error) {
	return Blocks(ctx, s.Client)
}

// Blocks returns the blocks of the ledger of any cluster that have an address which is not free.
func Blocks(ctx context.Context, c client.Client) ([]*macpool.Block, error) {
	var list v1alpha1.MACBlockList
	if err := c.List(ctx, &list); err != nil && !meta.IsNoMatchError(err) {
		return nil, fmt.Errorf("list MACBlocks: %w", err)
	}
	var blocks []*macpool.Block
	for i := range list.Items {
		b, err := cluster.DecodeBlock(&list.Items[i])
		if err != nil {
			return nil, err
		}
		if b.Len() > 0 {
			blocks = append(blocks, b)
		}
	}
	return blocks, nil
}
