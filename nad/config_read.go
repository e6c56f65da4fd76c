// SPDX-License-Identifier: Apache-2.0

package nad

import (
	"cmp"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// decodable refuses what libcni, the plugin or the one for its addresses cannot read: libcni of the object that is
// written, the others of the one that is passed on. It reports whether all of it is fine. prefix begins the names of
// options.
func (r *configReader) decodable(written, passed value, prefix, plugin string) bool {
	before := len(r.problems)
	r.members(written, prefix, reflect.TypeFor[commonOptions]())
	for _, t := range []reflect.Type{typeOf(plugin), typeOfIPAM(ipamOf(passed, plugin))} {
		if t != nil {
			r.members(passed, prefix, t)
		}
	}
	return len(r.problems) == before
}

// ipamOf returns the plugin for addresses that a plugin hands its configuration on to; empty for none, and where it
// completes it first.
func ipamOf(v value, plugin string) string {
	ipam := v.folded("ipam")
	if ipam == nil || ipam.folded("type") == nil || isChained(plugin) || plugin == "calico" {
		return ""
	}
	return ipam.folded("type").text
}

// members refuses those of an object that a struct is not read of, in whatever case, as encoding/json does.
func (r *configReader) members(v value, prefix string, t reflect.Type) {
	known := reflect.VisibleFields(t)
	for _, m := range slices.SortedFunc(slices.Values(v.members), func(a, b member) int {
		return cmp.Compare(a.value.start, b.value.start) // as people read them
	}) {
		for _, f := range known {
			if name := f.Tag.Get("json"); name != "" && strings.EqualFold(name, m.key) {
				r.read(m.value, prefix+m.key, f.Type)
			}
		}
	}
}

// read refuses a value that is not read as a type, or has one in it that is not. name is what messages call it.
func (r *configReader) read(v value, name string, t reflect.Type) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if v.kind == null || t.Kind() == reflect.Interface { // null says nothing
		return
	}
	if said := v.instead(kindOf(t)); said != "" {
		r.wrong(v, "%s: %s", name, exampleOf(t, said))
		return
	}
	switch {
	case isText(t) || t.Kind() == reflect.String:
		if err := json.Unmarshal([]byte(r.source[v.start:v.end]), reflect.New(t).Interface()); err != nil {
			r.wrong(v, "%s is %q: %v", name, v.text, err)
		}
	case t.Kind() == reflect.Struct:
		r.members(v, name+".", t)
	case t.Kind() == reflect.Map:
		for _, m := range v.members {
			r.read(m.value, name+"."+m.key, t.Elem())
		}
	case t.Kind() == reflect.Slice:
		for i, e := range v.elements {
			r.read(e, fmt.Sprintf("%s[%d]", name, i), t.Elem())
		}
	case v.kind == number && json.Unmarshal(passedOn(v.text), reflect.New(t).Interface()) != nil:
		want := inWords(number)
		if strings.HasPrefix(v.text, "-") && strings.HasPrefix(t.Kind().String(), "uint") {
			want += " that is not negative"
		}
		r.wrong(v, "%s: want %s, not %s", name, want, v.text)
	}
}

// passedOn returns JSON as libcni passes it to plugins: read into maps and written anew, so that 100.0 becomes 100.
func passedOn(source string) []byte {
	var read any
	if json.Unmarshal([]byte(source), &read) != nil { // a number beyond all
		return []byte(source)
	}
	written, err := json.Marshal(read)
	if err != nil {
		return []byte(source)
	}
	return written
}

// isText reports whether a type is read of a string that it parses.
func isText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// kindOf returns the kind of value that a type is read of.
func kindOf(t reflect.Type) kind {
	switch {
	case isText(t) || t.Kind() == reflect.String:
		return text
	case t.Kind() == reflect.Bool:
		return boolean
	case t.Kind() == reflect.Slice:
		return list
	case t.Kind() == reflect.Map || t.Kind() == reflect.Struct:
		return object
	}
	return number
}

// exampleOf returns an example of a type that is not written as people expect, or else what is said of it.
func exampleOf(t reflect.Type, said string) string {
	switch t {
	case reflect.TypeFor[[]*trunking]():
		return `want [{"id": 100}, {"minID": 200, "maxID": 210}]`
	case reflect.TypeFor[trunking]():
		return `want {"id": 100} or {"minID": 200, "maxID": 210}`
	case reflect.TypeFor[onOff]():
		return `want "on" or "off"`
	case reflect.TypeFor[[]addressRange]():
		return `want a list in the list, [[{"subnet": "10.0.0.0/24"}]]`
	}
	return said
}
