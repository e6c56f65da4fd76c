// SPDX-License-Identifier: Apache-2.0

package render

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	"github.com/bridgehead-dev/bridgehead/netstate"
)

// A phrase is something that people write in policies, and what it comes to on the node of testdata.
type phrase struct {
	Spec  json.RawMessage `json:"spec"`
	Plan  string          `json:"plan"`
	Error string          `json:"error"`
}

// The node of the phrases: eth0 has a lease, the default route and the name server that came with it.
func node(t *testing.T) netstate.State {
	t.Helper()
	text, err := os.ReadFile("testdata/node.yaml")
	require.NoError(t, err)
	state, errs := netstate.Parse(text)
	require.Empty(t, errs)
	for n, i := range state.Interfaces {
		if i.Name == "eth1" {
			state.Interfaces[n].Ethernet.SRIOV.MaxVFs = 8
			state.Interfaces[n].IPv6.AcceptRA, state.Interfaces[n].IPv6.Forwarding = new(1), new(false)
		}
		if i.Name == "eth0" {
			lease, errs := netstate.Parse([]byte(`interfaces: [{name: a, ipv4: {address: [{ip: 192.0.2.7, prefix-length: 24}]}}]`))
			require.Empty(t, errs)
			address := lease.Interfaces[0].IPv4.Address
			address[0].ValidLifeTime, address[0].PreferredLifeTime = 3600, 1800
			state.Interfaces[n].IPv4.Address = address
		}
	}
	return state
}

func TestWhatPeopleWrite(t *testing.T) {
	text, err := os.ReadFile("testdata/phrases.yaml")
	require.NoError(t, err)
	var phrases map[string]phrase
	require.NoError(t, yaml.UnmarshalStrict(text, &phrases))
	for sentence, p := range phrases {
		t.Run(sentence, func(t *testing.T) {
			plan, err := planOf(t, node(t), p.Spec)
			if p.Error != "" {
				require.ErrorContains(t, err, p.Error)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, p.Plan, plan)
		})
	}
}

func planOf(t *testing.T, current netstate.State, text json.RawMessage) (string, error) {
	t.Helper()
	var spec nmstate.PolicySpec
	require.NoError(t, json.Unmarshal(text, &spec))
	desired, _, err := Policy(spec, current, nil, metav1.Time{})
	if err != nil {
		return "", err
	}
	steps, err := netstate.Plan(current, desired)
	return netstate.Format(steps), err
}

// A NIC that is found by its MAC is found under the name it has after a reboot, too.
func TestANICIsFoundByItsMACUnderAnotherName(t *testing.T) {
	current := node(t)
	spec := json.RawMessage(`{"desiredState": {"interfaces": [
		{"name": "uplink", "identifier": "mac-address", "mac-address": "52:55:00:d1:56:01", "mtu": 1400}]}}`)
	var policy nmstate.PolicySpec
	require.NoError(t, json.Unmarshal(spec, &policy))
	desired, _, err := Policy(policy, current, nil, metav1.Time{})
	require.NoError(t, err)
	for n := range current.Interfaces {
		if current.Interfaces[n].Name == "eth1" {
			current.Interfaces[n].Name = "ens5"
		}
	}
	steps, err := netstate.Plan(current, desired)
	require.NoError(t, err)
	assert.Equal(t, "~ ens5 mtu 1500 → 1400\n", netstate.Format(steps))
}
