// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"

	"github.com/bridgehead-dev/bridgehead/e2e/hollow"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
	"github.com/bridgehead-dev/bridgehead/nodeagent"
)

// patience bounds each wait.
const patience = 5 * time.Minute

// fleetPolicy makes a bridge on every node, half of them at a time.
const fleetPolicy = `
apiVersion: nmstate.io/v1
kind: NodeNetworkConfigurationPolicy
metadata: {name: fleet}
spec:
  desiredState:
    interfaces:
    - {name: br9, type: linux-bridge, state: up, bridge: {port: [{name: eth1}]}}
`

// measureFleets measures fleets of growing size, each on a control plane of its own.
func (r *report) measureFleets(ctx context.Context) error {
	fmt.Println("\nA policy over hollow nodes, half of them at a time:")
	fmt.Printf("%8s %14s %18s %16s %12s\n", "nodes", "available", "writes a node", "manager RSS", "a node")
	for _, nodes := range []int{50, 200, 500} {
		f, err := measureFleet(ctx, nodes)
		if err != nil {
			return fmt.Errorf("%d hollow nodes: %w", nodes, err)
		}
		r.Fleets = append(r.Fleets, f)
		fmt.Printf("%8d %13.1fs %18.1f %12.0f MiB %10.0fms\n", f.Nodes, f.AvailableSeconds, f.WritesPerNode, f.ManagerMiB,
			1000*f.AvailableSeconds/float64(f.Nodes))
	}
	return nil
}

func measureFleet(ctx context.Context, nodes int) (f fleet, err error) {
	s, err := suite.Start(ctx, suite.Options{Replicas: 1})
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	dir, err := os.MkdirTemp("", "bridgehead-fleet-")
	if err != nil {
		return f, fmt.Errorf("make folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var writes atomic.Int64
	cfg := rest.CopyConfig(s.Config)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return counter{next, &writes} })
	running, stop := context.WithCancel(ctx)
	var agents sync.WaitGroup
	defer agents.Wait()
	defer stop()
	for i := range nodes {
		agent, err := newAgent(ctx, s, cfg, dir, fmt.Sprintf("hollow-%03d", i))
		if err != nil {
			return f, err
		}
		agents.Go(func() { _ = agent.Run(running) })
	}
	if err := await(ctx, func(ctx context.Context) (bool, error) {
		out, err := s.Kubectl(
			ctx, "get", "nns", "-o=jsonpath={range .items[*]}{.status.currentState.interfaces[0].name}{' '}{end}",
		)
		return err == nil && countWords(out) == nodes, nil
	}); err != nil {
		return f, fmt.Errorf("wait for the agents: %w", err)
	}
	before, began := writes.Load(), time.Now()
	if _, err := s.KubectlInput(ctx, fleetPolicy, "apply", "-f", "-"); err != nil {
		return f, err
	}
	if _, err := s.Kubectl(
		ctx, "wait", "nncp", "fleet", "--for=condition=Available", "--timeout", patience.String(),
	); err != nil {
		return f, err
	}
	rss, err := s.Running()[0].RSS()
	return fleet{
		Nodes: nodes, AvailableSeconds: time.Since(began).Seconds(),
		WritesPerNode: float64(writes.Load()-before) / float64(nodes), ManagerMiB: float64(rss) / (1 << 20),
	}, err
}

func newAgent(ctx context.Context, s *suite.Suite, cfg *rest.Config, dir, name string) (*nodeagent.Agent, error) {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Status: corev1.NodeStatus{
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
		},
	}
	if err := s.Client.Create(ctx, node); err != nil {
		return nil, fmt.Errorf("create node: %w", err)
	}
	network, err := hollow.New()
	if err != nil {
		return nil, err
	}
	return nodeagent.New(nodeagent.Options{
		NodeName: name,
		Network:  network,
		StateDir: filepath.Join(dir, name),
		Config:   cfg,
		Version:  "hollow",
		Log:      logr.Discard(),
	})
}

// A counter counts the writes that agents make.
type counter struct {
	next   http.RoundTripper
	writes *atomic.Int64
}

// RoundTrip implements http.RoundTripper.
func (c counter) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet {
		c.writes.Add(1)
	}
	return c.next.RoundTrip(r)
}

func await(ctx context.Context, so wait.ConditionWithContextFunc) error {
	return wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, patience, true, so)
}
