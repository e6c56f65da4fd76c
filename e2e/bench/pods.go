// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// A podMode is one way to admit pods.
type podMode struct {
	name      string
	namespace string // see namespaceOf
	// network is what the pods name; empty for pods without networks. A network that is fresh is made again for every
	// round.
	network string
	fresh   bool
	// wants is what the pods must ask for when they are created.
	wants string
	// base is the index of the mode it is compared with.
	base int
}

// podsForAVM is how many pods are created where one VM is elsewhere: they take less, and a sample must not be over in
// the time of one collection of the API server's garbage.
const podsForAVM = 4

const (
	bridged  = "bridged"
	bare     = "bare"
	wantsBr0 = `"bridge.network.kubevirt.io/br0":"1"`
)

// podModes returns all modes. Pods that name a network are compared with those that meet a webhook which has them ask
// for a resource, pods without networks with others that meet no webhook.
func podModes() []podMode {
	return []podMode{
		{name: patching + ", pods", namespace: patching, network: bare},
		{name: "bridgehead, pods", namespace: "pods", network: bridged, wants: wantsBr0},
		{name: "bridgehead, pods, network without annotations", namespace: "pods", network: bare},
		{name: "bridgehead, pods, network just created", namespace: "pods", network: "fresh", fresh: true},
		{name: "no webhook, pods", namespace: "none", network: bare, base: 4},
		{name: "bridgehead, pods without networks", namespace: "pods", base: 4},
	}
}

// measurePods takes the figures of the creation of pods.
func (b *bench) measurePods(ctx context.Context) error {
	if err := b.preparePods(ctx); err != nil {
		return err
	}
	for _, load := range loads() {
		concurrency, n := load[0], podsForAVM*load[1]
		if !slices.Contains(b.options.At, concurrency) {
			continue
		}
		var err error
		if b.anyway, err = b.idle(ctx); err != nil {
			return err
		}
		for round := range b.options.Rounds {
			fmt.Fprintf(os.Stderr, "\rpods, %d at a time: round %d of %d   ", concurrency, round+1, b.options.Rounds)
			if err := b.podTurn(ctx, round, n, concurrency); err != nil {
				return err
			}
		}
	}
	fmt.Fprintln(os.Stderr)
	return nil
}

// podTurn measures each mode once, and reports it.
func (b *bench) podTurn(ctx context.Context, round, n, concurrency int) error {
	all := podModes()
	samples := make([]sample, len(all))
	for _, i := range order(len(all), round) {
		if _, err := b.createPods(ctx, all[i], warmUp, concurrency); err != nil {
			return err
		}
		profiled := b.profile(ctx, fmt.Sprintf("%s, %d at a time", all[i].name, concurrency))
		var err error
		samples[i], err = b.watched(ctx, n, time.Second, func() (sample, error) {
			return b.createPods(ctx, all[i], n, concurrency)
		})
		if err := errors.Join(err, profiled()); err != nil {
			return err
		}
	}
	for i, m := range all {
		b.report.add(m.name, concurrency, samples[i], samples[m.base])
	}
	return nil
}

// preparePods makes the networks, and waits until every webhook is known.
func (b *bench) preparePods(ctx context.Context) error {
	if _, err := b.suite.Kubectl(ctx, "create", "namespace", namespaceOf("pods")); err != nil {
		return err
	}
	for _, name := range []string{patching, "none"} { // which ours leaves alone
		if _, err := b.suite.Kubectl(ctx, "label", "namespace", namespaceOf(name), "runlevel=1"); err != nil {
			return err
		}
	}
	for _, namespace := range []string{patching, "none", "pods"} {
		for _, network := range []string{bridged, bare} {
			if err := b.createNetwork(ctx, namespace, network); err != nil {
				return err
			}
		}
	}
	for _, m := range podModes() {
		err := warm(ctx, func(ctx context.Context) (sample, error) { return b.createPods(ctx, m, warmUp, 64) })
		if err != nil {
			return fmt.Errorf("warm up: %s: %w", m.name, err)
		}
	}
	return nil
}

func (b *bench) createNetwork(ctx context.Context, namespace, name string) error {
	config, annotations := `{"cniVersion":"0.3.1","type":"macvlan"}`, "{}"
	if name == bridged {
		annotations = `{"k8s.v1.cni.cncf.io/resourceName":"bridge.network.kubevirt.io/br0"}` // which nobody offers here
		config = `{"cniVersion":"0.3.1","type":"bridge","bridge":"br0"}`
	}
	body := fmt.Sprintf(
		`{"apiVersion":"k8s.cni.cncf.io/v1","kind":"NetworkAttachmentDefinition","metadata":{"name":%q,"annotations":%s},"spec":{"config":%q}}`,
		name, annotations, config,
	)
	_, err := b.postJSON(
		ctx, "/apis/k8s.cni.cncf.io/v1/namespaces/"+namespaceOf(namespace)+"/network-attachment-definitions", body,
	)
	return err
}

// createPods creates n pods in the namespace of a mode, so many at a time.
func (b *bench) createPods(ctx context.Context, m podMode, n, concurrency int) (sample, error) {
	network := m.network
	if m.fresh {
		network = fmt.Sprint(network, "-", b.names.Add(1))
		if err := b.createNetwork(ctx, m.namespace, network); err != nil {
			return sample{}, fmt.Errorf("create a network: %w", err)
		}
	}
	annotations := ""
	if network != "" {
		annotations = fmt.Sprintf(`"annotations":{"k8s.v1.cni.cncf.io/networks":%q},`, network)
	}
	s, err := load(ctx, n, concurrency, func(ctx context.Context) error {
		body := fmt.Sprintf(podTemplate, annotations, fmt.Sprint("pod-", b.names.Add(1)))
		answer, err := b.postJSON(ctx, "/api/v1/namespaces/"+namespaceOf(m.namespace)+"/pods", body)
		if err == nil && !bytes.Contains(answer, []byte(m.wants)) {
			err = fmt.Errorf("a pod does not ask for %s: %s", m.wants, answer)
		}
		return err
	})
	if err != nil {
		return sample{}, fmt.Errorf("create pods, %s: %w", m.name, err)
	}
	return s, nil
}

const podTemplate = `{"apiVersion":"v1","kind":"Pod","metadata":{%s"name":%q},"spec":{"containers":[{"name":"compute","image":"pause",` +
	`"resources":{"requests":{"cpu":"100m","memory":"64Mi"}}}],"terminationGracePeriodSeconds":0}}`
