// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	"github.com/bridgehead-dev/bridgehead/api/nmstate/v1beta1"
)

const (
	// twoNICs is the state of a node, its default route through eth0.
	twoNICs = `{interfaces: [
  {name: eth0, type: ethernet, state: up, mac-address: "52:54:00:00:00:00", mtu: 1500, min-mtu: 68, max-mtu: 9000,
   ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.5, prefix-length: 24}]}, ipv6: {enabled: false}},
  {name: eth1, type: ethernet, state: up, mac-address: "52:54:00:00:00:01", mtu: 1500, min-mtu: 68, max-mtu: 9000,
   ipv4: {enabled: false}, ipv6: {enabled: false}}],
 routes: {running: [{destination: 0.0.0.0/0, next-hop-interface: eth0, next-hop-address: 192.0.2.1, metric: 0, table-id: 254}],
   config: [{destination: 0.0.0.0/0, next-hop-interface: eth0, next-hop-address: 192.0.2.1, metric: 0, table-id: 254}]}}`
	bridgeOnEth1 = `{desiredState: {interfaces: [{name: br0, type: linux-bridge, state: up, bridge: {port: [{name: eth1}]}}]}}`
	// inPlaceOfDefault puts a bridge in the place of the NIC that the default route goes through.
	inPlaceOfDefault = `
capture:
  default-gw: routes.running.destination=="0.0.0.0/0"
  base: interfaces.name==capture.default-gw.routes.running.0.next-hop-interface
  routes: capture.default-gw | routes.running.next-hop-interface:="br1"
desiredState:
  interfaces:
  - name: br1
    type: linux-bridge
    state: up
    mac-address: "{{ capture.base.interfaces.0.mac-address }}"
    ipv4: "{{ capture.base.interfaces.0.ipv4 }}"
    bridge: {port: [{name: "{{ capture.base.interfaces.0.name }}"}]}
  routes: {config: "{{ capture.routes.routes.running }}"}
`
)

