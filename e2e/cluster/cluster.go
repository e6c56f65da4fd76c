// SPDX-License-Identifier: Apache-2.0

// Package cluster runs Kubernetes clusters whose nodes are nodes: qemu guests with kubelet, kube-proxy, containerd,
// Multus and the CNI project's plugins, under a control plane on this machine. What runs on them are pods, from images,
// by the manifests that users apply. Nothing needs root, KVM or a registry.
//
// It is for what must be shown as users get it. Faults and figures that take seconds on a bare guest are package
// node's.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/e2e/controlplane"
	"github.com/bridgehead-dev/bridgehead/e2e/node"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
)

// maxWait is how long what follows from something may take, on nodes without an accelerator and a busy machine.
const maxWait = 10 * time.Minute

// Options say what a cluster is made of.
type Options struct {
	// Nodes is the number of nodes.
	Nodes int
	// Empty leaves the cluster without them until Boot.
	Empty bool
	// APIServerArgs are further flags of kube-apiserver.
	APIServerArgs []string
	// Manifests is the kustomization that Install applies, below the root of the repository; empty means manifests.
	Manifests string
	// KernelArgs are added to the command lines of the nodes' kernels ("ipv6.disable=1").
	KernelArgs string
	// Out is told what takes long. Nil means os.Stderr.
	Out io.Writer
}

// A Cluster is a control plane with real nodes.
type Cluster struct {
	*controlplane.ControlPlane
	// Client is an administrator's, without a cache.
	Client client.Client
	// Nodes are node01, node02 and so on.
	Nodes []*Node
	// Segment is what the eth1s of all nodes are plugged into.
	Segment *node.Segment

	options  Options
	began    time.Time
	dir      string
	programs *programs
	base     string
	backbone *node.Segment // of the eth2s
}

// Start brings a cluster up and returns when every node is Ready, or at once if it is Empty. ctx bounds the start only.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	if o.Out == nil {
		o.Out = os.Stderr
	}
	c := &Cluster{options: o, began: time.Now()}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// StartForTest is Start for one test; everything is stopped when it is over. If it fails, what the cluster says is
// shown.
func StartForTest(t testing.TB, o Options) *Cluster {
	t.Helper()
	c, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.Report(context.Background()))
		}
		if err := c.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return c
}

// say tells whoever waits.
func (c *Cluster) say(format string, args ...any) {
	fmt.Fprintf(c.options.Out, "[%4.0fs] %s\n", time.Since(c.began).Seconds(), fmt.Sprintf(format, args...))
}

func (c *Cluster) start(ctx context.Context) (err error) {
	if c.dir, err = os.MkdirTemp("", "bridgehead-cluster-"); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	c.say(
		"starting a control plane and %d nodes: about 2 min, and up to 18 min of building before if nothing is cached",
		c.options.Nodes,
	)
	var both sync.WaitGroup
	var disk, plane error
	both.Go(func() { disk = c.provideDisk(ctx) })
	both.Go(func() { plane = c.startControlPlane(ctx) })
	both.Wait()
	if err := errors.Join(disk, plane); err != nil {
		return err
	}
	if c.Segment, err = node.NewSegment(); err != nil {
		return err
	}
	if c.backbone, err = node.NewSegment(); err != nil {
		return err
	}
	if c.options.Empty {
		return nil
	}
	return c.Boot(ctx)
}

func (c *Cluster) provideDisk(ctx context.Context) (err error) {
	if c.programs, err = provide(ctx, c.dir, c.options.Out); err != nil {
		return err
	}
	c.base, err = baseDisk(ctx, c.programs, c.say)
	return err
}

func (c *Cluster) startControlPlane(ctx context.Context) (err error) {
	c.ControlPlane, err = controlplane.Start(ctx, controlplane.Options{
		Controllers:   []string{"*"},
		Scheduler:     true,
		UnsafeNoFsync: true,
		APIServerArgs: c.options.APIServerArgs,
		Out:           c.options.Out,
	})
	if err != nil {
		return err
	}
	c.say("the control plane is up")
	if c.Client, err = suite.NewClient(c.ControlPlane); err != nil {
		return err
	}
	if err := c.publishAPIServer(ctx); err != nil {
		return err
	}
	rbac, err := files.ReadFile("files/multus-rbac.yaml")
	if err != nil {
		return err
	}
	if _, err := c.KubectlInput(ctx, string(rbac), "apply", "--server-side", "-f", "-"); err != nil {
		return err
	}
	return c.InstallKubeVirt(ctx)
}

