// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	v1 "github.com/bridgehead-dev/bridgehead/api/nmstate/v1"
	"github.com/bridgehead-dev/bridgehead/netstate"
)

// A conflict is a key that two wishes want to be different on one node.
type conflict struct {
	ours, theirs         *field.Path
	wantOurs, wantTheirs string
	removal              bool // one of the two wants the interface to be gone
}

// judgeConflicts refuses what contradicts another policy of the same nodes: the two would undo each other's work for
// ever. What the policy contradicted before is warned of only, and so is a wish to remove what another policy wants.
func judgeConflicts(
	verdict *Verdict, view PolicyView, p, old *v1.NodeNetworkConfigurationPolicy, desired netstate.State,
) {
	before, _ := netstate.ParseAt(desiredStatePath(), wishOf(old.Spec)) // what cannot be read contradicted nothing
	var denied field.ErrorList
	for _, other := range view.Policies {
		if other.Name == p.Name || other.DeletionTimestamp != nil {
			continue
		}
		nodes := view.shared(p, &other)
		if len(nodes) == 0 {
			continue
		}
		theirs, _ := netstate.ParseAt(desiredStatePath(), wishOf(other.Spec)) // of what cannot be read nothing is known
		known := map[string]bool{}
		for _, c := range conflicts(before, theirs) {
			known[c.String()] = true
		}
		for _, c := range conflicts(desired, theirs) {
			if c.removal || known[c.String()] {
				verdict.warn("%s: policy %s wants %s on %s",
					strings.TrimPrefix(c.ours.String(), "spec.desiredState."), other.Name, c.wantTheirs, someOf(nodes))
				continue
			}
			denied = append(denied, field.Forbidden(c.ours, fmt.Sprintf("policy %s wants %s at its %s on %s, and this one %s",
				other.Name, c.wantTheirs, c.theirs, someOf(nodes), c.wantOurs)))
		}
	}
	if len(denied) > 0 {
		verdict.Denied = brief(denied)
	}
}

// shared returns the nodes with an agent that both policies select, in order.
func (v PolicyView) shared(a, b *v1.NodeNetworkConfigurationPolicy) []string {
	return slices.DeleteFunc(
		v.selected(a.Spec.NodeSelector), func(node string) bool { return !v.selects(b.Spec.NodeSelector, node) },
	)
}

// String returns the same for the same conflict, wherever in the wish it is.
func (c conflict) String() string {
	return c.theirs.String() + " " + c.wantTheirs + " " + c.wantOurs
}

// conflicts returns the keys of which two wishes cannot both be fulfilled.
func conflicts(ours, theirs netstate.State) []conflict {
	var all []conflict
	index := map[string]int{}
	for n, i := range theirs.Interfaces {
		index[i.Name] = n
	}
	at := desiredStatePath()
	for n, our := range ours.Interfaces {
		m, both := index[our.Name]
		if !both || strings.Contains(our.Name, "{{") {
			continue
		}
		all = append(
			all,
			conflictsOfInterface(at.Child("interfaces").Index(n), at.Child("interfaces").Index(m), our, theirs.Interfaces[m])...)
	}
	return slices.Concat(all, conflictsOfPorts(ours, theirs), conflictsOfRoutes(ours, theirs),
		conflictsOfRules(ours, theirs), conflictsOfDNS(ours, theirs))
}

func conflictsOfInterface(at, theirAt *field.Path, ours, theirs netstate.Interface) []conflict {
	ignored := ours.State == netstate.StateIgnore || theirs.State == netstate.StateIgnore
	gone, theirsGone := ours.State == netstate.StateAbsent, theirs.State == netstate.StateAbsent
	switch {
	case ignored || gone && theirsGone:
		return nil
	case gone || theirsGone:
		word := map[bool]string{true: "it gone", false: "it there"}
		return []conflict{{
			ours: at.Child("state"), theirs: theirAt.Child("state"), wantOurs: word[gone], wantTheirs: word[theirsGone],
			removal: true,
		}}
	}
	return compare(at, theirAt, keysOf(ours), keysOf(theirs))
}

// keysOf returns the keys that a wish for an interface says something about.
func keysOf(i netstate.Interface) map[string]any {
	keys := map[string]any{}
	text, err := json.Marshal(i)
	if err != nil || json.Unmarshal(text, &keys) != nil {
		return nil // what cannot be written was refused before
	}
	// No two policies quarrel about these.
	for _, key := range []string{
		"name", "description", "identifier", "profile-name", "managed-by", "wait-ip", "controller",
	} {
		delete(keys, key)
	}
	return keys
}