func TestPoliciesAreJudged(t *testing.T) {
	mtu := map[string]string{"other": interfaces("{name: eth1, type: ethernet, state: up, mtu: 9000}")}
	for name, c := range map[string]struct {
		spec   string
		others map[string]string
		// denied are fragments of the refusals, warnings of the warnings, in order.
		denied, warnings []string
	}{
		"a bridge on a NIC is let in":              {spec: bridgeOnEth1},
		"no desired state is let in":               {spec: `{}`},
		"a bridge in place of a NIC is let in":     {spec: inPlaceOfDefault},
		"an unknown key is refused with its place": {spec: interfaces("{name: br0, stat: up}"), denied: []string{"spec.desiredState.interfaces[0].stat: "}},
		"every problem is told at once": {
			spec: `{capture: {a: 'interface.name=="x"'}, desiredState: {interfaces: [{name: abcdefghijklmnop}, {name: v, type: vlan, vlan: {base-iface: eth1, id: 4095}}]}}`,
			denied: []string{
				"spec.capture[a]: ", "spec.desiredState.interfaces[1].vlan.id: ", "spec.desiredState.interfaces[0].name: ",
			},
		},
		"what is beside a template is judged": {
			spec:   strings.Replace(inPlaceOfDefault, "state: up", "state: up\n    colour: red", 1),
			denied: []string{"spec.desiredState.interfaces[0].colour: "},
		},
		"a template of an unknown capture is refused": {
			spec:   `{capture: {a: 'interfaces.name=="eth1"'}, desiredState: {interfaces: [{name: "{{ capture.b.interfaces.0.name }}"}]}}`,
			denied: []string{`spec.desiredState.interfaces[0].name: Invalid value: "{{ capture.b.interfaces.0.name }}": there is no capture "b"`},
		},
		"a capture that finds nothing is warned of": {
			spec:     `{capture: {a: 'interfaces.name=="eth7"'}, desiredState: {interfaces: [{name: "{{ capture.a.interfaces.0.name }}"}]}}`,
			warnings: []string{"nodes node01 and node02: capture a"},
		},
		"a NIC that no node has is warned of": {
			spec:     interfaces("{name: br0, type: linux-bridge, state: up, bridge: {port: [{name: eth666}]}}"),
			warnings: []string{"nodes node01 and node02: interfaces[0].bridge.port[0]"},
		},
		"a node is not warned of that is not selected": {
			spec:     `{nodeSelector: {kubernetes.io/hostname: node02}, desiredState: {interfaces: [{name: br0, type: linux-bridge, state: up, bridge: {port: [{name: eth666}]}}]}}`,
			warnings: []string{"node node02: interfaces[0].bridge.port[0]"},
		},
		"another value than another policy's is refused": {
			spec: interfaces("{name: eth1, type: ethernet, state: up, mtu: 1500}"), others: mtu,
			denied: []string{"spec.desiredState.interfaces[0].mtu: Forbidden: policy other wants 9000 at its spec.desiredState.interfaces[0].mtu on nodes node01 and node02, and this one 1500"},
		},
		"the same as another policy is let in": {spec: mtu["other"], others: mtu},
		"another policy of another node does not matter": {
			spec:   interfaces("{name: eth1, type: ethernet, state: up, mtu: 1500}"),
			others: map[string]string{"other": strings.Replace(mtu["other"], "{desired", "{nodeSelector: {a: b}, desired", 1)},
		},
		"a port of another policy's bridge is refused": {
			spec: bridgeOnEth1, others: map[string]string{"other": strings.Replace(bridgeOnEth1, "br0", "br9", 1)},
			denied: []string{"policy other wants eth1 in br9 at its spec.desiredState.interfaces[0] on nodes node01 and node02, and this one eth1 in br0"},
		},
		"another list of ports is refused": {
			spec:   interfaces("{name: br0, type: linux-bridge, state: up, bridge: {port: []}}"),
			others: map[string]string{"other": bridgeOnEth1},
			denied: []string{"spec.desiredState.interfaces[0].bridge.port: Forbidden: policy other wants [eth1]"},
		},
		"other name servers are refused": {
			spec:   "{desiredState: {dns-resolver: {config: {server: [192.0.2.1]}}}}",
			others: map[string]string{"other": "{desiredState: {dns-resolver: {config: {server: [192.0.2.2]}}}}"},
			denied: []string{"spec.desiredState.dns-resolver.config.server: Forbidden: policy other"},
		},
		"another gateway of one destination and metric is refused": {
			spec: "{desiredState: {routes: {config: [{destination: 0.0.0.0/0, next-hop-address: 192.0.2.3, next-hop-interface: eth0}]}}}",
			others: map[string]string{
				"other": "{desiredState: {routes: {config: [{destination: 0.0.0.0/0, next-hop-address: 192.0.2.2, next-hop-interface: eth0, metric: 0}]}}}",
			},
			denied: []string{"spec.desiredState.routes.config[0]: Forbidden: policy other wants default (0.0.0.0/0) via 192.0.2.2 through eth0"},
		},
		"gateways that have metrics of their own are let in": {
			spec: "{desiredState: {routes: {config: [{destination: 203.0.114.0/24, next-hop-address: 192.0.2.3, next-hop-interface: eth0, metric: 7}]}}}",
			others: map[string]string{
				"other": "{desiredState: {routes: {config: [{destination: 203.0.114.0/24, next-hop-address: 192.0.2.2, next-hop-interface: eth0, metric: 8}]}}}",
			},
		},
		"another table for what a rule looks for is refused": {
			spec:   "{desiredState: {route-rules: {config: [{ip-from: 192.0.2.0/24, route-table: 200, priority: 1000}]}}}",
			others: map[string]string{"other": "{desiredState: {route-rules: {config: [{ip-from: 192.0.2.0/24, route-table: 100, priority: 1000}]}}}"},
			denied: []string{"spec.desiredState.route-rules.config[0]: Forbidden: policy other wants priority 1000 from 192.0.2.0/24 table 100"},
		},
		"the removal of a rule that another policy wants is warned of": {
			spec:     "{desiredState: {route-rules: {config: [{state: absent, route-table: 100}]}}}",
			others:   map[string]string{"other": "{desiredState: {route-rules: {config: [{ip-from: 192.0.2.0/24, route-table: 100, priority: 1000}]}}}"},
			warnings: []string{"route-rules.config[0]: policy other wants priority 1000 from 192.0.2.0/24 table 100"},
		},
		"the removal of a route that another policy wants is warned of": {
			spec: "{desiredState: {routes: {config: [{state: absent, next-hop-interface: eth0}]}}}",
			others: map[string]string{
				"other": "{desiredState: {routes: {config: [{destination: 0.0.0.0/0, next-hop-address: 192.0.2.2, next-hop-interface: eth0}]}}}",
			},
			warnings: []string{"routes.config[0]: policy other wants default (0.0.0.0/0) via 192.0.2.2 through eth0"},
		},
		"the removal of what another policy wants is warned of": {
			spec: interfaces("{name: br0, state: absent}"), others: map[string]string{"other": bridgeOnEth1},
			warnings: []string{"network default/l2 attaches pods and VMs to br0", "interfaces[0].state: policy other wants it there"},
		},
		"a thousand problems are told briefly": {
			spec:   interfaces(strings.Repeat("{name: abcdefghijklmnopqrstuvwxyz},", 999) + "{name: a}"),
			denied: append(slicesOf("spec.desiredState.interfaces[", maxProblems), "more problems"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			verdict := reviewed(t, viewOf(t, c.others), creation(t, c.spec, false))
			require.Len(t, verdict.Denied, len(c.denied), "%v", verdict.Denied)
			for i, want := range c.denied {
				assert.Contains(t, verdict.Denied[i].Error(), want)
			}
			require.Len(t, verdict.Warnings, len(c.warnings), "%q", verdict.Warnings)
			for i, want := range c.warnings {
				assert.Contains(t, verdict.Warnings[i], want)
			}
		})
	}
}

