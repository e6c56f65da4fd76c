// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/bridgehead-dev/bridgehead/e2e/controlplane"
)

// StartReplica starts one more replica and returns when it is ready, the Service routes to it, and the API server calls
// the webhooks.
func (s *Suite) StartReplica(ctx context.Context) (*Replica, error) {
	r, err := s.StartUnready(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.WaitReady(ctx); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, r.Tail(30))
	}
	s.route()
	if err := s.waitArmed(ctx); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, r.Tail(30))
	}
	return r, nil
}

// StartUnready starts one more replica and returns at once. The Service does not route to it.
func (s *Suite) StartUnready(ctx context.Context) (*Replica, error) {
	s.mu.Lock()
	s.started++
	name, skew := "bridgehead-"+strconv.Itoa(s.started), s.options.skewOfReplica(s.started)
	program, flags := s.program, slices.Concat(s.release.Flags, s.options.Flags)
	s.mu.Unlock()
	cfg, err := s.ServiceAccountConfig(ctx, namespace, serviceAccount)
	if err != nil {
		return nil, err
	}
	kubeconfig := filepath.Join(s.dir, name+".kubeconfig")
	if err := controlplane.WriteKubeconfig(kubeconfig, cfg); err != nil {
		return nil, err
	}
	r := &Replica{Name: name, log: filepath.Join(s.dir, name+".log")}
	if err := r.start(program, kubeconfig, flags, skew); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.running = append(s.running, r)
	s.mu.Unlock()
	return r, nil
}

// Kill ends a replica as a crash would. The Service keeps routing to it for as long as a real one would not: the next
// backend is tried when one does not answer.
func (s *Suite) Kill(r *Replica) error {
	s.forget(r)
	return r.Kill()
}

// StopReplica ends a replica as a rollout does: it is told to go, taken out of the Service, and waited for.
func (s *Suite) StopReplica(ctx context.Context, r *Replica) error {
	if err := r.Terminate(); err != nil {
		return err
	}
	s.forget(r)
	return r.WaitEnded(ctx)
}

func (s *Suite) forget(r *Replica) {
	s.mu.Lock()
	s.running = slices.DeleteFunc(s.running, func(other *Replica) bool { return other == r })
	s.mu.Unlock()
	s.route()
}

// Unroute takes a replica out of the Service, as happens to one whose readiness probes fail. It runs on.
func (s *Suite) Unroute(r *Replica) { s.setRouted(r, false) }

// Reroute has the Service route to a replica again.
func (s *Suite) Reroute(r *Replica) { s.setRouted(r, true) }

func (s *Suite) setRouted(r *Replica, routed bool) {
	s.mu.Lock()
	r.unrouted = !routed
	s.mu.Unlock()
	s.route()
}

// Running returns the replicas that were started and not ended.
func (s *Suite) Running() []*Replica {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.running)
}

func (s *Suite) route() {
	var backends []string
	s.mu.Lock()
	for _, r := range s.running {
		if !r.unrouted {
			backends = append(backends, r.Address)
		}
	}
	s.mu.Unlock()
	s.Route(Service, backends...)
}

// Logs returns the ends of the logs of all replicas.
func (s *Suite) Logs() string {
	var all string
	for _, r := range s.Running() {
		all += r.Name + ":\n" + r.Tail(40) + "\n"
	}
	return all
}
