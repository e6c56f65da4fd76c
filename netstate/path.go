// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"strconv"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// child and element extend a path that may be nil, which field.Path itself does not allow for an index.
func child(at *field.Path, key string) *field.Path {
	if at == nil {
		return field.NewPath(key)
	}
	return at.Child(key)
}

func element(at *field.Path, index int) *field.Path {
	if at == nil {
		return field.NewPath("[" + strconv.Itoa(index) + "]")
	}
	return at.Index(index)
}
