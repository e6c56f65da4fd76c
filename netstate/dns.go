// SPDX-License-Identifier: Apache-2.0

package netstate

// DNS is the resolver configuration of a node.
type DNS struct {
	Running *DNSConfig `json:"running,omitzero"` // ignored in a desired state
	Config  *DNSConfig `json:"config,omitzero"`
	// Foreign, in a current state, says that Config is what people wrote into the file before us.
	Foreign bool `json:"kernel-foreign,omitzero"`
}

// A DNSConfig is what a resolv.conf says. In a desired state a nil list keeps and an empty one clears.
type DNSConfig struct {
	Search  []string `json:"search,omitzero"`
	Server  []string `json:"server,omitzero"` // addresses, link-local ones with their zone
	Options []string `json:"options,omitzero"`
}