func slicesOf(s string, n int) []string {
	var all []string
	for range n {
		all = append(all, s)
	}
	return all
}

func TestUpdatesAreJudgedByWhatTheyChange(t *testing.T) {
	others := map[string]string{"other": interfaces("{name: eth1, type: ethernet, state: up, mtu: 9000}")}
	quarrel := "{name: eth1, type: ethernet, state: up, mtu: 1500}"
	update := func(old, spec string) Verdict {
		request := creation(t, spec, false)
		request.Operation = admissionv1.Update
		request.OldObject = runtime.RawExtension{Raw: policyObject(t, "p", old)}
		return reviewed(t, viewOf(t, others), request)
	}
	assert.Equal(
		t, Verdict{}, update(interfaces("{name: eth1, stat: up}"), interfaces("{name: eth1, stat: up}")), "as it was",
	)
	assert.NotEmpty(t, update(`{}`, interfaces(quarrel)).Denied)
	again := update(interfaces(quarrel), interfaces(quarrel+", {name: eth0, description: uplink}"))
	assert.Empty(t, again.Denied, "it contradicted before")
	require.Len(t, again.Warnings, 1)
	assert.Contains(t, again.Warnings[0], "interfaces[0].mtu: policy other wants 9000")
}

func TestADeletionSaysWhatStays(t *testing.T) {
	for name, c := range map[string]struct {
		user, annotations string
		want              []string
	}{
		"it stays": {want: []string{"what the policy configured stays on node node01", "bridgehead.dev/on-delete: revert before deleting"}},
		"it is undone": {annotations: `{bridgehead.dev/on-delete: revert}`,
			want: []string{"is undone on node node01", "network default/l2 attaches pods and VMs to br0"}},
		"controllers are not warned": {user: "system:serviceaccount:kube-system:namespace-controller"},
	} {
		t.Run(name, func(t *testing.T) {
			view := viewOf(t, nil)
			e := v1beta1.NodeNetworkConfigurationEnactment{}
			e.Labels = map[string]string{nmstate.PolicyLabel: "p", nmstate.NodeLabel: "node01"}
			e.Status.PolicyGeneration = 1
			view.Enactments = append(view.Enactments, e)
			request := admissionv1.AdmissionRequest{Operation: admissionv1.Delete}
			request.UserInfo.Username = c.user
			request.OldObject.Raw = asJSON(t, "{metadata: {name: p, annotations: "+c.annotations+"}, spec: "+bridgeOnEth1+"}")
			verdict := reviewed(t, view, request)
			require.Len(t, verdict.Warnings, len(c.want), "%q", verdict.Warnings)
			for i, want := range c.want {
				assert.Contains(t, verdict.Warnings[i], want)
			}
		})
	}
}

