// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

// A refusal is a desired state of testdata/refusals.yaml, and the beginnings or parts of all errors it has.
type refusal struct {
	State  json.RawMessage `json:"state"`
	Errors []string        `json:"errors"`
}

func TestValidate(t *testing.T) {
	data, err := os.ReadFile("testdata/refusals.yaml")
	require.NoError(t, err)
	var refusals map[string]refusal
	require.NoError(t, yaml.UnmarshalStrict(data, &refusals))
	for sentence, r := range refusals {
		t.Run(sentence, func(t *testing.T) {
			errs := Validate(parse(t, string(r.State)), nil)
			require.Len(t, errs, len(r.Errors))
			for _, want := range r.Errors {
				said := slices.ContainsFunc(errs, func(e *field.Error) bool { return strings.Contains(e.Error(), want) })
				assert.True(t, said, "got  %v\nwant %s", errs.ToAggregate(), want)
			}
		})
	}
}

func TestPathsBeginWhereTheStateIs(t *testing.T) {
	at := field.NewPath("spec", "desiredState")
	errs := Validate(parse(t, `{interfaces: [{name: ""}], routes: {config: [{}]}}`), at)
	_, parseErrs := ParseAt(at, []byte(`{interfaces: [{foo: 1}], bar: 1}`))
	for _, err := range append(errs, parseErrs...) {
		assert.True(t, strings.HasPrefix(err.Field, "spec.desiredState."), err)
	}
	assert.GreaterOrEqual(t, len(errs), 2)
	assert.Len(t, parseErrs, 2)
}

func TestADUIDIsCalledByAWordOrItsBytes(t *testing.T) {
	for text, valid := range map[string]bool{
		"": true, "ll": true, "llt": true, "uuid": true, "00:03:00:01:02:00:00:00:00:01": true, "0:2:1": true,
		"en": false, "00:03": false, "0003000102": false, "00:03:zz": false, "UUID": false,
	} {
		state := parse(t, "interfaces: [{name: a, ipv6: {enabled: true, dhcp: true, dhcp-duid: '"+text+"'}}]")
		errs := Validate(state, nil)
		assert.Equal(t, valid, len(errs) == 0, "%q: %v", text, errs)
	}
}

func TestWarnings(t *testing.T) {
	tests := map[string]struct {
		state string
		want  []string
	}{
		"unless IPv6 is off": {`interfaces: [{name: a, ipv6: {enabled: false, dhcp: true}}]`, nil},
		"nothing waits for addresses": {`interfaces: [{name: a, wait-ip: ipv4}]`,
			[]string{"interfaces[0].wait-ip: has no effect: nothing waits for an address"}},
		"a bridge hears no neighbours": {`interfaces: [{name: a, type: linux-bridge, lldp: {enabled: true}}, {name: b, lldp: {enabled: true}}]`,
			[]string{"interfaces[0].lldp.enabled: neighbours are heard by the ports, not by the bridge: enable it on those"}},
		"a virtual link that is down": {`interfaces: [{name: a, type: bond, state: down}, {name: b, type: ethernet, state: down}]`, []string{"interfaces[0].state: the link is kept and set down; use absent to remove it"}},
		"a bond gives its ports its MAC": {
			`interfaces: [{name: a, mac-address: "02:00:00:00:00:01"}, {name: b, type: bond, link-aggregation: {mode: balance-rr, port: [a]}}]`,
			[]string{"interfaces[0].mac-address: has no effect: a port of a bond has the bond's"}},
		"but not where the active port has its own": {
			`interfaces: [{name: a, mac-address: "02:00:00:00:00:01"}, {name: b, type: bond,
  link-aggregation: {mode: active-backup, options: {fail_over_mac: active}, port: [a]}}]`, nil},
		"nothing said, nothing to warn":  {`interfaces: [{name: a, wait-ip: any}]`, nil},
		"what is absent needs no remark": {`interfaces: [{name: a, state: absent, wait-ip: ipv4}]`, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, Warnings(parse(t, test.state), nil))
		})
	}
}
