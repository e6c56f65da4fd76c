// SPDX-License-Identifier: Apache-2.0

package nad

import (
	"encoding/json"
	"fmt"
)

// WithMACs returns the annotation with the address of some selections set, by their index. In JSON everything else
// stays as it was written, to the byte; the other form has no room for addresses and is turned into JSON.
func (n Networks) WithMACs(macs map[int]string) (string, error) {
	if len(macs) == 0 {
		return n.source, nil
	}
	if !n.json {
		return n.asJSON(macs)
	}
	changed := n.source
	for i := len(n.Selections) - 1; i >= 0; i-- {
		mac, ok := macs[i]
		if !ok {
			continue
		}
		quoted, err := json.Marshal(mac)
		if err != nil {
			return "", fmt.Errorf("write %q as JSON: %w", mac, err)
		}
		changed = splice(changed, *n.Selections[i].element, string(quoted))
	}
	return changed, nil
}

// splice puts an address, in quotes, into an element, in place of the one it has.
func splice(source string, e value, quoted string) string {
	if v := e.folded("mac"); v != nil {
		return source[:v.start] + quoted + source[v.end:]
	}
	end := e.members[len(e.members)-1].value.end // an element has a name at least
	return source[:end] + `,"mac":` + quoted + source[end:]
}

func (n Networks) asJSON(macs map[int]string) (string, error) {
	type element struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace,omitempty"`
		Interface string `json:"interface,omitempty"`
		MAC       string `json:"mac,omitempty"`
	}
	elements := make([]element, len(n.Selections))
	for i, s := range n.Selections {
		elements[i] = element{Name: s.Name, Interface: s.Interface, MAC: macs[i]}
		if s.explicit {
			elements[i].Namespace = s.Namespace
		}
	}
	written, err := json.Marshal(elements)
	if err != nil {
		return "", fmt.Errorf("write networks as JSON: %w", err)
	}
	return string(written), nil
}
