// SPDX-License-Identifier: Apache-2.0

// Package controlplane runs a real Kubernetes control plane for tests: etcd and kube-apiserver, and on
// demand kube-controller-manager and kube-scheduler, all on the loopback interface and without root.
//
// What is special about it:
//   - Manifests are applied unchanged. Webhooks and everything else that names a Service are reached
//     through a stand-in for kube-proxy; see [ControlPlane.Route].
//   - Programs can run with the very permissions of their manifests; see
//     [ControlPlane.ServiceAccountConfig].
//   - The API server can be killed and started again with its data, its address and its credentials; see
//     [ControlPlane.RestartAPIServer]. This is why the processes are ours and not those of
//     controller-runtime's envtest, which hides them, issues new credentials at every start and takes up
//     to 20 s a process to stop.
//   - Nothing is left behind, even if the test process is killed.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/bridgehead-dev/bridgehead/e2e/controlplane/binaries"
)

// Options says what runs. The zero Options gives etcd and the API server.
type Options struct {
	// Controllers are the controllers of kube-controller-manager to run, by the names of its flag
	// --controllers ("namespace-controller", "garbage-collector-controller",
	// "serviceaccount-controller", …; "*" is all that are on by default). Empty means that it is not
	// started. Unless serviceaccount-controller runs, pods are admitted without a service account, as
	// nobody would make one.
	Controllers []string
	// Scheduler starts kube-scheduler.
	Scheduler bool
	// UnsafeNoFsync makes etcd acknowledge writes before they are on disk: faster, but its latencies
	// are no longer those of a real cluster.
	UnsafeNoFsync bool
	// APIServerArgs are further flags of kube-apiserver ("--v=4").
	APIServerArgs []string
	// AuditDir keeps a log of what service accounts asked the API server for, one file a control plane, as JSON events.
	// Empty means the folder that the environment variable AuditVariable names, if it is set, else that nothing is
	// recorded.
	AuditDir string
	// LogDir keeps the logs of all programs, one file each. Empty means that they go with the rest of
	// the data at Stop.
	LogDir string
	// Cache is the folder for binaries and data. Empty means binaries.CacheDir().
	Cache string
	// Out is told what takes long. Nil means os.Stderr.
	Out io.Writer
}

// A ControlPlane is a running Kubernetes control plane. Its methods may be called concurrently.
type ControlPlane struct {
	// Config is the access of an administrator (group system:masters), without client-side throttling.
	Config *rest.Config
	// Kubeconfig is the path of a file with the same access, valid until Stop.
	Kubeconfig string
	// LogDir is the folder of the logs, one file a program.
	LogDir string

	run        *run
	authority  *keyPair
	binaries   string
	proxy      *proxy
	clients    kubernetes.Interface
	etcd       *process
	etcdHealth string // the URL that tells that etcd serves
	apiServer  *process
	processes  []*process // in the order they were started
}

// startTimeout is how long one program may take to be ready, on a machine that is busy with other tests.
const startTimeout = 5 * time.Minute

// Start runs a control plane and returns when it serves. If the binaries are not there yet it builds
// them first, which takes minutes. ctx bounds the start only: what runs, runs until Stop. Start also ends
// what control planes of dead test processes left.
func Start(ctx context.Context, o Options) (*ControlPlane, error) {
	if o.Cache == "" {
		dir, err := binaries.CacheDir()
		if err != nil {
			return nil, err
		}
		o.Cache = dir
	}
	programs, err := binaries.Ensure(ctx, binaries.Options{Cache: o.Cache, Out: o.Out})
	if err != nil {
		return nil, fmt.Errorf("provide the binaries: %w", err)
	}
	run, err := newRun(ctx, o.Cache)
	if err != nil {
		return nil, err
	}
	c := &ControlPlane{run: run, binaries: programs, LogDir: o.LogDir}
	if err := c.start(ctx, o); err != nil {
		err = fmt.Errorf("start the control plane: %w%s", err, c.logTails())
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// StartForTest is Start for one test: it fails the test if there is no control plane, shows the ends of
// the logs if the test fails, and stops everything when the test is over.
func StartForTest(t testing.TB, o Options) *ControlPlane {
	t.Helper()
	c, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.logTails())
		}
		if err := c.Stop(); err != nil {
			t.Errorf("stop the control plane: %v", err)
		}
	})
	return c
}

// Stop ends all programs and deletes their data. The data are throw-away, so nothing is ended politely: a
// kube-apiserver that is asked to stop waits up to a minute for watches to end. Stopping twice is fine.
func (c *ControlPlane) Stop() error {
	var errs []error
	for _, p := range c.processes {
		errs = append(errs, p.kill())
	}
	if c.proxy != nil {
		errs = append(errs, c.proxy.close())
	}
	return errors.Join(append(errs, c.run.remove())...)
}

// start brings up everything the options ask for. Whatever it started is in c, also after an error.
func (c *ControlPlane) start(ctx context.Context, o Options) error {
	if c.LogDir == "" {
		c.LogDir = c.run.path("logs")
	}
	if err := os.MkdirAll(c.LogDir, 0o755); err != nil {
		return fmt.Errorf("make the folder of logs: %w", err)
	}
	ports, err := FreePorts(4)
	if err != nil {
		return err
	}
	address := loopback(ports[1])
	if err := c.issueCredentials(address); err != nil {
		return err
	}
	table := &serviceTable{client: c.clients}
	if c.proxy, err = newProxy(c.run.path("proxy.sock"), table.lookup); err != nil {
		return err
	}
	if err := c.startEtcd(ctx, o, loopback(ports[0])); err != nil {
		return err
	}
	if err := c.startAPIServer(ctx, o, loopback(ports[0]), ports[1]); err != nil {
		return err
	}
	if len(o.Controllers) > 0 {
		if err := c.startClient(ctx, "kube-controller-manager", ports[2], c.controllerFlags(o.Controllers)...); err != nil {
			return err
		}
	}
	if !o.Scheduler {
		return nil
	}
	return c.startClient(ctx, "kube-scheduler", ports[3])
}

// program returns a process that is not started yet: name is that of the binary and of the log.
func (c *ControlPlane) program(name string, args ...string) *process {
	return &process{
		name: name,
		path: filepath.Join(c.binaries, name),
		args: args,
		log:  filepath.Join(c.LogDir, name+".log"),
	}
}
