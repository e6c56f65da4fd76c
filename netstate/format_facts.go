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
func leaves(v reflect.Value, path []string) []string {
	var texts []string
	for _, f := range facts(v, path) {
		texts = append(texts, f.key+" "+f.value)
	}
	return texts
}

// facts returns every key that is set, at any depth, in the order of the fields. Keys that only hold
// others are left out of the name unless it needs them: stp, ipv6.
func facts(v reflect.Value, path []string) []fact {
	var found []fact
	for n := range v.NumField() {
		value := v.Field(n)
		if value.IsZero() || isSilent(jsonKey(v.Type().Field(n))) {
			continue
		}
		key := strings.TrimPrefix(jsonKey(v.Type().Field(n)), internalKey)
		here := append(slices.Clone(path), key)
		if features, is := value.Interface().(Features); is {
			for _, name := range slices.Sorted(maps.Keys(features)) {
				found = append(found, fact{key: name, value: valueText(reflect.ValueOf(features[name]))})
			}
			continue
		}
		if holdsKeys(value.Type()) {
			found = append(found, facts(value.Elem(), here)...)
			continue
		}
		found = append(found, fact{key: factName(here), value: valueText(value)})
	}
	return found
}

// isSilent reports whether a key is carried along and says nothing to a person.
func isSilent(key string) bool {
	return slices.Contains([]string{"kernel-details", "kernel-hop", "kernel-vlans", "kernel-static", "kernel-active"}, key)
}

func factName(path []string) string {
	holders := []string{"bridge", "options", "link-aggregation", "vlan", "vxlan", "vrf", "mac-vlan", "veth", "enabled",
		"ethernet", "ethtool"}
	words := slices.DeleteFunc(slices.Clone(path), func(word string) bool {
		return slices.Contains(holders, word)
	})
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
