// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/e2e/controlplane"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
)

func TestAPIRefusesWhatTheLedgerCouldNotUse(t *testing.T) {
	t.Parallel()
	plane := controlplane.StartForTest(t, controlplane.Options{UnsafeNoFsync: true})
	root, err := suite.Root()
	require.NoError(t, err)
	require.NoError(t, plane.Apply(t.Context(), root+"/manifests/crds/bridgehead.dev_macblocks.yaml"))
	require.NoError(t, plane.Apply(t.Context(), root+"/manifests/crds/bridgehead.dev_macpools.yaml"))
	pool := func(spec string) string {
		return "apiVersion: bridgehead.dev/v1alpha1\nkind: MACPool\nmetadata: {name: p}\nspec: " + spec
	}
	ranges := func(start, end string) string {
		return pool(fmt.Sprintf("{ranges: [{start: %q, end: %q}]}", start, end))
	}
	blockOf := func(name, prefix, rows string) string {
		return fmt.Sprintf("apiVersion: bridgehead.dev/v1alpha1\nkind: MACBlock\nmetadata: {name: %s}\nprefix: %q\nheld: 0\nreserved: 1\n%s",
			name, prefix, rows)
	}
	selecting := func(selector string) string {
		return pool(`{ranges: [{start: "02:00:00:00:00:01", end: "02:00:00:00:00:09"}], namespaceSelector: ` + selector + "}")
	}
	excluding := func(start, end string) string {
		return pool(fmt.Sprintf(`{ranges: [{start: "02:00:00:00:00:0a", end: "02:00:00:00:00:0f"}], exclude: [{start: %q, end: %q}]}`, start, end))
	}
	block := func(name, prefix, address string) string {
		return blockOf(name, prefix, "addresses: in rows\nrows: ["+address+" reserved replica=r since=2026-01-02T03:04:05.000006Z]")
	}
	const structures = "addresses: [{address: '02:4a:be:00:00:01', reservation: {replica: r, since: 2026-01-02T03:04:05.000006Z}}]"
	for name, tc := range map[string]struct{ manifest, problem string }{
		"a range":                                 {manifest: ranges("02:4a:be:00:00:00", "02:4a:be:ff:ff:ff")},
		"a range of one address":                  {manifest: ranges("02:4a:be:00:00:01", "02:4a:be:00:00:01")},
		"dashes and mixed case":                   {manifest: ranges("02-4A-be-00-00-00", "02:4a:BE:00:00:ff")},
		"reversed ends":                           {manifest: ranges("02:4a:be:00:00:02", "02:4a:be:00:00:01"), problem: "start must not be greater than end"},
		"ends reversed behind a lower octet":      {manifest: ranges("02:ff:00:00:00:00", "02:00:ff:ff:ff:ff"), problem: "start must not be greater than end"},
		"a multicast start":                       {manifest: ranges("03:00:00:00:00:00", "03:00:00:00:00:01"), problem: "spec.ranges[0].start"},
		"a range that crosses multicast":          {manifest: ranges("02:ff:ff:ff:ff:00", "04:00:00:00:00:ff"), problem: "first octet"},
		"eight octets":                            {manifest: ranges("02:00:00:00:00:00:00:00", "02:00:00:00:00:00:00:01"), problem: "spec.ranges[0].start"},
		"dots":                                    {manifest: ranges("0200.0000.0000", "0200.0000.00ff"), problem: "spec.ranges[0].start"},
		"no range":                                {manifest: pool("{ranges: []}"), problem: "spec.ranges"},
		"nothing but the zero address":            {manifest: ranges("00:00:00:00:00:00", "00:00:00:00:00:00"), problem: "00:00:00:00:00:00 is no interface's address"},
		"a range that begins with it":             {manifest: ranges("00-00-00-00-00-00", "00:00:00:00:00:ff"), problem: "start at 00:00:00:00:00:01"},
		"dashes and colons in one address":        {manifest: ranges("02:4a:be-00:00:00", "02:4a:be:00:00:ff"), problem: "spec.ranges[0].start"},
		"an enforcement that does not exist":      {manifest: pool(`{ranges: [{start: "02:00:00:00:00:00", end: "02:00:00:00:00:01"}], enforcement: Maybe}`), problem: "spec.enforcement"},
		"an exclusion that is reversed":           {manifest: pool(`{ranges: [{start: "02:00:00:00:00:00", end: "02:00:00:00:00:09"}], exclude: [{start: "02:00:00:00:00:02", end: "02:00:00:00:00:01"}]}`), problem: "spec.exclude[0]"},
		"an exclusion of a part":                  {manifest: excluding("02:00:00:00:00:0B", "02-00-00-00-00-0F")},
		"an exclusion of all there is":            {manifest: excluding("02-00-00-00-00-0A", "02:00:00:00:00:ff"), problem: "exclude leaves no address of ranges"},
		"labels of namespaces":                    {manifest: selecting(`{matchLabels: {tenant: "", example.com/Tier_1: a.b-c_D}}`)},
		"everything but some namespaces":          {manifest: selecting("{matchExpressions: [{key: example.com/a, operator: NotIn, values: [a, b]}, {key: c, operator: Exists}, {key: d, operator: DoesNotExist, values: []}]}")},
		"all namespaces":                          {manifest: selecting("{}")},
		"an operator that does not exist":         {manifest: selecting("{matchExpressions: [{key: a, operator: Foo, values: [b]}]}"), problem: "spec.namespaceSelector.matchExpressions[0].operator: Unsupported value"},
		"an operator without its values":          {manifest: selecting("{matchExpressions: [{key: a, operator: In}]}"), problem: "In and NotIn need values"},
		"an operator of no values":                {manifest: selecting("{matchExpressions: [{key: a, operator: NotIn, values: []}]}"), problem: "In and NotIn need values"},
		"an operator that takes no values":        {manifest: selecting("{matchExpressions: [{key: a, operator: Exists, values: [b]}]}"), problem: "Exists and DoesNotExist take no values"},
		"a key that no label has":                 {manifest: selecting("{matchExpressions: [{key: a b, operator: Exists}]}"), problem: "spec.namespaceSelector.matchExpressions[0].key: Invalid value: \"a b\": no label has this key"},
		"a value that no label has":               {manifest: selecting("{matchExpressions: [{key: a, operator: In, values: [b c]}]}"), problem: "spec.namespaceSelector.matchExpressions[0].values[0]: Invalid value: \"b c\": no label has this value"},
		"a label with a key that none has":        {manifest: selecting("{matchLabels: {a/b/c: d}}"), problem: "spec.namespaceSelector.matchLabels: Invalid value"},
		"a label with a value that none has":      {manifest: selecting(`{matchLabels: {a: "-b"}}`), problem: "no label has this value"},
		"a block":                                 {manifest: block("02-4a-be-00-00", "02:4a:be:00:00", "02:4a:be:00:00:01")},
		"a block with a row of several addresses": {manifest: block("02-4a-be-00-00", "02:4a:be:00:00", "02:4a:be:00:00:01-ff")},
		"a block with several addresses in the row of a holder": {
			manifest: blockOf("02-4a-be-00-00", "02:4a:be:00:00", "rows: ['02:4a:be:00:00:01-02 Pod n/n since=2026-01-02T03:04:05.000006Z']"), problem: "rows[0]",
		},
		"a block with a row that has no end":      {manifest: block("02-4a-be-00-00", "02:4a:be:00:00", "02:4a:be:00:00:01-"), problem: "rows[0]"},
		"a block whose name is no prefix":         {manifest: block("block", "02:4a:be:00:00", "02:4a:be:00:00:01"), problem: "named by its first five octets"},
		"a block whose prefix is not its name":    {manifest: block("02-4a-be-00-00", "02:4a:be:00:01", "02:4a:be:00:01:01"), problem: "prefix must be the block's name"},
		"a block with an address of another":      {manifest: block("02-4a-be-00-00", "02:4a:be:00:00", "02:4a:be:00:01:01"), problem: "an address of another block"},
		"a block with an address in another form": {manifest: block("02-4a-be-00-00", "02:4a:be:00:00", "02-4A-BE-00-00-01"), problem: "rows[0]"},
		"a block with a row of no kind":           {manifest: blockOf("02-4a-be-00-00", "02:4a:be:00:00", "rows: ['02:4a:be:00:00:01 Node n/n']"), problem: "rows[0]"},
		"a block as the last release wrote it":    {manifest: blockOf("02-4a-be-00-00", "02:4a:be:00:00", structures)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := plane.KubectlInput(t.Context(), tc.manifest, "create", "--dry-run=server", "-f", "-")
			if tc.problem == "" {
				require.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, tc.problem)
		})
	}
}
