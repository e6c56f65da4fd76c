// SPDX-License-Identifier: Apache-2.0

package nad

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRangesOfAddressesThatHostLocalCannotUse(t *testing.T) {
	for name, c := range map[string]struct{ ipam, problem, warning string }{
		"a network":                       {ipam: `"subnet":"10.0.0.0/24","rangeStart":"10.0.0.10","rangeEnd":"10.0.0.10","gateway":"10.0.0.254"`},
		"one of IPv6":                     {ipam: `"subnet":"fd00::/64","rangeStart":"fd00::10","rangeEnd":"fd00::20","gateway":""`},
		"an address in the network":       {ipam: `"subnet":"10.0.0.5/24"`, problem: `line 1, column 59: ipam.subnet is "10.0.0.5/24", an address in the network: write "10.0.0.0/24"`},
		"one of IPv6 in the network":      {ipam: `"subnet":"fd00::1/64"`, problem: `write "fd00::/64"`},
		"a network of two addresses":      {ipam: `"subnet":"10.0.0.0/31"`, problem: "which has no addresses for pods: want a prefix length of 30 or less"},
		"a beginning elsewhere":           {ipam: `"subnet":"10.0.0.0/24","rangeStart":"10.0.1.10"`, problem: `ipam.rangeStart is "10.0.1.10", which is not in the subnet 10.0.0.0/24`},
		"an end elsewhere":                {ipam: `"subnet":"10.0.0.0/24","rangeEnd":"fd00::1"`, problem: `ipam.rangeEnd is "fd00::1", which is not in the subnet 10.0.0.0/24`},
		"an end before the beginning":     {ipam: `"subnet":"10.0.0.0/24","rangeStart":"10.0.0.20","rangeEnd":"10.0.0.9"`, problem: `ipam.rangeEnd is "10.0.0.9", which is before rangeStart, "10.0.0.20"`},
		"a gateway elsewhere":             {ipam: `"subnet":"10.0.0.0/24","gateway":"10.0.1.1"`, warning: `ipam.gateway is "10.0.1.1", which is not in the subnet 10.0.0.0/24`},
		"a range of several":              {ipam: `"ranges":[[{"subnet":"10.0.0.0/24"}],[{"subnet":"fd00::/64"},{"subnet":"10.1.0.1/16"}]]`, problem: `ipam.ranges[1][1].subnet is "10.1.0.1/16", an address in the network: write "10.1.0.0/16"`},
		"a range without a network":       {ipam: `"ranges":[[{"rangeStart":"10.0.0.1"}]]`, problem: "line 1, column 61: ipam.ranges[0][0].subnet is missing: it is the network with its prefix length"},
		"a beginning without a network":   {ipam: `"rangeStart":"10.0.0.1"`},
		"ranges that are null":            {ipam: `"ranges":null`},
		"what is told as no network once": {ipam: `"subnet":"10.0.0.5"`, problem: "want an address with a prefix length"},
	} {
		t.Run(name, func(t *testing.T) {
			config, problems := ParseConfig(`{"type":"ours","ipam":{"type":"host-local",      ` + c.ipam + `}}`)
			if c.problem == "" {
				require.Empty(t, problems)
			} else {
				require.Len(t, problems, 1)
				assert.Contains(t, problems[0].Error(), c.problem)
			}
			if c.warning == "" {
				assert.Empty(t, config.Warnings)
			} else {
				require.Len(t, config.Warnings, 1)
				assert.Contains(t, config.Warnings[0], c.warning)
			}
		})
	}
	_, problems := ParseConfig(`{"type":"ours","ipam":{"type":"whereabouts","subnet":"10.0.0.5/24"}}`)
	assert.Empty(t, problems, "other plugins for addresses take the network from any address in it")
}
