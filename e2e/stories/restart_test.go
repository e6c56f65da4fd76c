// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/bridgehead-dev/bridgehead/e2e/suite"
)

func TestRollingRestartDoesNotFailOneRequest(t *testing.T) {
	t.Parallel()
	s := suite.StartForTest(t, suite.Options{Replicas: 2})
	optIn(t, s)
	clients := startLoad(t, s, 8)
	clients.waitFor(t, 50)
	for _, old := range s.Running() {
		_, err := s.StartReplica(t.Context())
		require.NoError(t, err)
		clients.waitFor(t, 20)
		require.NoError(t, s.StopReplica(t.Context(), old))
		assert.Contains(t, old.Log(), `"verdict":"patched"`, "it was at work")
		assert.NotContains(t, old.Log(), `"verdict":"undecided"`)
	}
	clients.waitFor(t, 50)
	clients.stop(t)
	var reserving []string
	for _, r := range s.Running() {
		reserving = append(reserving, r.Name)
	}
	waitUntil(t, func() bool { return int64(len(heldBy(t, s))) == 2*clients.created.Load() })
	requireUniqueMACs(t, s)
	blocks, err := s.Blocks(t.Context())
	require.NoError(t, err)
	for _, b := range blocks {
		for m, e := range b.Entries() {
			if e.Reservation.Replica != "" {
				replica := e.Reservation.Replica[:len(reserving[0])]
				assert.Contains(t, reserving, replica, "%s is still reserved by a replica that has gone", m)
			}
		}
	}
}

// requireUniqueMACs checks that no two interfaces in the cluster have an address in common.
func requireUniqueMACs(t *testing.T, s *suite.Suite) {
	t.Helper()
	owners := map[string]string{}
	for _, vm := range listVMs(t, s) {
		for _, m := range macsOf(t, &vm) {
			require.NotContains(t, owners, m, "%s has it too", vm.GetName())
			owners[m] = vm.GetName()
		}
	}
}

// listVMs returns the VMs of all namespaces.
func listVMs(t *testing.T, s *suite.Suite) []unstructured.Unstructured {
	t.Helper()
	vms := &unstructured.UnstructuredList{}
	vms.SetAPIVersion("kubevirt.io/v1")
	vms.SetKind("VirtualMachineList")
	require.NoError(t, s.Client.List(t.Context(), vms))
	return vms.Items
}
