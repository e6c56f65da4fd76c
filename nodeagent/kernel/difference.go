// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
)

// difference says in words how a node differs from what a step expects, "" when it does not. Keys the
// step does not mention (zero ones) are not compared. Lists are not compared either: a step that depends
// on one carries it in a value of its own.
func difference(expected, found any) string {
	return structDifference("", reflect.ValueOf(expected), reflect.ValueOf(found))
}

func structDifference(path string, expected, found reflect.Value) string {
	for n := range expected.NumField() {
		name, _, _ := strings.Cut(expected.Type().Field(n).Tag.Get("json"), ",")
		want := expected.Field(n)
		if name == "-" || want.IsZero() || want.Kind() == reflect.Slice {
			continue
		}
		if d := keyDifference(strings.TrimPrefix(path+"."+name, "."), want, found.Field(n)); d != "" {
			return d
		}
	}
	return ""
}

// keyDifference compares one key. A key the node does not have counts as its zero value: a bond outside
// mode 802.3ad has no ad_select, and a link without a description an empty one.
func keyDifference(path string, want, have reflect.Value) string {
	if want.Kind() == reflect.Pointer && !want.Type().Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		if have.IsNil() {
			have = reflect.New(want.Type().Elem())
		}
		if want.Type().Elem().Kind() == reflect.Struct {
			return structDifference(path, want.Elem(), have.Elem())
		}
		want, have = want.Elem(), have.Elem()
	}
	if reflect.DeepEqual(want.Interface(), have.Interface()) {
		return ""
	}
	return fmt.Sprintf("%s is %v, the plan expects %v", path, have.Interface(), want.Interface())
}
