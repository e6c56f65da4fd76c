// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"encoding"
	"net/netip"
	"reflect"
	"slices"
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
	if !d.expect(n, mapNode, at) {
		return
	}
	schema := d.schema(into.Type())
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
		}
		if address, is := value.Addr().Interface().(*Address); is && expires(item) {
			address.ValidLifeTime = 1 // see IP.dropLearnt
		}
		list = reflect.Append(list, value)
	}
	into.Set(list)
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

func (d *decoder) decodeText(n node, into reflect.Value, at *field.Path) {
	if !d.expect(n, scalarNode, at) {
		return
	}
	text := n.text
	prefix, isPrefix := into.Addr().Interface().(*netip.Prefix)
	switch {
	case isPrefix && text == "": // no wildcard: that is a key left out
		d.errs = append(d.errs,
			field.Invalid(at, text, "is empty: leave the key out, or write a network, 0.0.0.0/0 for all"))
		return
	case isPrefix:
		d.decodePrefix(text, prefix, at)
		return
	case text == "":
		return
	}
	if err := into.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)); err != nil {
		detail := "not a MAC address like 52:55:00:D1:56:00"
		if into.Type() == reflect.TypeFor[netip.Addr]() {
			detail = "not an IP address like 192.0.2.1 or 2001:db8::1"
		}
		d.errs = append(d.errs, field.Invalid(at, text, detail))
	}
}

// decodePrefix reads a destination. One without a length is a host; host bits are cleared.
func (d *decoder) decodePrefix(text string, into *netip.Prefix, at *field.Path) {
	if addr, err := netip.ParseAddr(text); err == nil {
		*into = netip.PrefixFrom(addr.WithZone(""), addr.BitLen())
		return
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		d.errs = append(d.errs, field.Invalid(at, text, "not a destination like 198.51.100.0/24 or 2001:db8::/32"))
		return
	}
	*into = prefix.Masked()
}

func (d *decoder) decodeScalar(n node, into reflect.Value, tag reflect.StructTag, at *field.Path) {
	if !d.expect(n, scalarNode, at) {
		return
	}
	switch into.Kind() {
	case reflect.String:
		into.SetString(spell(n.text, tag))
	case reflect.Bool:
		value, ok := parseBool(n.text)
		if !ok {
			d.errs = append(d.errs, field.Invalid(at, n.text, "not true or false"))
		}
		into.SetBool(value)
	case reflect.Int:
		value, err := parseInt(n.text)
		if err != nil {
			d.errs = append(d.errs, field.Invalid(at, n.text, "not a whole number"))
		}
		into.SetInt(value)
	}
}

// spell returns text as the word of the tag it stands for: any case, and a number where the kernel
// counts the words. Words that are not in the tag are left for Validate.
func spell(text string, tag reflect.StructTag) string {
	words := strings.Fields(tag.Get("words"))
	if numbered := strings.Fields(tag.Get("numbers")); len(numbered) > 0 {
		words = numbered
		if index, err := strconv.Atoi(text); err == nil && index >= 0 && index < len(words) {
			return words[index]
		}
	}
	if at := slices.IndexFunc(words, func(word string) bool { return strings.EqualFold(word, text) }); at >= 0 {
		return words[at]
	}
	return text
}

func parseBool(text string) (value, ok bool) {
	switch strings.ToLower(text) {
	case "true", "yes", "on", "1", "y":
		return true, true
	case "false", "no", "off", "0", "n":
		return false, true
	}
	return false, false
}

func parseInt(text string) (int64, error) {
	if hex, isHex := strings.CutPrefix(strings.ToLower(text), "0x"); isHex {
		return strconv.ParseInt(hex, 16, 64)
	}
	return strconv.ParseInt(text, 10, 64)
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