// publishAPIServer gives the Service "kubernetes" its endpoint: this machine, as guests see it.
func (c *Cluster) publishAPIServer(ctx context.Context) error {
	server, err := url.Parse(c.Config.Host)
	if err != nil {
		return fmt.Errorf("read the address of the API server: %w", err)
	}
	number, err := strconv.ParseInt(server.Port(), 10, 32)
	if err != nil {
		return fmt.Errorf("read the address of the API server: %w", err)
	}
	port, name, ready := int32(number), "https", true
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: "kubernetes", Labels: map[string]string{discoveryv1.LabelServiceName: "kubernetes"},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{
			{Addresses: []string{hostIP}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}},
		},
		Ports: []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
	}
	if err := c.Client.Create(ctx, slice); err != nil {
		return fmt.Errorf("publish the API server: %w", err)
	}
	return nil
}

// Boot boots all guests at once and waits until their kubelets are Ready. It is for an Empty cluster, once.
func (c *Cluster) Boot(ctx context.Context) error {
	proxies := map[string]string{}
	for n := 1; n <= c.options.Nodes; n++ {
		node, err := c.newNode(ctx, n, c.options.Nodes)
		if err != nil {
			return err
		}
		c.Nodes = append(c.Nodes, node)
		proxies[node.Address] = node.proxy
	}
	c.RouteThrough(proxies)
	c.say("booting %d nodes", len(c.Nodes))
	failed := make([]error, len(c.Nodes))
	var all sync.WaitGroup
	for i, n := range c.Nodes {
		all.Go(func() {
			if failed[i] = n.machine.start(ctx); failed[i] == nil {
				failed[i] = c.WaitReady(ctx, n)
			}
		})
	}
	all.Wait()
	if err := errors.Join(failed...); err != nil {
		return err
	}
	c.say("the nodes are Ready")
	return nil
}

// WaitReady waits until the kubelet of a node reports that it is ready, since its last boot.
func (c *Cluster) WaitReady(ctx context.Context, n *Node) error {
	id, err := n.Exec(ctx, "cat", "/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	var last error
	err = wait.PollUntilContextTimeout(
		ctx,
		500*time.Millisecond,
		maxWait,
		true,
		func(ctx context.Context) (bool, error) {
			last = c.readiness(ctx, n, strings.TrimSpace(id))
			return last == nil, nil
		},
	)
	if err != nil {
		log, _ := n.Log(ctx, "kubelet")
		return fmt.Errorf("wait for %s to be ready: %w: %w\n%s", n.Name, err, last, lastLines(log, 30))
	}
	return nil
}

// readiness returns why a node is not ready in the boot of an id; nil if it is.
func (c *Cluster) readiness(ctx context.Context, n *Node, boot string) error {
	var node corev1.Node
	if err := c.Client.Get(ctx, client.ObjectKey{Name: n.Name}, &node); err != nil {
		return err
	}
	if node.Status.NodeInfo.BootID != boot {
		return errors.New("its kubelet has not reported since it booted")
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
			return nil
		}
		if condition.Type == corev1.NodeReady {
			return errors.New(condition.Message)
		}
	}
	return errors.New("its kubelet does not say whether it is ready")
}

// Node returns the node of a name.
func (c *Cluster) Node(name string) (*Node, error) {
	for _, n := range c.Nodes {
		if n.Name == name {
			return n, nil
		}
	}
	return nil, fmt.Errorf("there is no node %s", name)
}

// Stop ends everything, at once.
func (c *Cluster) Stop() error {
	for _, n := range c.Nodes {
		n.machine.kill()
	}
	var failed []error
	for _, s := range []*node.Segment{c.Segment, c.backbone} {
		if s != nil {
			failed = append(failed, s.Close())
		}
	}
	if c.ControlPlane != nil {
		failed = append(failed, c.ControlPlane.Stop())
	}
	return errors.Join(append(failed, os.RemoveAll(c.dir))...)
}
