// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	coordinationv1 "k8s.io/api/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/e2e/controlplane"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/cluster"
)

// A replica that was killed holds the lease of the janitor yet, and the pools say that it imported: neither is news of
// what was created since.
func TestAReplicaThatStartsAfterTheOnlyOneWasKilledKnowsWhatWasCreatedMeanwhile(t *testing.T) {
	t.Parallel()
	s := startWithoutFsync(t, 1)
	first := createVM(t, s, "first")
	require.NoError(t, s.Kill(s.Running()[0]))
	// No webhook is called there, and these are the addresses that the replica had reserved to assign next.
	meanwhile := vmWith("meanwhile", addressesFrom(t, s, first, 16))
	require.NoError(t, s.Client.Create(t.Context(), inNamespace("other", meanwhile)))

	replica, err := s.StartUnready(t.Context())
	require.NoError(t, err)
	requireImportedOnceReady(t, s, replica, meanwhile)
	_, err = s.StartReplica(t.Context()) // the Service routes to both
	require.NoError(t, err)
	for n := range 20 {
		createVM(t, s, fmt.Sprint("after-", n))
	}
	requireUniqueMACs(t, s)
}

// What replicas know of etcd and were told by it is not true any more once it was restored: they end, for the kubelet
// to start others, which know nothing and import.
func TestReplicasStartAnewWhenEtcdWasRestored(t *testing.T) {
	t.Parallel()
	s := startWithoutFsync(t, 2)
	for n := range 5 {
		createVM(t, s, fmt.Sprint("kept-", n))
	}
	backup := filepath.Join(t.TempDir(), "backup")
	require.NoError(t, s.BackUpEtcd(backup))
	backedUp := leaseVersions(t, s)
	require.Len(t, backedUp, 2)
	var last string
	for n := range 20 {
		last = createVM(t, s, fmt.Sprint("lost-", n))
	}
	// A backup is older than the last renewal of any replica.
	waitUntil(t, func() bool {
		now := leaseVersions(t, s)
		for name, version := range backedUp {
			if now[name] == version {
				return false
			}
		}
		return true
	})
	old := s.Running()
	require.NoError(t, s.RestoreEtcd(t.Context(), backup))
	// Clients do not wait for the replicas to notice.
	for n := range 20 {
		early := vmWith(fmt.Sprint("early-", n), make([]macpool.MAC, 2))
		if s.Client.Create(t.Context(), early) == nil { // it may fail
			last = macsOf(t, early)[1]
		}
	}
	for _, r := range old {
		ending, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		require.NoError(t, r.WaitEnded(ending), "it goes on with what it knew")
		cancel()
		assert.Contains(t, r.Log(), "etcd was restored to an older state")
		require.NoError(t, s.Kill(r)) // the Service routes to it no more
	}
	meanwhile := vmWith("meanwhile", addressesFrom(t, s, last, 16))
	require.NoError(t, s.Client.Create(t.Context(), inNamespace("other", meanwhile)))

	replica, err := s.StartUnready(t.Context())
	require.NoError(t, err)
	requireImportedOnceReady(t, s, replica, meanwhile)
	_, err = s.StartReplica(t.Context())
	require.NoError(t, err)
	for n := range 20 {
		createVM(t, s, fmt.Sprint("after-", n))
	}
	requireUniqueMACs(t, s)
}

// startWithoutFsync starts replicas that serve namespace default, and not namespace other.
func startWithoutFsync(t *testing.T, replicas int) *suite.Suite {
	s := suite.StartForTest(t, suite.Options{
		Replicas: replicas, ControlPlane: controlplane.Options{UnsafeNoFsync: true},
	})
	require.NoError(t, s.Client.Create(t.Context(), namespaceWith("other", nil)))
	optIn(t, s)
	return s
}

// leaseVersions returns the resourceVersions of the Leases of replicas, by name.
func leaseVersions(t *testing.T, s *suite.Suite) map[string]string {
	t.Helper()
	var leases coordinationv1.LeaseList
	require.NoError(t, s.Client.List(t.Context(), &leases, client.HasLabels{cluster.ReplicaLabel}))
	versions := map[string]string{}
	for _, l := range leases.Items {
		versions[l.Name] = l.ResourceVersion
	}
	return versions
}

// createVM creates a VM with two NICs in namespace default, and returns the address of the second one.
func createVM(t *testing.T, s *suite.Suite, name string) string {
	t.Helper()
	vm := vmWith(name, make([]macpool.MAC, 2))
	waitUntil(t, func() bool { // a replica that was just started may not be called yet
		return s.Client.Create(t.Context(), vm) == nil
	})
	require.NoError(t, bothNICsHaveAddresses(vm))
	return macsOf(t, vm)[1]
}

// addressesFrom returns addresses that follow one and that no VM has, the nearest first.
func addressesFrom(t *testing.T, s *suite.Suite, m string, count int) []macpool.MAC {
	t.Helper()
	var used []macpool.Range
	for _, vm := range listVMs(t, s) {
		for _, text := range macsOf(t, &vm) {
			one, err := macpool.ParseRange(text, text)
			require.NoError(t, err)
			used = append(used, one)
		}
	}
	following, err := macpool.ParseRange(m, m[:2]+":ff:ff:ff:ff:ff")
	require.NoError(t, err)
	free := macpool.NewSet([]macpool.Range{following}, used)
	var macs []macpool.MAC
	for n := range count {
		macs = append(macs, free.At(uint64(n)))
	}
	return macs
}

// requireImportedOnceReady waits until a replica is ready, and requires that the addresses of a VM are held by then:
// beside others that hold some of them, too, without being there.
func requireImportedOnceReady(t *testing.T, s *suite.Suite, r *suite.Replica, vm client.Object) {
	t.Helper()
	require.NoError(t, r.WaitReady(t.Context()))
	held := heldBy(t, s)
	its := 0
	for _, holders := range held {
		if strings.Contains(holders, "VirtualMachine "+vm.GetNamespace()+"/"+vm.GetName()) {
			its++
		}
	}
	require.Equal(t, 16, its, "it is ready before it knows what is in use: %v", held)
}
