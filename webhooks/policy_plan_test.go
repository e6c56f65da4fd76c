// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
)

func TestADryRunShowsThePlan(t *testing.T) {
	for name, c := range map[string]struct {
		spec, want string
		before     func(*PolicyView)
	}{
		"nodes with the same plan are one": {spec: bridgeOnEth1, want: `plan for nodes node01 and node02
  + bridge br0 (stp off, vlan-filtering on, mtu 1500)
  ~ eth1 controller none → br0 (trunk 2-4094)`},
		"captures are resolved, and what moves is not called lost": {spec: inPlaceOfDefault, want: `plan for nodes node01 and node02
  - route default (0.0.0.0/0) via 192.0.2.1 through eth0
  - eth0 address 192.0.2.5/24
  + bridge br1 (stp off, vlan-filtering on, mtu 1500, mac 52:54:00:00:00:00)
  ~ eth0 controller none → br1 (trunk 2-4094)
  + br1 address 192.0.2.5/24
  + route default (0.0.0.0/0) via 192.0.2.1 through br1`},
		"costs are told": {spec: interfaces("{name: eth0, type: ethernet, state: up, ipv4: {enabled: false}}"),
			want: `plan for nodes node01 and node02
  ! the node loses its default route (0.0.0.0/0) via 192.0.2.1 through eth0
  ! eth0 loses 192.0.2.5/24
  - route default (0.0.0.0/0) via 192.0.2.1 through eth0
  - eth0 address 192.0.2.5/24`},
		"plans of several nodes are whole, although the API server passes no text on twice": {spec: bridgeOnEth1,
			want: `[1] plan for node node01
[2] plan for node node02
  [1] + bridge br0 (stp off, vlan-filtering on, mtu 1500)
  [1] ~ eth1 controller none → br0 (trunk 2-4094)
  [2] + bridge br0 (stp off, vlan-filtering on, mtu 1500)
  [2] ~ eth1 state down → up
  [2] ~ eth1 controller none → br0 (trunk 2-4094)`,
			before: func(v *PolicyView) {
				s := v.States["node02"]
				down := strings.Replace(string(s.Status.CurrentState.Raw),
					`"name":"eth1","state":"up"`, `"name":"eth1","state":"down"`, 1)
				s.Status.CurrentState = &runtime.RawExtension{Raw: []byte(down)}
				v.States["node02"] = s
			}},
		"nothing to do is said": {spec: interfaces("{name: eth1, type: ethernet, state: up}"),
			want: "plan for nodes node01 and node02: nothing to do"},
		"the age of an old state is told": {spec: interfaces("{name: eth1, type: ethernet, state: up}"),
			want: "plan for nodes node01 and node02: nothing to do (from a state that last changed 3h ago)",
			before: func(v *PolicyView) {
				s := v.States["node02"]
				s.Status.LastSuccessfulUpdateTime.Time = aTime().Add(-3 * time.Hour)
				v.States["node02"] = s
			}},
		"no node is said": {spec: `{nodeSelector: {a: b}, desiredState: {interfaces: []}}`,
			want: "no plan: none of the selected nodes has reported its state"},
	} {
		t.Run(name, func(t *testing.T) {
			view := viewOf(t, nil)
			if c.before != nil {
				c.before(&view)
			}
			verdict := reviewed(t, view, creation(t, c.spec, true))
			assert.Empty(t, verdict.Denied)
			assert.Equal(t, c.want, strings.Join(verdict.Warnings, "\n"))

			assert.Empty(t, planned(t, view, creation(t, c.spec, false)).Patch, "not in earnest")
			patch := planned(t, view, creation(t, c.spec, true)).Patch
			require.Len(t, patch, 1)
			assert.Equal(t, "/metadata/annotations", patch[0].Path)
			for line := range strings.Lines(c.want) {
				line = strings.TrimPrefix(strings.TrimSpace(line), "no plan: ")
				line = strings.TrimPrefix(strings.TrimPrefix(line, "[1] "), "[2] ")
				assert.Contains(t, patch[0].Value.(map[string]string)[nmstate.PlanAnnotation], line)
			}
		})
	}
}

func planned(t testing.TB, view PolicyView, request admissionv1.AdmissionRequest) Verdict {
	t.Helper()
	verdict, err := PolicyPlanner{
		Source: played{view: view}, Now: aTime,
	}.Review(t.Context(), &request)
	require.NoError(t, err)
	return verdict
}

func TestALongPlanKeepsItsCosts(t *testing.T) {
	list := []string{"{name: eth0, type: ethernet, state: up, ipv4: {enabled: false}}"}
	for n := range 500 {
		list = append(list, fmt.Sprintf("{name: br%d, type: linux-bridge, state: up, bridge: {port: []}}", n))
	}
	warnings := reviewed(t, viewOf(t, nil), creation(t, interfaces(strings.Join(list, ",")), true)).Warnings
	assert.Contains(t, warnings, "  ! the node loses its default route (0.0.0.0/0) via 192.0.2.1 through eth0")
}

func TestALongPlanIsCutWhereTheAPIServerWouldDropIt(t *testing.T) {
	var list []string
	for n := range 500 {
		list = append(list, fmt.Sprintf("{name: br%d, type: linux-bridge, state: up, bridge: {port: []}}", n))
	}
	request := creation(t, interfaces(strings.Join(list, ",")), true)
	response, err := reviewed(t, viewOf(t, nil), request).response(&request)
	require.NoError(t, err)
	warnings := response.Warnings
	assert.Less(t, len(strings.Join(warnings, "")), 4096)
	assert.Regexp(t, `^[0-9]+ more lines$`, warnings[len(warnings)-1])
}

func TestNodesThatThereIsNoTimeForAreCounted(t *testing.T) {
	late, cancel := context.WithCancel(t.Context())
	cancel()
	source := played{view: viewOf(t, nil)}
	request := creation(t, interfaces("{name: br0, stat: up}"), true)
	verdict, err := PolicyReviewer{Source: source, Now: aTime}.Review(late, &request)
	require.NoError(t, err)
	assert.Len(t, verdict.Denied, 1, "what is wrong is refused, however little time there is")

	request = creation(t, bridgeOnEth1, true)
	verdict, err = PolicyReviewer{Source: source, Now: aTime}.Review(late, &request)
	require.NoError(t, err)
	assert.Empty(t, verdict.Denied)
	assert.Equal(t, []string{"2 more nodes were not checked for lack of time"}, verdict.Warnings)

	verdict, err = PolicyPlanner{Source: source, Now: aTime}.Review(late, &request)
	require.NoError(t, err)
	require.Len(t, verdict.Patch, 1)
	assert.Equal(
		t, map[string]string{nmstate.PlanAnnotation: "# 2 more nodes were not checked for lack of time\n"}, verdict.Patch[0].Value,
	)
}
