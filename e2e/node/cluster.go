// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/e2e/controlplane"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
)

// The service account of the agent, as in manifests/agent.
const (
	agentNamespace = "bridgehead-agent"
	agentAccount   = "bridgehead-agent"
)

// A Cluster is a suite with nodes.
type Cluster struct {
	*suite.Suite
	// Nodes are node01, node02 and so on. Their eth1s are on Segment; that of node01 has the MAC 52:55:00:d1:56:00, and so
	// on.
	Nodes   []*Node
	Segment *Segment

	dir string
}

// ClusterOptions say what a cluster is made of.
type ClusterOptions struct {
	Suite suite.Options
	Nodes int
	// AgentFlags are further flags of the agents.
	AgentFlags []string
}

// StartCluster starts a suite and its nodes, and returns when every guest answers. ctx bounds the start only.
func StartCluster(ctx context.Context, o ClusterOptions) (*Cluster, error) {
	s, err := suite.Start(ctx, o.Suite)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Suite: s}
	if err := c.start(ctx, o); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// StartClusterForTest is StartCluster for one test; everything is stopped when it is over. If it fails, the logs are
// shown.
func StartClusterForTest(t testing.TB, o ClusterOptions) *Cluster {
	t.Helper()
	c, err := StartCluster(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.Logs())
		}
		if err := c.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return c
}

func (c *Cluster) start(ctx context.Context, o ClusterOptions) (err error) {
	if c.dir, err = os.MkdirTemp("", "bridgehead-nodes-"); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	programs, err := build(ctx, c.dir, os.Stderr)
	if err != nil {
		return err
	}
	if c.Segment, err = NewSegment(); err != nil {
		return err
	}
	for i := range o.Nodes {
		n := &Node{programs: programs, Options: Options{
			Name: fmt.Sprintf("node%02d", i+1), MAC: fmt.Sprintf("52:55:00:d1:56:%02x", i), Segment: c.Segment,
			AgentFlags: o.AgentFlags, Dir: c.dir,
		}}
		c.Nodes = append(c.Nodes, n)
		if err := c.register(ctx, n); err != nil {
			return err
		}
	}
	booted := make(chan error, len(c.Nodes))
	for _, n := range c.Nodes {
		go func() { booted <- n.start(ctx) }()
	}
	var failed []error
	for range c.Nodes {
		failed = append(failed, <-booted)
	}
	return errors.Join(failed...)
}

// register does what kubelet does before the agent's pod runs: it makes the Node and has a token for the pod.
func (c *Cluster) register(ctx context.Context, n *Node) error {
	node, err := c.createNode(ctx, n.Name)
	if err != nil {
		return err
	}
	if err := newDisk(ctx, n.path("disk")); err != nil {
		return err
	}
	return c.giveAccess(ctx, n, node)
}

// AddBareNode makes a Node that is ready and has no guest: nothing that is bound to it runs.
func (c *Cluster) AddBareNode(ctx context.Context, name string) error {
	_, err := c.createNode(ctx, name)
	return err
}

// createNode makes a Node that is ready for pods.
func (c *Cluster) createNode(ctx context.Context, name string) (*corev1.Node, error) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
		corev1.LabelHostname: name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
	}}}
	if err := c.Client.Create(ctx, node); err != nil {
		return nil, fmt.Errorf("create node %s: %w", name, err)
	}
	// Admission taints a new node until somebody says that it is ready.
	before := node.DeepCopy()
	node.Spec.Taints = nil
	if err := c.Client.Patch(ctx, node, client.MergeFrom(before)); err != nil {
		return nil, fmt.Errorf("untaint node %s: %w", name, err)
	}
	before = node.DeepCopy()
	node.Status.Conditions = []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady",
		LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now(),
	}}
	node.Status.Capacity = corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("8Gi"),
		corev1.ResourcePods: resource.MustParse("110"),
	}
	node.Status.Allocatable = node.Status.Capacity
	if err := c.Client.Status().Patch(ctx, node, client.MergeFrom(before)); err != nil {
		return nil, fmt.Errorf("report node %s: %w", name, err)
	}
	return node, nil
}

// giveAccess writes the kubeconfig of the agent on a node: to the API server through the node's gate.
func (c *Cluster) giveAccess(ctx context.Context, n *Node, node *corev1.Node) error {
	cfg, err := c.ServiceAccountConfigOn(ctx, agentNamespace, agentAccount, node)
	if err != nil {
		return err
	}
	server, err := url.Parse(cfg.Host)
	if err != nil {
		return fmt.Errorf("read the address of the API server: %w", err)
	}
	if n.gate, err = newGate(server.Host); err != nil {
		return err
	}
	cfg.Host = fmt.Sprintf("https://10.0.2.2:%d", n.gate.port())
	file := filepath.Join(c.dir, n.Name+".kubeconfig")
	if err := controlplane.WriteKubeconfig(file, cfg); err != nil {
		return err
	}
	n.access, err = os.ReadFile(file)
	return err
}

// Node returns the node of a name.
func (c *Cluster) Node(name string) (*Node, error) {
	for _, n := range c.Nodes {
		if n.Name == name {
			return n, nil
		}
	}
	return nil, fmt.Errorf("there is no guest %s", name)
}

// Logs returns the ends of the logs of replicas and nodes.
func (c *Cluster) Logs() string {
	all := c.Suite.Logs()
	for _, n := range c.Nodes {
		all += n.Name + ":\n" + lastLines(n.Log(), 60) + "\n"
	}
	return all
}

// Stop ends everything, at once.
func (c *Cluster) Stop() error {
	var failed []error
	for _, n := range c.Nodes {
		failed = append(failed, n.stop())
	}
	if c.Segment != nil {
		failed = append(failed, c.Segment.Close())
	}
	failed = append(failed, c.Suite.Stop())
	return errors.Join(append(failed, os.RemoveAll(c.dir))...)
}
