// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	"github.com/bridgehead-dev/bridgehead/e2e/controlplane"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
	controller "github.com/bridgehead-dev/bridgehead/rollout"
)

// There is no manager here: what it has not looked at yet must not count as Available, however long that takes.
func TestWaitingRightAfterApplyingDoesNotSeeWhatWasAvailableBefore(t *testing.T) {
	t.Parallel()
	plane := controlplane.StartForTest(t, controlplane.Options{UnsafeNoFsync: true})
	root, err := suite.Root()
	require.NoError(t, err)
	require.NoError(t, plane.Apply(t.Context(), root+"/manifests/crds/nmstate.io_nodenetworkconfigurationpolicies.yaml"))
	apply := func(mtu string) {
		_, err := plane.KubectlInput(t.Context(), `
apiVersion: nmstate.io/v1
kind: NodeNetworkConfigurationPolicy
metadata: {name: p}
spec: {desiredState: {interfaces: [{name: eth1, type: ethernet, state: up, mtu: `+mtu+`}]}}
`, "apply", "-f", "-")
		require.NoError(t, err)
	}
	observe := func(generation int64) {
		status, _ := controller.Summary{
			Generation: generation, State: nmstate.PolicyAvailable,
		}.Status(nmstate.PolicyStatus{}, metav1.Now())
		patch, err := json.Marshal(map[string]any{"status": status})
		require.NoError(t, err)
		_, err = plane.KubectlInput(
			t.Context(), "", "patch", "nncp", "p", "--subresource=status", "--type=merge", "-p", string(patch),
		)
		require.NoError(t, err)
	}
	wait := func(timeout string) error {
		_, err := plane.KubectlInput(
			t.Context(), "", "wait", "nncp", "p", "--for=condition=Available", "--timeout="+timeout,
		)
		return err
	}
	apply("1500")
	require.ErrorContains(t, wait("2s"), "timed out", "nobody has looked at it")
	observe(1)
	require.NoError(t, wait("5m"))
	apply("9000")
	require.ErrorContains(t, wait("2s"), "timed out", "what is Available is the generation before")
	observe(2)
	require.NoError(t, wait("5m"))
}
