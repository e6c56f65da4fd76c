// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"encoding"
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
		// Paths cost more than the checks: they are made for the few interfaces with errors only.
		if i.wanted() && len(checkTags(nil, reflect.ValueOf(i), "", nil)) > 0 {
			errs = checkTags(errs, reflect.ValueOf(i), "", desired.pathOf(at, n))
		}
	}
	errs = checkTags(errs, reflect.ValueOf(desired.Routes.Config), "", child(at, "routes").Child("config"))
	return checkTags(errs, reflect.ValueOf(desired.RouteRules.Config), "", child(at, "route-rules").Child("config"))
}

// checkTags appends what is wrong with v and what it holds. Without a path the errors have none: then it
// only matters whether there are any.
func checkTags(errs field.ErrorList, v reflect.Value, tag reflect.StructTag, at *field.Path) field.ErrorList {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return errs
		}
		return checkTags(errs, v.Elem(), tag, at)
	case reflect.Slice:
		for n := range v.Len() {
			here := at
			if at != nil {
				here = at.Index(n)
			}
			errs = checkTags(errs, v.Index(n), "", here)
		}
		return errs
	case reflect.Struct:
		if _, isText := v.Interface().(encoding.TextMarshaler); isText {
			return errs
		}
		for n := range v.NumField() {
			if v.Field(n).IsZero() && v.Field(n).Kind() != reflect.Int {
				continue
			}
			f, here := v.Type().Field(n), at
			if at != nil {
				here = at.Child(jsonKey(f))
			}
			errs = checkTags(errs, v.Field(n), f.Tag, here)
		}
		return errs
	case reflect.Int:
		return append(errs, checkRange(v.Int(), tag.Get("range"), at)...)
	case reflect.String:
		return append(errs, checkWord(v.String(), tag.Get("words")+tag.Get("numbers"), at)...)
	}
	return errs
}

func checkRange(value int64, limits string, at *field.Path) field.ErrorList {
	low, high, found := strings.Cut(limits, " ")
	if !found {
		return nil
	}
	least, lowErr := strconv.ParseInt(low, 10, 64)
	most, highErr := strconv.ParseInt(high, 10, 64)
	if lowErr == nil && highErr == nil && least <= value && value <= most {
		return nil
	}
	return field.ErrorList{field.Invalid(at, value, fmt.Sprintf("is not in the range of %s to %s", low, high))}
}

func checkWord(value, words string, at *field.Path) field.ErrorList {
	if words == "" || value == "" || slices.Contains(strings.Fields(words), value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(at, value, strings.Fields(words))}
}
