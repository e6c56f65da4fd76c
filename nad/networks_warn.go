// SPDX-License-Identifier: Apache-2.0

package nad

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// selectionKeys returns what Multus reads of an attachment in JSON, in whatever case.
func selectionKeys() []string {
	return []string{
		"name", "namespace", "ips", "mac", "infiniband-guid", "interface", "portMappings", "bandwidth", "cni-args",
		"default-route", "ipam-claim-reference", "interfaceRequest", "deviceID",
	}
}

// selectionWords returns words that people write, in small letters, for keys that Multus calls otherwise.
func selectionWords() map[string]string {
	return map[string]string{
		"macaddress": "mac", "macaddr": "mac", "hwaddr": "mac", "macrequest": "mac",
		"ip": "ips", "iprequest": "ips", "ipaddress": "ips", "ipaddresses": "ips", "addresses": "ips",
		"interfacename": "interface", "ifname": "interface",
		"iface": "interface", "ns": "namespace",
		"gateway": "default-route", "guid": "infiniband-guid",
		"networkname": "name", "network": "name", "nad": "name", "nadname": "name",
	}
}

// meantBy returns the key that is likely meant by another; empty if there is none.
func meantBy(key string) string {
	return cmp.Or(selectionWords()[plain(key)], closest(plain(key), selectionKeys()))
}

// warnKeys warns of keys of an element that Multus passes over, where it is likely what is meant by them. Others may be
// newer than we. It warns of keys that are there twice, too.
func (n *Networks) warnKeys(e value) {
	for _, twice := range e.replaced(strings.ToLower) {
		n.warn(twice.own.value, "%s is written %s, which is what counts: remove one", twice.by.key, twice.where())
	}
	for _, m := range e.members {
		known := selectionKeys()
		if slices.ContainsFunc(known, func(key string) bool { return strings.EqualFold(key, m.key) }) {
			continue
		}
		meant := meantBy(m.key)
		switch wrong := strange(m.key); {
		case wrong != "":
			n.warn(m.value, "the name %q %s", m.key, wrong)
		case meant != "":
			n.warn(m.value, "%s means nothing to Multus: did you mean %s?", m.key, meant)
		}
	}
}

// warn notes what means nothing at a value.
func (n *Networks) warn(v value, format string, args ...any) {
	if len(n.Warnings) < maxTold {
		n.Warnings = append(n.Warnings, placeOf(n.source, v.start).String()+": "+fmt.Sprintf(format, args...))
	}
}
