// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"os"
	"strings"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// readResolver reads a resolv.conf(5). A file that cannot be read is one that says nothing: a node
// without a resolver is a node all the same.
func readResolver(file string) netstate.DNS {
	content, err := os.ReadFile(file)
	if err != nil {
		content = nil
	}
	c := netstate.DNSConfig{Search: []string{}, Server: []string{}, Options: []string{}}
	for line := range strings.Lines(string(content)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "nameserver":
			c.Server = append(c.Server, fields[1])
		case "search", "domain":
			c.Search = fields[1:]
		case "options":
			c.Options = append(c.Options, fields[1:]...)
		}
	}
	config := c
	return netstate.DNS{Running: &c, Config: &config}
}
