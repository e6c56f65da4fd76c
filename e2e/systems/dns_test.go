// SPDX-License-Identifier: Apache-2.0

package systems_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/e2e/systems"
)

const nameServers = `dns-resolver: {config: {server: [192.0.2.53], search: [a.example]}}
`

// tryNameServers has the program that keeps resolv.conf told of name servers by a policy. uses is a line of shell that
// prints those it uses, and again one after which it uses what its files say.
func tryNameServers(t *testing.T, s *systems.System, uses, again string) {
	before := do(t, s, uses)
	require.NotContains(t, before, "192.0.2.53")
	out, err := apply(t, s, "apply", nameServers)
	require.NoError(t, err, out)
	assert.Contains(t, do(t, s, uses), "192.0.2.53")
	do(t, s, again)
	says(t, s, "192.0.2.53", "sh", "-c", uses)
	do(t, s, "applier revert p")
	succeeds(t, s, "! ("+uses+") | grep -q 192.0.2.53")
	assert.Empty(t, do(t, s, leftovers))

	out, err = apply(t, s, "fail", nameServers)
	require.ErrorContains(t, err, "nobody answers", out)
	succeeds(t, s, "! ("+uses+") | grep -q 192.0.2.53")
}
