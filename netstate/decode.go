// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"encoding"
	"reflect"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// A decoder fills Go values from a document by their json tags. It goes on after an error and collects
// them all.
type decoder struct {
	schemas map[reflect.Type]schema
	errs    field.ErrorList
}

// A schema says what each key of a struct in a document is.
type schema struct {
	fields map[string]int    // key or alias → index of the field
	others map[string]string // see otherKeys
	known  []string          // the keys to propose
}

// decode sets into, which must be settable, from n. A null leaves it as it is.
func (d *decoder) decode(n node, into reflect.Value, tag reflect.StructTag, at *field.Path) {
	if n.kind == nullNode {
		return
	}
	if into.Type() == reflect.TypeFor[LLDPNeighbors]() {
		return // they are whoever is there
	}
	if into.Kind() == reflect.Pointer {
		into.Set(reflect.New(into.Type().Elem()))
		d.decode(n, into.Elem(), tag, at)
		return
	}
	if _, isText := into.Addr().Interface().(encoding.TextUnmarshaler); isText {
		d.decodeText(n, into, at)
		return
	}
	switch into.Kind() {
	case reflect.Struct:
		d.decodeStruct(n, into, at)
	case reflect.Slice:
		d.decodeList(n, into, tag, at)
	case reflect.Map:
		d.decodeFeatures(n, into.Addr().Interface().(*Features), at)
	default:
		d.decodeScalar(n, into, tag, at)
	}
}

func (d *decoder) decodeStruct(n node, into reflect.Value, at *field.Path) {
	schema := d.schema(into.Type())
	if n.kind == scalarNode {
		d.errs = append(d.errs, field.TypeInvalid(at, field.OmitValueType{}, "must be a map"+schema.instead(n.text)))
		return
	}
	if !d.expect(n, mapNode, at) {
		return
	}
	seen := map[int]string{}
	for position, key := range n.keys {
		index, isField := schema.fields[key]
		if !isField {
			d.unknownKey(schema, key, at)
			continue
		}
		here := child(at, key)
		if first, again := seen[index]; again {
			d.errs = append(d.errs, field.Duplicate(here, key+" (after "+first+")"))
			continue
		}
		seen[index] = key
		d.decode(n.items[position], into.Field(index), into.Type().Field(index).Tag, here)
	}
}

// instead says how to write what somebody wrote as one value: what it is called, which number it has, or whether it is
// on.
func (s schema) instead(text string) string {
	has := func(key string) bool { _, found := s.fields[key]; return found }
	_, notNumber := parseInt(text)
	on, isBool := parseBool(text)
	switch {
	case has("name") && text != "":
		return ": write {name: " + text + "}"
	case has("tag") && notNumber == nil:
		return ": write {mode: access, tag: " + text + "}"
	case has("id") && notNumber == nil:
		return ": write {id: " + text + "}"
	case has("enabled") && isBool:
		return ": write {enabled: " + strconv.FormatBool(on) + "}"
	}
	return ", not " + scalarNode.String()
}

func (d *decoder) unknownKey(schema schema, key string, at *field.Path) {
	reason, isKnown := schema.others[key]
	switch {
	case !isKnown:
		d.errs = append(d.errs, field.Invalid(child(at, key), field.OmitValueType{},
			"unknown key: "+didYouMean(key, schema.known)))
	case reason != "":
		d.errs = append(d.errs, field.Forbidden(child(at, key), reason))
	}
}

func (d *decoder) decodeList(n node, into reflect.Value, tag reflect.StructTag, at *field.Path) {
	if !d.expect(n, listNode, at) {
		return
	}
	list := reflect.MakeSlice(into.Type(), 0, len(n.items))
	for index, item := range n.items {
		value := reflect.New(into.Type().Elem()).Elem()
		here := element(at, index)
		switch {
		case item.kind == nullNode:
			d.errs = append(d.errs, field.Required(here, "an empty list entry"))
		case value.Type() == reflect.TypeFor[Interface]():
			d.decodeInterface(item, value, here)
		default:
			d.decode(item, value, tag, here)
			d.expectNoWildcards(item, value, here)
		}
		if address, is := value.Addr().Interface().(*Address); is && expires(item) {
			address.ValidLifeTime = 1 // see IP.dropLearnt
		}
		list = reflect.Append(list, value)
	}
	into.Set(list)
}

// expectNoWildcards refuses empty keys of routes and rules that are to go: those left out stand for anything, and an
// empty one is what a template leaves that was not filled in.
func (d *decoder) expectNoWildcards(n node, entry reflect.Value, at *field.Path) {
	route, isRoute := entry.Addr().Interface().(*Route)
	rule, isRule := entry.Addr().Interface().(*RouteRule)
	goes := isRoute && route.State == StateAbsent || isRule && rule.State == StateAbsent
	if !goes {
		return
	}
	said := map[string]bool{"destination": true, "ip-from": true, "ip-to": true} // by decodeText
	for position, key := range n.keys {
		value := n.items[position]
		if value.kind == nullNode || value.kind == scalarNode && value.text == "" && !said[key] {
			d.errs = append(d.errs, field.Invalid(child(at, key), value.text, "is empty: leave the key out"))
		}
	}
}

// decodeFeatures reads a map from names of features to whether they are on.
func (d *decoder) decodeFeatures(n node, into *Features, at *field.Path) {
	if !d.expect(n, mapNode, at) {
		return
	}
	*into = make(Features, len(n.keys))
	for position, key := range n.keys {
		if n.items[position].kind == nullNode {
			continue
		}
		var on bool
		d.decodeScalar(n.items[position], reflect.ValueOf(&on).Elem(), "", at.Key(key))
		name := longFeatureName(key)
		if _, again := (*into)[name]; again {
			d.errs = append(d.errs, field.Duplicate(at.Key(key), name))
		}
		(*into)[name] = on
	}
}

// expires reports whether an address says that it is somebody else's to renew.
func expires(address node) bool {
	life, isSet := address.member("valid-life-time")
	return isSet && life.kind == scalarNode && life.text != "forever"
}

func (d *decoder) expect(n node, kind nodeKind, at *field.Path) bool {
	if n.kind == kind {
		return true
	}
	d.errs = append(d.errs, field.TypeInvalid(at, field.OmitValueType{},
		"must be "+kind.String()+", not "+n.kind.String()))
	return false
}

// schema returns the schema of a struct type, from its tags.
func (d *decoder) schema(t reflect.Type) schema {
	if s, ok := d.schemas[t]; ok {
		return s
	}
	s := schema{fields: map[string]int{}, others: otherKeys(t)}
	for index := range t.NumField() {
		key := jsonKey(t.Field(index))
		if key == "-" || strings.HasPrefix(key, internalKey) {
			continue
		}
		s.fields[key] = index
		s.known = append(s.known, key)
		if alias := t.Field(index).Tag.Get("alias"); alias != "" {
			s.fields[alias] = index
		}
	}
	d.schemas[t] = s
	return s
}
