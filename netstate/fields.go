// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"encoding"
	"reflect"
	"strings"
)

// This file looks at the structs of a State key by key. A key is a field with a json tag: a pointer to a
// struct holds more keys; everything else (pointers to values, strings, lists, addresses) is one value.

// overlay returns base with every key that over sets.
func overlay[T any](base, over T) T { return assign(base, over, over) }

// overlayPart is overlay for parts that may be missing.
func overlayPart[T any](base, over *T) *T {
	switch {
	case over == nil:
		return base
	case base == nil:
		return over
	}
	part := overlay(*base, *over)
	return &part
}

// holdsKeys reports whether t is a pointer to a struct that holds keys, unlike one to a MAC or an address.
func holdsKeys(t reflect.Type) bool {
	return t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct &&
		!t.Implements(reflect.TypeFor[encoding.TextMarshaler]())
}

// A delta is one key that differs: two structs in which nothing else is set.
type delta[T any] struct{ from, to T }

// deltas returns the keys that to sets and that are not the same in from, in the order of the fields.
func deltas[T any](from, to T) []delta[T] {
	pairs := structDeltas(reflect.ValueOf(from), reflect.ValueOf(to))
	if len(pairs) == 0 {
		return nil
	}
	found := make([]delta[T], len(pairs))
	for n, pair := range pairs {
		found[n] = delta[T]{from: pair[0].Interface().(T), to: pair[1].Interface().(T)}
	}
	return found
}

func structDeltas(from, to reflect.Value) [][2]reflect.Value {
	var found [][2]reflect.Value
	for n := range to.NumField() {
		was, is := from.Field(n), to.Field(n)
		switch {
		case is.IsZero():
		case holdsKeys(is.Type()):
			if is.Pointer() == was.Pointer() {
				continue
			}
			old := reflect.Zero(is.Type().Elem())
			if !was.IsNil() {
				old = was.Elem()
			}
			for _, pair := range structDeltas(old, is.Elem()) {
				found = append(found, [2]reflect.Value{holding(to.Type(), n, pair[0]), holding(to.Type(), n, pair[1])})
			}
		case is.Type() == reflect.TypeFor[Features]():
			if before, after := was.Interface().(Features).delta(is.Interface().(Features)); after != nil {
				found = append(found, [2]reflect.Value{
					with(to.Type(), n, reflect.ValueOf(before)), with(to.Type(), n, reflect.ValueOf(after)),
				})
			}
		case !sameValue(was, is):
			found = append(found, [2]reflect.Value{with(to.Type(), n, was), with(to.Type(), n, is)})
		}
	}
	return found
}

// sameValue compares two values of one key. An unset text is the empty text.
func sameValue(a, b reflect.Value) bool {
	if a.Kind() == reflect.Pointer && a.Type().Elem().Kind() == reflect.String {
		return text(a) == text(b)
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

func text(v reflect.Value) string {
	if v.IsNil() {
		return ""
	}
	return v.Elem().String()
}

// with returns a struct of type t with nothing but field n set.
func with(t reflect.Type, n int, value reflect.Value) reflect.Value {
	made := reflect.New(t).Elem()
	made.Field(n).Set(value)
	return made
}

// holding returns a struct of type t with nothing but field n set, to a pointer to part. A part in which
// nothing is set is left out.
func holding(t reflect.Type, n int, part reflect.Value) reflect.Value {
	if part.IsZero() {
		return reflect.Zero(t)
	}
	pointer := reflect.New(part.Type())
	pointer.Elem().Set(part)
	return with(t, n, pointer)
}

// assign returns base with the keys that from or to set as they are in to: also unset, if to does not
// set them.
func assign[T any](base, from, to T) T {
	assignStruct(reflect.ValueOf(&base).Elem(), reflect.ValueOf(from), reflect.ValueOf(to))
	return base
}

func assignStruct(base, from, to reflect.Value) {
	for n := range base.NumField() {
		was, is, into := from.Field(n), to.Field(n), base.Field(n)
		switch {
		case was.IsZero() && is.IsZero():
		case is.Type() == reflect.TypeFor[Features]():
			into.Set(reflect.ValueOf(into.Interface().(Features).overlay(is.Interface().(Features))))
		case holdsKeys(is.Type()):
			part := reflect.New(is.Type().Elem())
			if !into.IsNil() {
				part.Elem().Set(into.Elem())
			}
			assignStruct(part.Elem(), pointee(was), pointee(is))
			into.Set(part)
			if part.Elem().IsZero() && is.IsNil() {
				into.SetZero()
			}
		default:
			into.Set(is)
		}
	}
}

// pointee returns what a pointer points to, or the zero value.
func pointee(pointer reflect.Value) reflect.Value {
	if pointer.IsNil() {
		return reflect.Zero(pointer.Type().Elem())
	}
	return pointer.Elem()
}

// agrees reports whether every key that want sets has that value in have.
func agrees[T any](have, want T) bool {
	return len(structDeltas(reflect.ValueOf(have), reflect.ValueOf(want))) == 0
}

// jsonKey returns the key of a field in a document.
func jsonKey(f reflect.StructField) string {
	key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return key
}
