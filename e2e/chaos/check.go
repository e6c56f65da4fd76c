// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/bridgehead-dev/bridgehead/e2e/suite"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/nad"
)

const (
	// lookEvery is how often duplicates are looked for.
	lookEvery = time.Second
	// maxWait is how long the janitor may take to make the ledger what there is, on a busy machine.
	maxWait = 5 * time.Minute
)

// owners are who has which address.
type owners map[macpool.MAC]macpool.Object

// duplicateError says that two objects have one address.
type duplicateError struct {
	mac        macpool.MAC
	one, other macpool.Object
}

// Error implements error.
func (e *duplicateError) Error() string {
	return fmt.Sprintf("DUPLICATE: %s and %s both have %s", e.one, e.other, e.mac)
}

// errAway says that nothing could be seen: the API server is away now and then.
var errAway = errors.New("the API server did not answer")

// watchForDuplicates looks at all VMs and pods until ctx ends, and fails if two have one address or one has none.
func (f *field) watchForDuplicates(ctx context.Context) error {
	for suite.Pause(ctx, lookEvery) {
		_, err := f.owners(ctx)
		var duplicate, still *duplicateError
		if errors.As(err, &duplicate) {
			// VMs and pods are not listed at one moment: an address may have moved between. A duplicate stays one.
			if _, err = f.owners(ctx); errors.As(err, &still) && *still != *duplicate {
				continue
			}
		}
		if err != nil && !errors.Is(err, errAway) {
			return err
		}
	}
	return nil
}

// owners returns who has which address. The error is a duplicateError if two have one, and errAway if nothing is seen.
func (f *field) owners(ctx context.Context) (owners, error) {
	all := owners{}
	vms := &unstructured.UnstructuredList{}
	vms.SetAPIVersion("kubevirt.io/v1")
	vms.SetKind("VirtualMachineList")
	if err := f.suite.Client.List(ctx, vms); err != nil {
		return nil, fmt.Errorf("list VMs: %w: %w", errAway, err)
	}
	for _, vm := range vms.Items {
		o := macpool.Object{Kind: macpool.KindVM, Namespace: vm.GetNamespace(), Name: vm.GetName()}
		interfaces, _, err := unstructured.NestedSlice(vm.Object, interfacesPath()...)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", o, err)
		}
		for _, nic := range interfaces {
			text, _, _ := unstructured.NestedString(nic.(map[string]any), "macAddress")
			if err := all.add(text, o); err != nil {
				return nil, err
			}
		}
	}
	var pods corev1.PodList
	if err := f.suite.Client.List(ctx, &pods); err != nil {
		return nil, fmt.Errorf("list pods: %w: %w", errAway, err)
	}
	for _, pod := range pods.Items {
		o := macpool.Object{Kind: macpool.KindPod, Namespace: pod.Namespace, Name: pod.Name}
		networks, errs := nad.ParseNetworks(pod.Annotations[nad.NetworksAnnotation], pod.Namespace, nil)
		if len(errs) > 0 {
			return nil, fmt.Errorf("read %s: %w", o, errs.ToAggregate())
		}
		for _, s := range networks.Selections {
			if err := all.add(s.MAC, o); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

func (all owners) add(text string, o macpool.Object) error {
	mac, err := macpool.ParseMAC(text)
	if err != nil {
		return fmt.Errorf("%s was admitted with an interface without address: %w", o, err)
	}
	if other, ok := all[mac]; ok {
		return &duplicateError{mac, other, o}
	}
	all[mac] = o
	return nil
}

// checkLedger waits until the ledger holds exactly what there is, and nothing is reserved for replicas that are gone.
func (f *field) checkLedger(ctx context.Context) error {
	var difference string
	err := wait.PollUntilContextTimeout(ctx, lookEvery, maxWait, true, func(ctx context.Context) (bool, error) {
		all, err := f.owners(ctx)
		if err != nil {
			return false, err
		}
		difference, err = f.difference(ctx, all)
		return difference == "", err
	})
	if err != nil {
		return fmt.Errorf("wait until the ledger is as it should be: %w: %s", err, difference)
	}
	return nil
}

// difference returns where the ledger and what there is disagree, one example.
func (f *field) difference(ctx context.Context, all owners) (string, error) {
	blocks, err := f.suite.Blocks(ctx)
	if err != nil {
		return "", err
	}
	var leases coordinationv1.LeaseList
	if err := f.suite.Client.List(ctx, &leases); err != nil {
		return "", fmt.Errorf("list leases: %w", err)
	}
	renewed := map[string]bool{}
	for _, l := range leases.Items {
		renewed[l.Name] = true
	}
	for _, b := range blocks {
		for mac, entry := range b.Entries() {
			if said := entryDiffers(mac, entry, all, renewed); said != "" {
				return said, nil
			}
			if len(entry.Holds) > 0 {
				delete(all, mac)
			}
		}
	}
	for mac, owner := range all {
		return fmt.Sprintf("%s of %s is not in the ledger", mac, owner), nil
	}
	return "", nil
}

func entryDiffers(mac macpool.MAC, entry macpool.Entry, all owners, renewed map[string]bool) string {
	owner, had := all[mac]
	switch replica := entry.Reservation.Replica; {
	case len(entry.Holds) > 1:
		return fmt.Sprintf("%s has two holders: %v", mac, entry.Holds)
	case len(entry.Holds) == 1 && (!had || !sameObject(entry.Holds[0].Object, owner)):
		return fmt.Sprintf("LEAK: %s is held by %s and had by %q", mac, entry.Holds[0].Object, owner)
	case replica != "" && !renewed[replica]:
		return fmt.Sprintf("LEAK: %s is reserved for %s, whose Lease is gone", mac, replica)
	}
	return ""
}

// sameObject tells objects by their names: a hold of one that is not recorded yet has a claim besides.
func sameObject(a, b macpool.Object) bool {
	return a.Kind == b.Kind && a.Namespace == b.Namespace && a.Name == b.Name
}
