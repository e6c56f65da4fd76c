// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// maxStateSize is how long the text of a NodeNetworkState may be, in bytes. etcd takes objects of 1.5 MiB, with their
// metadata (--max-request-bytes).
const maxStateSize = 1 << 20

// bounded returns the text of a state that is at most limit bytes long, and what was left out of it for that; "" for
// nothing. What neighbours say goes first, then links of pods and VMs, then those that stand on others; hardware,
// bridges and bonds go last. Routes have half of the room.
func bounded(s netstate.State, limit int) (text []byte, leftOut string, err error) {
	text, err = json.Marshal(s)
	if err != nil || len(text) <= limit {
		return text, "", err
	}
	s, neighbors := withoutNeighbors(s)
	if text, err = json.Marshal(s); err != nil || len(text) <= limit {
		return text, tooLong + neighbors, err
	}
	interfaces, routes, config := len(s.Interfaces), len(s.Routes.Running), len(s.Routes.Config)
	if s.Routes.Running, err = fitting(s.Routes.Running, limit/4); err != nil {
		return nil, "", err
	}
	if s.Routes.Config, err = fitting(s.Routes.Config, limit/4); err != nil {
		return nil, "", err
	}
	ranked := slices.SortedStableFunc(slices.Values(s.Interfaces), func(a, b netstate.Interface) int {
		return cmp.Compare(rank(a), rank(b))
	})
	s.Interfaces = nil
	if text, err = json.Marshal(s); err != nil {
		return nil, "", err
	}
	const key = len(`"interfaces":[],`)
	if ranked, err = fitting(ranked, limit-len(text)-key); err != nil {
		return nil, "", err
	}
	slices.SortFunc(ranked, func(a, b netstate.Interface) int { return strings.Compare(a.Name, b.Name) })
	s.Interfaces = ranked
	parts := strings.Fields(neighbors)
	for _, part := range []struct {
		what      string
		kept, all int
	}{
		{"interfaces", len(s.Interfaces), interfaces},
		{"running routes", len(s.Routes.Running), routes},
		{"configured routes", len(s.Routes.Config), config},
	} {
		if part.kept < part.all {
			parts = append(parts, fmt.Sprintf("%d of %d %s", part.all-part.kept, part.all, part.what))
		}
	}
	text, err = json.Marshal(s)
	return text, tooLong + strings.Join(parts, ", "), err
}

const tooLong = "too long to be stored completely; left out: "

// withoutNeighbors returns a state without what neighbours say, and its name if there was any.
func withoutNeighbors(s netstate.State) (bare netstate.State, leftOut string) {
	s.Interfaces = slices.Clone(s.Interfaces)
	for n, i := range s.Interfaces {
		if i.LLDP != nil && i.LLDP.Neighbors != nil {
			s.Interfaces[n].LLDP = &netstate.LLDP{Enabled: i.LLDP.Enabled}
			leftOut = "neighbors"
		}
	}
	return s, leftOut
}

// rank returns how early a link is shown.
func rank(i netstate.Interface) int {
	switch {
	case i.State == netstate.StateIgnore:
		return 2
	case i.Type == netstate.TypeEthernet, i.Type == netstate.TypeBridge, i.Type == netstate.TypeBond:
		return 0
	}
	return 1
}

// fitting returns the first values of a list whose texts are not longer than room, with a comma each. It is never nil.
func fitting[T any](list []T, room int) ([]T, error) {
	kept := []T{}
	for _, value := range list {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		if room -= len(text) + 1; room < 0 {
			break
		}
		kept = append(kept, value)
	}
	return kept, nil
}
