// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validateRangesAndWords checks every number against the range tag of its field, and every word against
// the words or numbers tag.
func validateRangesAndWords(desired State, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for n, i := range desired.Interfaces {
		if i.wanted() {
			errs = append(errs, checkTags(reflect.ValueOf(i), func() *field.Path { return desired.pathOf(at, n) })...)
		}
	}
	config := func(part string) func() *field.Path {
		return func() *field.Path { return child(at, part).Child("config") }
	}
	errs = append(errs, checkTagsOfEach(reflect.ValueOf(desired.Routes.Config), config("routes"))...)
	return append(errs, checkTagsOfEach(reflect.ValueOf(desired.RouteRules.Config), config("route-rules"))...)
}

// checkTags returns what is wrong with the keys of a struct and with those of the structs in its lists. Paths cost more
// than the checks: they are made for what is wrong only.
func checkTags(v reflect.Value, at func() *field.Path) field.ErrorList {
	var errs field.ErrorList
	eachKey(reflect.Zero(v.Type()), v, func(path []keyStep, _, value reflect.Value) bool {
		if value.Kind() == reflect.Pointer && value.IsNil() {
			return false
		}
		if holdsKeys(value.Type()) {
			return true
		}
		last := path[len(path)-1]
		switch value = reflect.Indirect(value); {
		case value.Kind() == reflect.Slice && !value.IsZero():
			errs = append(errs, checkTagsOfEach(value, below(at, path))...)
		case value.Kind() == reflect.Int:
			errs = append(errs, checkRange(value.Int(), last.field().Tag.Get("range"), below(at, path))...)
		case value.Kind() == reflect.String && !value.IsZero():
			tag := last.field().Tag
			errs = append(errs, checkWord(value.String(), tag.Get("words")+tag.Get("numbers"), below(at, path))...)
		}
		return false
	})
	return errs
}

// checkTagsOfEach is checkTags for every item of a list. Items that are no structs of keys have no tags.
func checkTagsOfEach(list reflect.Value, at func() *field.Path) field.ErrorList {
	if !holdsKeys(reflect.PointerTo(list.Type().Elem())) {
		return nil
	}
	var errs field.ErrorList
	for n := range list.Len() {
		errs = append(errs, checkTags(list.Index(n), func() *field.Path { return at().Index(n) })...)
	}
	return errs
}

// below makes the path of a key of the struct that is at a path, if it is asked for.
func below(at func() *field.Path, path []keyStep) func() *field.Path {
	return func() *field.Path {
		here := at()
		for _, step := range path {
			here = here.Child(step.key())
		}
		return here
	}
}

func checkRange(value int64, limits string, at func() *field.Path) field.ErrorList {
	low, high, found := strings.Cut(limits, " ")
	if !found {
		return nil
	}
	least, lowErr := strconv.ParseInt(low, 10, 64)
	most, highErr := strconv.ParseInt(high, 10, 64)
	if lowErr == nil && highErr == nil && least <= value && value <= most {
		return nil
	}
	return field.ErrorList{field.Invalid(at(), value, fmt.Sprintf("is not in the range of %s to %s", low, high))}
}

func checkWord(value, words string, at func() *field.Path) field.ErrorList {
	if words == "" || value == "" || slices.Contains(strings.Fields(words), value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(at(), value, strings.Fields(words))}
}
