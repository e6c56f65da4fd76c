// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"fmt"
	"reflect"
	"strings"
)

// Difference returns in words how a node differs from what a step expects, "" when it does not. Keys the
// step does not mention (zero ones) are not compared. Lists are not compared either: a step that depends
// on one carries it in a value of its own.
func Difference[T any](expected, found T) string {
	difference := ""
	eachKey(reflect.ValueOf(found), reflect.ValueOf(expected), func(path []keyStep, have, want reflect.Value) bool {
		if difference != "" || path[len(path)-1].key() == "-" || want.IsZero() || want.Kind() == reflect.Slice {
			return false
		}
		if holdsKeys(want.Type()) {
			return true
		}
		difference = keyDifference(path, want, have)
		return false
	})
	return difference
}

// keyDifference compares one key. A key the node does not have counts as its zero value: a bond outside
// mode 802.3ad has no ad_select, and a link without a description an empty one.
func keyDifference(path []keyStep, want, have reflect.Value) string {
	if want.Kind() == reflect.Pointer && !isText(want.Type()) {
		want, have = want.Elem(), pointee(have)
	}
	if reflect.DeepEqual(want.Interface(), have.Interface()) {
		return ""
	}
	keys := make([]string, len(path))
	for n, step := range path {
		keys[n] = step.key()
	}
	return fmt.Sprintf("%s is %v, the plan expects %v", strings.Join(keys, "."), have.Interface(), want.Interface())
}
