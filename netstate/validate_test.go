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

func TestWarnings(t *testing.T) {
	tests := map[string]struct {
		state string
		want  []string
	}{
		"DHCPv6 is not run": {`interfaces: [{name: a, ipv6: {enabled: true, dhcp: true}}]`,
			[]string{"interfaces[0].ipv6.dhcp: no DHCPv6 client runs here: use autoconf or static addresses"}},
		"unless IPv6 is off": {`interfaces: [{name: a, ipv6: {enabled: false, dhcp: true}}]`, nil},
		"nothing waits for addresses": {`interfaces: [{name: a, wait-ip: ipv4}]`,
			[]string{"interfaces[0].wait-ip: has no effect: nothing waits for an address"}},
		"a virtual link that is down":    {`interfaces: [{name: a, type: bond, state: down}, {name: b, type: ethernet, state: down}]`, []string{"interfaces[0].state: the link is kept and set down; use absent to remove it"}},
		"nothing said, nothing to warn":  {`interfaces: [{name: a, wait-ip: any}]`, nil},
		"what is absent needs no remark": {`interfaces: [{name: a, state: absent, wait-ip: ipv4}]`, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, Warnings(parse(t, test.state), nil))
		})
	}
}
