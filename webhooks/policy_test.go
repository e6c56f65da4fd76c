// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	v1 "github.com/bridgehead-dev/bridgehead/api/nmstate/v1"
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

// aTime returns when tests of policies play.
func aTime() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

func asJSON(t testing.TB, text string) []byte {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	require.NoError(t, err)
	return raw
}

// viewOf returns a cluster of the nodes node01 and node02 with two NICs each, and of others' policies by name.
func viewOf(t testing.TB, policies map[string]string) PolicyView {
	t.Helper()
	view := PolicyView{Labels: map[string]map[string]string{}, States: map[string]v1beta1.NodeNetworkState{}}
	for _, name := range []string{"node01", "node02"} {
		s := v1beta1.NodeNetworkState{}
		s.Name = name
		s.Status.CurrentState = &runtime.RawExtension{Raw: asJSON(t, twoNICs)}
		s.Status.LastSuccessfulUpdateTime.Time = aTime()
		view.States[name], view.Agents = s, append(view.Agents, name)
		view.Labels[name] = map[string]string{"kubernetes.io/hostname": name}
	}
	for name, spec := range policies {
		p := v1.NodeNetworkConfigurationPolicy{}
		require.NoError(t, json.Unmarshal(policyObject(t, name, spec), &p))
		view.Policies = append(view.Policies, p)
	}
	return view
}

func policyObject(t testing.TB, name, spec string) []byte {
	t.Helper()
	object, err := json.Marshal(
		map[string]any{"metadata": map[string]any{"name": name}, "spec": json.RawMessage(asJSON(t, spec))},
	)
	require.NoError(t, err)
	return object
}

// reviewed returns the verdict on a policy called p.
func reviewed(t testing.TB, view PolicyView, request admissionv1.AdmissionRequest) Verdict {
	t.Helper()
	verdict, err := PolicyReviewer{
		Source: played{view: view}, Now: aTime,
		Networks: func(bridge string) []string {
			return map[string][]string{"br0": {"default/l2"}}[bridge]
		},
	}.Review(t.Context(), &request)
	require.NoError(t, err)
	for _, warning := range verdict.Warnings {
		assert.LessOrEqual(t, len(warning), maxWarningLength)
	}
	return verdict
}

func creation(t testing.TB, spec string, dryRun bool) admissionv1.AdmissionRequest {
	t.Helper()
	return admissionv1.AdmissionRequest{
		Operation: admissionv1.Create, DryRun: &dryRun, Object: runtime.RawExtension{Raw: policyObject(t, "p", spec)},
	}
}

func interfaces(list string) string { return "{desiredState: {interfaces: [" + list + "]}}" }

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
			want: "plan for nodes node01 and node02: nothing to do (by a state that last changed 3h ago)",
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
	warnings := reviewed(t, viewOf(t, nil), creation(t, interfaces(strings.Join(list, ",")), true)).Warnings
	assert.Less(t, len(strings.Join(warnings, "")), 4096)
	assert.Regexp(t, `^[0-9]+ more lines$`, warnings[len(warnings)-1])
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

// played is a cluster in memory.
type played struct {
	view PolicyView
	// err makes every read fail, silent those of nodes.
	err, silent error
	// asked is how many nodes were asked about.
	asked *int
}

func (p played) Look(context.Context) (PolicyView, error) {
	small := p.view
	small.States, small.Enactments = nil, nil
	return small, p.err
}

func (p played) Report(_ context.Context, view PolicyView, nodes []string) (PolicyView, error) {
	if p.silent != nil {
		return view, p.silent
	}
	if p.asked != nil {
		*p.asked += len(nodes)
	}
	view.Enactments, view.States = p.view.Enactments, map[string]v1beta1.NodeNetworkState{}
	for _, n := range nodes {
		view.States[n] = p.view.States[n]
	}
	return view, nil
}

func (p played) AppliedBy(context.Context, string) ([]string, error) {
	return appliedBy(p.view.Enactments), p.err
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
