// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	v1 "github.com/bridgehead-dev/bridgehead/api/nmstate/v1"
	"github.com/bridgehead-dev/bridgehead/api/nmstate/v1beta1"
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
