// SPDX-License-Identifier: Apache-2.0

package netstate

import "k8s.io/apimachinery/pkg/util/validation/field"

type checker struct {
	now, wish, target map[string]*Interface
}

func missing(at *field.Path, name string) field.ErrorList {
	return field.ErrorList{field.NotFound(at, name)}
}

// firstOther is the first link by name, other than one, that is so; "" if there is none. It is asked for every link, so
// that it does not sort them.
func (c checker) firstOther(but string, is func(*Interface) bool) string {
	first := ""
	for name, other := range c.target {
		if (first == "" || name < first) && name != but && is(other) {
			first = name
		}
	}
	return first
}
