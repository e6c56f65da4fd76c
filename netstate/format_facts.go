// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// A fact is one key of a struct as text.
type fact struct{ key, value string }

// leaves returns the facts of a struct as "key value".
func leaves(of any) []string {
	var texts []string
	for _, f := range facts(of) {
		texts = append(texts, f.key+" "+f.value)
	}
	return texts
}

// facts returns every key of a struct that is set, at any depth, in the order of the fields. Keys that only hold
// others are left out of the name unless it needs them: stp, ipv6.
func facts(of any) []fact {
	var found []fact
	v := reflect.ValueOf(of)
	eachKey(reflect.Zero(v.Type()), v, func(path []keyStep, _, value reflect.Value) bool {
		if value.IsZero() || isSilent(path[len(path)-1].key()) {
			return false
		}
		if holdsKeys(value.Type()) {
			return true
		}
		if features, is := value.Interface().(Features); is {
			for _, name := range slices.Sorted(maps.Keys(features)) {
				found = append(found, fact{key: name, value: valueText(reflect.ValueOf(features[name]))})
			}
			return false
		}
		found = append(found, fact{key: factName(path), value: valueText(value)})
		return false
	})
	return found
}

// isSilent reports whether a key is carried along and says nothing to a person.
func isSilent(key string) bool {
	return slices.Contains([]string{"kernel-details", "kernel-hop", "kernel-vlans", "kernel-static", "kernel-active"}, key)
}

func factName(path []keyStep) string {
	holders := []string{"bridge", "options", "link-aggregation", "vlan", "vxlan", "vrf", "mac-vlan", "veth", "enabled",
		"ethernet", "ethtool"}
	var words []string
	for _, step := range path {
		if word := strings.TrimPrefix(step.key(), internalKey); !slices.Contains(holders, word) {
			words = append(words, word)
		}
	}
	return strings.Join(words, " ")
}

func valueText(v reflect.Value) string {
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if text, isText := v.Interface().(encoding.TextMarshaler); isText {
		if b, err := text.MarshalText(); err == nil {
			return string(b)
		}
	}
	switch v.Kind() {
	case reflect.Bool:
		if v.Bool() {
			return "on"
		}
		return "off"
	case reflect.String:
		if v.String() == "" {
			return "none"
		}
		return v.String()
	}
	return fmt.Sprint(v.Interface())
}
