// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"encoding"
	"reflect"
	"slices"
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
	return t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct && !isText(t)
}

// isText reports whether a type is one value, written as text in a document.
func isText(t reflect.Type) bool { return t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) }

// A keyStep of a path leads to a field of a struct, and through it if it is a pointer to a struct that holds keys.
type keyStep struct {
	in reflect.Type
	n  int
}

func (s keyStep) field() reflect.StructField { return s.in.Field(s.n) }

// key returns the key of the field that a step leads to, as documents have it.
func (s keyStep) key() string { return jsonKey(s.field()) }

// A keyVisitor is given a key of two structs of one type: the path to it, good until the visitor returns, and both
// values. For a pointer to a struct that holds keys it returns whether to look at those; for all else false.
type keyVisitor func(path []keyStep, was, is reflect.Value) bool

// eachKey calls visit for every key of two structs of one type, set or not, in the order of the fields. Every other
// function that looks into the structs of a State goes through it. A visitor may set is, if to can be set: the keys
// that are looked at then are those of the new value.
func eachKey(from, to reflect.Value, visit keyVisitor) {
	eachKeyBelow(make([]keyStep, 0, 4), from, to, visit)
}

func eachKeyBelow(path []keyStep, from, to reflect.Value, visit keyVisitor) {
	for n := range to.NumField() {
		was, is := from.Field(n), to.Field(n)
		here := append(path, keyStep{to.Type(), n})
		if visit(here, was, is) {
			eachKeyBelow(here, pointee(was), pointee(is), visit)
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

// place returns the field of a struct that a path leads to. What is missing on the way is made.
func place(in reflect.Value, path []keyStep) reflect.Value {
	for _, step := range path[:len(path)-1] {
		in = in.Field(step.n)
		if in.IsNil() {
			in.Set(reflect.New(in.Type().Elem()))
		}
		in = in.Elem()
	}
	return in.Field(path[len(path)-1].n)
}

// own gives a pointer a copy of what it points to, which can be changed without others seeing it.
func own(pointer reflect.Value) {
	part := reflect.New(pointer.Type().Elem())
	part.Elem().Set(pointee(pointer))
	pointer.Set(part)
}

// A delta is one key that differs: two structs in which nothing else is set.
type delta[T any] struct{ from, to T }

// deltas returns the keys that to sets and that are not the same in from, in the order of the fields.
func deltas[T any](from, to T) []delta[T] {
	var found []delta[T]
	eachDelta(reflect.ValueOf(from), reflect.ValueOf(to), func(path []keyStep, was, is reflect.Value) {
		var d delta[T]
		setKey(reflect.ValueOf(&d.from).Elem(), path, was)
		setKey(reflect.ValueOf(&d.to).Elem(), path, is)
		found = append(found, d)
	})
	return found
}

// setKey sets a key of a struct. To set it to zero is to leave it out, and what would hold it.
func setKey(in reflect.Value, path []keyStep, value reflect.Value) {
	if !value.IsZero() {
		place(in, path).Set(value)
	}
}

func eachDelta(from, to reflect.Value, found func(path []keyStep, was, is reflect.Value)) {
	eachKey(from, to, func(path []keyStep, was, is reflect.Value) bool {
		switch {
		case is.IsZero():
		case holdsKeys(is.Type()):
			return is.Pointer() != was.Pointer()
		case is.Type() == reflect.TypeFor[Features]():
			if before, after := was.Interface().(Features).delta(is.Interface().(Features)); after != nil {
				found(path, reflect.ValueOf(before), reflect.ValueOf(after))
			}
		case !sameValue(was, is):
			found(path, was, is)
		}
		return false
	})
}

// agrees reports whether every key that want sets has that value in have.
func agrees[T any](have, want T) bool {
	same := true
	eachDelta(reflect.ValueOf(have), reflect.ValueOf(want), func([]keyStep, reflect.Value, reflect.Value) { same = false })
	return same
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

// assign returns base with the keys that from or to set as they are in to: also unset, if to does not
// set them.
func assign[T any](base, from, to T) T {
	into := reflect.ValueOf(&base).Elem()
	var unset []reflect.Value
	eachKey(reflect.ValueOf(from), reflect.ValueOf(to), func(path []keyStep, was, is reflect.Value) bool {
		if was.IsZero() && is.IsZero() {
			return false
		}
		here := place(into, path)
		switch {
		case is.Type() == reflect.TypeFor[Features]():
			here.Set(reflect.ValueOf(here.Interface().(Features).overlay(is.Interface().(Features))))
		case holdsKeys(is.Type()):
			own(here)
			if is.IsNil() {
				unset = append(unset, here)
			}
			return true
		default:
			here.Set(is)
		}
		return false
	})
	for _, part := range slices.Backward(unset) {
		if part.Elem().IsZero() {
			part.SetZero()
		}
	}
	return base
}

// jsonKey returns the key of a field in a document.
func jsonKey(f reflect.StructField) string {
	key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return key
}
