// SPDX-License-Identifier: Apache-2.0

package nad

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func addressed(ipam string) string {
	return `{"cniVersion":"1.0.0","type":"macvlan","master":"eth1","ipam":{` + ipam + `}}`
}

func TestKeysOfAddressesThatMeanNothing(t *testing.T) {
	for ipam, warning := range map[string]string{
		`"type":"host-local","subnet":"10.0.0.0/24","routes":[{"dst":"0.0.0.0/0","gateway":"10.0.0.1"}]`: "ipam.routes[0].gateway means nothing to the host-local plugin: did you mean gw?",
		`"type":"host-local","subnet":"10.0.0.0/24","routes":[{"dst":"0.0.0.0/0","via":"10.0.0.1"}]`:     "did you mean gw?",
		`"type":"host-local","subnet":"10.0.0.0/24","routes":[{"dst":"0.0.0.0/0","gw":"10.0.0.1"}]`:      "",
		`"type":"host-local","ranges":[[{"subnet":"10.0.0.0/24","range_start":"10.0.0.9"}]]`:             "ipam.ranges[0][0].range_start means nothing to the host-local plugin: did you mean rangeStart?",
		`"type":"host-local","ranges":[[{"subnet":"10.0.0.0/24","start":"10.0.0.9"}]]`:                   "did you mean rangeStart?",
		`"type":"host-local","ranges":[[{"subnet":"10.0.0.0/24","RangeStart":"10.0.0.9"}]]`:              "",
		`"type":"host-local","ranges":[[{"subnet":"10.0.0.0/24"}]],"gateway":"10.0.0.1"`:                 "ipam.gateway counts for nothing beside ranges: write it into the range",
		`"type":"host-local","subnet":"10.0.0.0/24","gateway":"10.0.0.1","ranges":[]`:                    "",
		`"type":"static","addresses":[{"address":"10.0.0.5/24","gw":"10.0.0.1"}]`:                        "ipam.addresses[0].gw means nothing to the static plugin: did you mean gateway?",
		`"type":"static","addresses":[{"address":"10.0.0.5/24","version":"4"}]`:                          "",
		`"type":"static","dns":{"nameserver":["10.0.0.1"]}`:                                              "ipam.dns.nameserver means nothing to the static plugin: did you mean nameservers?",
		`"type":"whereabouts","subnet":"10.0.0.0/24"`:                                                    "ipam.subnet means nothing to the whereabouts plugin: did you mean range?",
		`"type":"whereabouts","range":"10.0.0.0/24","rangeStart":"10.0.0.9"`:                             "did you mean range_start?",
		`"type":"whereabouts","range":"10.0.0.0/24","excludes":["10.0.0.9/32"]`:                          "did you mean exclude?",
		`"type":"whereabouts","range":"10.0.0.0/24","range_end":"10.0.0.9","ipRanges":[],"new":1`:        "",
	} {
		t.Run(ipam, func(t *testing.T) {
			config, problems := ParseConfig(addressed(ipam))
			require.Empty(t, problems)
			if warning == "" {
				assert.Empty(t, config.Warnings)
				return
			}
			require.Len(t, config.Warnings, 1, "%q", config.Warnings)
			assert.Contains(t, config.Warnings[0], warning)
		})
	}
}

// The plugin that makes the interface fails with "invalid CIDR address: <nil>" then, for every pod.
func TestRoutesAndAddressesThatAreIncompleteAreRefused(t *testing.T) {
	for config, problem := range map[string]string{
		addressed(`"type":"host-local","subnet":"10.0.0.0/24","routes":[{"gw":"10.0.0.1"}]`):                                 `line 1, column 117: ipam.routes[0].dst is missing: it is the network that the route is for, such as "0.0.0.0/0"`,
		addressed(`"type":"host-local","subnet":"10.0.0.0/24","routes":[{"dst":"10.1.0.0/16"},{"destination":"0.0.0.0/0"}]`): "ipam.routes[1].dst is missing",
		addressed(`"type":"host-local","subnet":"10.0.0.0/24","routes":[{"dst":null}]`):                                      "ipam.routes[0].dst is missing",
		addressed(`"type":"host-local","subnet":"10.0.0.0/24","routes":[null]`):                                              "ipam.routes[0].dst is missing",
		addressed(`"type":"static","addresses":[{"ip":"10.0.0.5/24"}]`):                                                      `ipam.addresses[0].address is missing: it is the address with the length of its prefix, such as "10.0.0.1/24"`,
		addressed(`"type":"static","routes":[{"gw":"10.0.0.1"}]`):                                                            "ipam.routes[0].dst is missing",
		`{"cniVersion":"1.0.0","type":"bridge","capabilities":{"ips":true},"ipam":{"type":"static","addresses":[{}]}}`:       "",
		addressed(`"type":"calico-ipam","routes":[{"gw":"10.0.0.1"}]`):                                                       "",
		addressed(`"type":"host-local","subnet":"10.0.0.0/24","routes":[]`):                                                  "",
	} {
		t.Run(config, func(t *testing.T) {
			_, problems := ParseConfig(config)
			if problem == "" {
				assert.Empty(t, problems)
				return
			}
			require.Len(t, problems, 1)
			assert.Contains(t, problems[0].Error(), problem)
		})
	}
}
