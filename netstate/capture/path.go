// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A path leads into a state: names of keys, and numbers of list entries.
type path []string

// String returns the path as it is written.
func (p path) String() string { return strings.Join(p, ".") }

var errNothing = errors.New("nothing in the state matches")

// get returns what is at a path; every list on it needs a number.
func (p path) get(from any) (any, error) {
	for i, step := range p {
		switch node := from.(type) {
		case map[string]any:
			next, ok := node[step]
			if !ok {
				return nil, fmt.Errorf("%s is not there; there are %s", p[:i+1], strings.Join(slices.Sorted(maps.Keys(node)), ", "))
			}
			from = next
		case []any:
			n, err := strconv.Atoi(step)
			if err != nil || n < 0 || n >= len(node) {
				return nil, fmt.Errorf("%s: write the number of one of %d entries, from 0 on", p[:i+1], len(node))
			}
			from = node[n]
		default:
			return nil, fmt.Errorf("%s is a value and has no parts", p[:i])
		}
	}
	return from, nil
}

// take returns the state with nothing but what is at the path.
func (p path) take(from any) (any, error) {
	found, err := p.get(from)
	if err != nil {
		return nil, err
	}
	for _, step := range slices.Backward(p) {
		found = map[string]any{step: found}
	}
	return found, nil
}

// filter returns the state with nothing but those entries of the first list on the path in which what is at the rest of
// the path equals a value.
func (p path) filter(from, value any) (any, error) {
	if list, ok := from.([]any); ok {
		kept := slices.DeleteFunc(slices.Clone(list), func(entry any) bool { return !p.matches(entry, value) })
		if len(kept) == 0 {
			return nil, errNothing
		}
		return kept, nil
	}
	if len(p) == 0 {
		if !equal("", from, value) {
			return nil, errNothing
		}
		return from, nil
	}
	node, ok := from.(map[string]any)
	if !ok || node[p[0]] == nil {
		return nil, errNothing
	}
	found, err := p[1:].filter(node[p[0]], value)
	if err != nil {
		return nil, err
	}
	return map[string]any{p[0]: found}, nil
}

// matches reports whether what is at a path of an entry equals a value; in a list on the way, one match is enough.
func (p path) matches(entry, value any) bool {
	for i, step := range p {
		if list, ok := entry.([]any); ok {
			return slices.ContainsFunc(list, func(e any) bool { return p[i:].matches(e, value) })
		}
		node, ok := entry.(map[string]any)
		if !ok {
			return false
		}
		entry = node[step]
	}
	last := ""
	if len(p) > 0 {
		last = p[len(p)-1]
	}
	return entry != nil && equal(last, entry, value)
}

// equal compares two values as they are written. MACs may be written in either case.
func equal(key string, a, b any) bool {
	x, y := text(a), text(b)
	if strings.HasSuffix(key, "mac-address") {
		return strings.EqualFold(x, y)
	}
	return x == y
}

// text returns a value as it is written.
func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	written, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(written)
}

// set returns a state in which what is at the path, in every entry of the lists on it, is a value; nil removes it.
func (p path) set(in, value any) (any, error) {
	if len(p) == 0 {
		return value, nil
	}
	if list, ok := in.([]any); ok {
		changed := make([]any, len(list))
		for i, entry := range list {
			var err error
			if changed[i], err = p.set(entry, value); err != nil {
				return nil, err
			}
		}
		return changed, nil
	}
	node, ok := in.(map[string]any)
	if !ok && in != nil {
		return nil, fmt.Errorf("%s is below a value, which has no parts", p)
	}
	changed := maps.Clone(node)
	if changed == nil {
		changed = map[string]any{}
	}
	if len(p) == 1 && value == nil {
		delete(changed, p[0])
		return changed, nil
	}
	next, err := p[1:].set(changed[p[0]], value)
	if err != nil {
		return nil, err
	}
	changed[p[0]] = next
	return changed, nil
}
