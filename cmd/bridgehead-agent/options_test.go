// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhatTheAgentIsAskedToBe(t *testing.T) {
	for name, tc := range map[string]struct {
		args     []string
		restores bool
		wrong    string
	}{
		"the pod of a node":             {args: []string{"--log-level=debug"}},
		"the unit of a host":            {args: []string{"restore", "--log-level=debug"}, restores: true},
		"what it cannot be":             {args: []string{"restor"}, wrong: `"restor" is neither restore nor a flag`},
		"a value apart from its flag":   {args: []string{"--install-boot-unit", "false"}, wrong: `"false" is neither restore nor`},
		"a flag that it does not have":  {args: []string{"--loud"}, wrong: "unknown flag: --loud"},
		"a unit, and something besides": {args: []string{"restore", "all"}, wrong: `"all" is neither restore nor a flag`},
	} {
		t.Run(name, func(t *testing.T) {
			options := defaultOptions("n1")
			restores, err := options.parse(tc.args)
			assert.Equal(t, tc.restores, restores)
			if tc.wrong != "" {
				assert.ErrorContains(t, err, tc.wrong)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, "debug", options.LogLevel)
		})
	}
}