func TestAClusterThatCannotBeReadIsNoReasonToRefuse(t *testing.T) {
	request := creation(t, bridgeOnEth1, true)
	verdict, err := PolicyReviewer{
		Now:    aTime,
		Source: played{err: errors.New("connection refused")},
	}.Review(t.Context(), &request)
	require.NoError(t, err)
	assert.Empty(t, verdict.Denied)
	assert.Equal(t, []string{"policies and nodes could not be read in time: conflicts with other policies were not checked"}, verdict.Warnings)
	assert.Equal(t, []string{"conflicts were not checked: connection refused"}, verdict.Notes)
}

func TestStatesThatCannotBeReadDoNotHideConflicts(t *testing.T) {
	view := viewOf(t, map[string]string{"other": interfaces("{name: eth1, type: ethernet, state: up, mtu: 9000}")})
	for name, c := range map[string]struct {
		spec    string
		dryRun  bool
		denied  int
		notes   int
		warning string
	}{
		"a conflict is refused all the same":      {spec: interfaces("{name: eth1, type: ethernet, state: up, mtu: 1500}"), denied: 1},
		"what agrees is let in":                   {spec: bridgeOnEth1, notes: 1},
		"a dry run is told that there is no plan": {spec: bridgeOnEth1, dryRun: true, notes: 1, warning: "the state of nodes could not be read"},
	} {
		t.Run(name, func(t *testing.T) {
			request := creation(t, c.spec, c.dryRun)
			verdict, err := PolicyReviewer{
				Now:    aTime,
				Source: played{view: view, silent: errors.New("too slow")},
			}.Review(t.Context(), &request)
			require.NoError(t, err)
			assert.Len(t, verdict.Denied, c.denied)
			assert.Len(t, verdict.Notes, c.notes)
			assert.Contains(t, strings.Join(verdict.Warnings, "\n"), c.warning)
		})
	}
}

func TestAPolicyThatIsWrittenLooksAtFewNodes(t *testing.T) {
	view := PolicyView{Labels: map[string]map[string]string{}, States: map[string]v1beta1.NodeNetworkState{}}
	for i := range 100 {
		name := fmt.Sprintf("node%03d", i)
		view.Labels[name], view.Agents = map[string]string{}, append(view.Agents, name)
	}
	for dryRun, want := range map[bool]int{false: maxSampled, true: 100} {
		asked := 0
		request := creation(t, bridgeOnEth1, dryRun)
		_, err := PolicyReviewer{Now: aTime, Source: played{view: view, asked: &asked}}.Review(t.Context(), &request)
		require.NoError(t, err)
		assert.Equal(t, want, asked, "dry run: %v", dryRun)
	}
}

// FuzzPolicy puts any specs to the webhooks: they answer, and agree on what is refused.
func FuzzPolicy(f *testing.F) {
	for _, spec := range []string{bridgeOnEth1, inPlaceOfDefault, `{}`, `{desiredState: []}`, `{capture: {a: "|"}}`,
		`{desiredState: {interfaces: [null, {name: "{{"}]}}`, `{nodeSelector: {a: 1}}`} {
		f.Add(asJSON(f, spec), true)
	}
	view := viewOf(f, map[string]string{"other": bridgeOnEth1})
	f.Fuzz(func(t *testing.T, spec []byte, dryRun bool) {
		object := []byte(`{"metadata":{"name":"p"},"spec":` + string(spec) + `}`)
		request := admissionv1.AdmissionRequest{
			Operation: admissionv1.Create, DryRun: &dryRun, Object: runtime.RawExtension{Raw: object},
		}
		verdict := reviewed(t, view, request)
		patch := planned(t, view, request).Patch
		if !dryRun {
			require.Empty(t, patch)
		}
		require.LessOrEqual(t, len(verdict.Denied), maxProblems+1)
	})
}