// compare lists the keys that both have, with different values. A list that both give is to be the same, in whatever
// order: each replaces what there is.
func compare(at, theirAt *field.Path, ours, theirs map[string]any) []conflict {
	var all []conflict
	for _, key := range slices.Sorted(maps.Keys(ours)) {
		value, both := theirs[key]
		if !both {
			continue
		}
		a, isMap := ours[key].(map[string]any)
		b, areMaps := value.(map[string]any)
		switch {
		case isMap && areMaps:
			all = append(all, compare(at.Child(key), theirAt.Child(key), a, b)...)
		case !reflect.DeepEqual(unordered(ours[key]), unordered(value)):
			all = append(all, conflict{
				ours: at.Child(key), theirs: theirAt.Child(key), wantOurs: shown(ours[key]), wantTheirs: shown(value),
			})
		}
	}
	return all
}

// unordered returns a value without the order of a list. Of an entry with a name, only the name counts.
func unordered(v any) any {
	list, ok := v.([]any)
	if !ok {
		return v
	}
	var entries []string
	for _, entry := range list {
		entries = append(entries, shown(entry))
	}
	slices.Sort(entries)
	return strings.Join(entries, ", ")
}

// shown returns a value as a person reads it.
func shown(v any) string {
	switch value := v.(type) {
	case string:
		return value
	case map[string]any:
		if name, ok := value["name"].(string); ok {
			return name
		}
	case []any:
		var entries []string
		for _, entry := range value {
			entries = append(entries, shown(entry))
		}
		return "[" + strings.Join(entries, ", ") + "]"
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}

// conflictsOfPorts returns links that the two wishes want to be ports of different controllers.
func conflictsOfPorts(ours, theirs netstate.State) []conflict {
	var all []conflict
	at := desiredStatePath()
	a, b := controllers(ours), controllers(theirs)
	for _, port := range slices.Sorted(maps.Keys(a)) {
		their, both := b[port]
		our := a[port]
		if !both || our.name == their.name || strings.Contains(port+our.name+their.name, "{{") {
			continue
		}
		all = append(all, conflict{
			ours: at.Child("interfaces").Index(our.index), theirs: at.Child("interfaces").Index(their.index),
			wantOurs: port + " in " + our.name, wantTheirs: port + " in " + their.name,
		})
	}
	return all
}

// A controller is that of a port, with the interface that says so.
type controller struct {
	name  string
	index int
}

func controllers(s netstate.State) map[string]controller {
	all := map[string]controller{}
	for n, i := range s.Interfaces {
		if i.State == netstate.StateAbsent || i.State == netstate.StateIgnore {
			continue
		}
		for _, port := range i.Ports() {
			all[port] = controller{i.Name, n}
		}
		if i.Controller != nil && *i.Controller != "" {
			all[i.Name] = controller{*i.Controller, n}
		}
	}
	return all
}

// conflictsOfRoutes returns the routes that one wants gone and the other wants, or for which they want gateways of
// their own: an agent would put one in the place of the other for ever.
func conflictsOfRoutes(ours, theirs netstate.State) []conflict {
	var all []conflict
	at := desiredStatePath().Child("routes", "config")
	for n, our := range ours.Routes.Config {
		for m, their := range theirs.Routes.Config {
			if !our.Contradicts(their) || strings.Contains(our.NextHopInterface+their.NextHopInterface, "{{") {
				continue
			}
			all = append(all, conflict{
				ours: at.Index(n), theirs: at.Index(m), wantOurs: wanted(our.State, our), wantTheirs: wanted(their.State, their),
				removal: our.State == netstate.StateAbsent || their.State == netstate.StateAbsent,
			})
		}
	}
	return all
}

// conflictsOfRules is the same of routing rules.
func conflictsOfRules(ours, theirs netstate.State) []conflict {
	var all []conflict
	at := desiredStatePath().Child("route-rules", "config")
	for n, our := range ours.RouteRules.Config {
		for m, their := range theirs.RouteRules.Config {
			if our.Contradicts(their) {
				all = append(all, conflict{
					ours: at.Index(n), theirs: at.Index(m), wantOurs: wanted(our.State, our), wantTheirs: wanted(their.State, their),
					removal: our.State == netstate.StateAbsent || their.State == netstate.StateAbsent,
				})
			}
		}
	}
	return all
}

// wanted returns what is wanted where a route or a rule is in a state.
func wanted(state netstate.LinkState, r fmt.Stringer) string {
	if state == netstate.StateAbsent {
		return "it gone"
	}
	return r.String()
}

func conflictsOfDNS(ours, theirs netstate.State) []conflict {
	a, b := ours.DNS.Config, theirs.DNS.Config
	if a == nil || b == nil || a.Server == nil || b.Server == nil || slices.Equal(a.Server, b.Server) {
		return nil
	}
	at := desiredStatePath().Child("dns-resolver", "config", "server")
	return []conflict{{ours: at, theirs: at, wantOurs: fmt.Sprint(a.Server), wantTheirs: fmt.Sprint(b.Server)}}
}
