// SPDX-License-Identifier: Apache-2.0

package nad

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// deepest is how deep JSON may be nested; encoding/json has the same limit.
const deepest = 10000

// A kind is the type of a JSON value, in the words of people who write it.
type kind string

const (
	object  kind = "object"
	list    kind = "list"
	text    kind = "string"
	number  kind = "number"
	boolean kind = "boolean"
	null    kind = "null"
)

// A value is a JSON value and where it stands. The parser accepts what encoding/json does, and keeps the places, so
// that problems can be pointed at and single values replaced.
type value struct {
	kind kind
	// start and end are byte offsets, the end exclusive.
	start, end int
	// text is what a text says, and how anything else but objects and lists is written.
	text     string
	members  []member
	elements []value
}

type member struct {
	key   string
	value value
}

// exactly returns the value of the last member with a name, as a map of Go has it. It is nil if there is none.
func (v *value) exactly(name string) *value {
	for i := len(v.members) - 1; i >= 0; i-- {
		if v.members[i].key == name {
			return &v.members[i].value
		}
	}
	return nil
}

// folded returns the value of the last member with a name in whatever case, as a struct of Go reads it: null changes
// nothing there.
func (v *value) folded(name string) *value {
	var found *value
	for i := range v.members {
		m := &v.members[i]
		if strings.EqualFold(m.key, name) && (found == nil || m.value.kind != null) {
			found = &m.value
		}
	}
	return found
}

// passed returns a value as libcni passes it on to plugins: it reads objects into maps, in which the last of equal keys
// counts, and writes the keys in their order, capitals first. Places stay those in the text.
func (v value) passed() value {
	last := make(map[string]value, len(v.members))
	for _, m := range v.members {
		last[m.key] = m.value
	}
	v.members, v.elements = nil, slices.Clone(v.elements)
	for _, key := range slices.Sorted(maps.Keys(last)) {
		v.members = append(v.members, member{key: key, value: last[key].passed()})
	}
	for i, e := range v.elements {
		v.elements[i] = e.passed()
	}
	return v
}

// A replacement is a member of an object that another one of the same name replaces.
type replacement struct{ own, by member }

// where is where the other one stands.
func (r replacement) where() string {
	if r.by.value.start < r.own.value.start {
		return "before"
	}
	return "again further on"
}

// replaced returns the members of an object that another one further on replaces. Keys are the same if they are once
// spelled by a function. A null under another spelling neither replaces nor is replaced.
func (v *value) replaced(spell func(key string) string) []replacement {
	last := make(map[string]int, len(v.members))
	for i, m := range v.members {
		before, twice := last[spell(m.key)]
		if !twice || m.value.kind != null || m.key == v.members[before].key {
			last[spell(m.key)] = i
		}
	}
	var replaced []replacement
	for i, m := range v.members {
		by := last[spell(m.key)]
		if by != i && (m.value.kind != null || m.key == v.members[by].key) {
			replaced = append(replaced, replacement{own: m, by: v.members[by]})
		}
	}
	return replaced
}

// A place is a position in a text, counted from 1 in characters.
type place struct{ line, column int }

func (p place) String() string { return fmt.Sprintf("line %d, column %d", p.line, p.column) }

func placeOf(source string, offset int) place {
	before := source[:min(offset, len(source))]
	return place{
		line:   strings.Count(before, "\n") + 1,
		column: utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1,
	}
}

// A SyntaxError says where a text stops being JSON, and shows the place.
type SyntaxError struct {
	// Line and Column are counted from 1, in characters.
	Line, Column int
	// Problem says what is wrong there, and Excerpt shows the line with a caret below.
	Problem, Excerpt string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s\n%s", e.Line, e.Column, e.Problem, e.Excerpt)
}

func syntaxError(source string, offset int, format string, args ...any) *SyntaxError {
	at := placeOf(source, offset)
	return &SyntaxError{
		Line:    at.line,
		Column:  at.column,
		Problem: fmt.Sprintf(format, args...),
		Excerpt: excerpt(source, offset),
	}
}

// excerpt returns the line of an offset and a caret below its character. Of long lines it has what is around.
func excerpt(source string, offset int) string {
	const around = 50
	begin := strings.LastIndexByte(source[:offset], '\n') + 1
	end := len(source)
	if i := strings.IndexByte(source[offset:], '\n'); i >= 0 {
		end = offset + i
	}
	before, after := []rune(source[begin:offset]), []rune(source[offset:end])
	if len(before) > around {
		before = append([]rune("…"), before[len(before)-around:]...)
	}
	if len(after) > around {
		after = append(after[:around:around], '…')
	}
	line, indent := printable(before), make([]rune, len(before))
	for i := range indent {
		indent[i] = ' '
	}
	return "  " + string(line) + string(printable(after)) + "\n  " + string(indent) + "^"
}

func printable(runes []rune) []rune {
	clean := make([]rune, len(runes))
	for i, r := range runes {
		clean[i] = r
		if !unicode.IsPrint(r) {
			clean[i] = ' '
		}
	}
	return clean
}

// parse reads one JSON value that is the whole text.
func parse(source string) (*value, *SyntaxError) {
	p := &parser{source: source}
	at, both := quoted(source)
	switch {
	case both:
		return nil, syntaxError(source, at,
			"remove these quotes, here and at the end: in a block scalar (| or >) YAML takes the text as it is")
	case at >= 0 && !json.Valid([]byte(source)):
		return nil, syntaxError(source, at, "remove this quote: in a block scalar (| or >) YAML takes the text as it is")
	}
	if begins := strings.TrimSpace(source); yamlKey().MatchString(begins) {
		return nil, p.fail(len(source)-len(strings.TrimLeftFunc(source, unicode.IsSpace)),
			"this is YAML: want JSON, which begins with { or [ and has names in double quotes")
	}
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	switch c := p.next(); {
	case c == '/' || c == '#':
		return nil, p.fail(p.at, "JSON has no comments: remove this one")
	case c == ':' && v.kind == text:
		return nil, p.fail(v.start, "write { before this, and } at the end")
	}
	if p.at < len(source) {
		return nil, p.fail(p.at, "the %s ends before this: remove what follows, or what closed it too early", v.kind)
	}
	return &v, nil
}

// yamlKey returns how a text begins that is YAML where JSON is wanted: a key, an element of a list, or a block.
func yamlKey() *regexp.Regexp {
	return regexp.MustCompile(`^([|>][-+0-9]*\s|---\s|- |[A-Za-z_][\w.-]*:(\s|$))`)
}

// quoted returns where a quote is that was kept before an object or a list, typographic or not, and whether the end has
// one, too: YAML has no quotes inside a block. It is -1 where there is none.
func quoted(source string) (at int, both bool) {
	inside := strings.TrimSpace(source)
	first, width := utf8.DecodeRuneInString(inside)
	last, _ := utf8.DecodeLastRuneInString(inside)
	quote := func(r rune) bool {
		_, plain := lookalike(r)
		return r == '\'' || r == '"' || plain == `"`
	}
	if !quote(first) || !begins(inside[width:]) {
		return -1, false
	}
	return strings.Index(source, inside), quote(last)
}

// begins reports whether a text begins with an object or a list.
func begins(text string) bool {
	text = strings.TrimSpace(text)
	return strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[")
}

// lookalike names a character that stands in the place of one that JSON knows, and that one, empty for none. Word
// processors and web pages put them there.
func lookalike(r rune) (name, plain string) {
	switch r {
	case '\u201c', '\u201d', '\u201e', '\u201f', '\u00ab', '\u00bb', '\u2033', '\uff02':
		return "a typographic quote", `"`
	case '\u2018', '\u2019', '\u201a', '\u201b', '\u2032', '\u00b4', '\u2039', '\u203a':
		return "a typographic quote", `"`
	case '`':
		return "a backquote", `"`
	case '\u2010', '\u2011', '\u2012', '\u2013', '\u2014', '\u2212':
		return "a typographic dash", "-"
	case '\uff5b':
		return "a full-width brace", "{"
	case '\uff5d':
		return "a full-width brace", "}"
	case '\uff1a':
		return "a full-width colon", ":"
	case '\uff0c', '\u3001':
		return "a full-width comma", ","
	}
	return unseen(r)
}

// unseen is lookalike for characters that do not show, or as an ordinary space does.
func unseen(r rune) (name, plain string) {
	switch {
	case strings.ContainsRune("\u00a0\u202f\u2007", r):
		return "a no-break space", "an ordinary space"
	case unicode.Is(unicode.Cf, r): // marks of zero width, of direction and of the order of bytes, soft hyphens
		return "an invisible character", ""
	case unicode.IsSpace(r) && !strings.ContainsRune(" \t\r\n", r):
		return "a blank that JSON does not have", "an ordinary space"
	}
	return "", ""
}

// unlike says what is wrong with the first character of a text that no name has which somebody typed. It is empty where
// there is none.
func unlike(text string) string {
	for _, r := range text {
		if name, plain := lookalike(r); name != "" {
			return fmt.Sprintf("has %s (U+%04X): %s", name, r, inPlace(strings.Trim(plain, `"`)))
		}
	}
	if strings.Contains(text, "'") {
		return "has quotes around it: remove them"
	}
	return ""
}

// placeholder is how a text is that is one of a template, a shell or an example. It is compiled once: every string of a
// configuration is looked at, of which there may be hundreds of thousands.
var placeholder = regexp.MustCompile(`^\$\w+$|^\$\{[^{}]+\}$|^\$\([^()]+\)$|^<[^<>]+>$|\{\{.*\}\}`)

func isPlaceholder(text string) bool {
	return strings.ContainsAny(text, "$<{") && placeholder.MatchString(text)
}

// strange is unlike for a text that may be of any characters but those that do not show, has no quotes around it, and
// is no placeholder.
func strange(text string) string {
	if isPlaceholder(text) {
		return "is a placeholder that nothing filled in: write its value"
	}
	for _, r := range text {
		switch name, _ := unseen(r); {
		case name != "" && unicode.IsSpace(r) && strings.TrimSpace(text) != text:
			return fmt.Sprintf("has %s (U+%04X) at its beginning or end: remove it", name, r)
		case name != "":
			return unlike(string(r))
		}
	}
	first, width := utf8.DecodeRuneInString(text)
	last, _ := utf8.DecodeLastRuneInString(text[width:])
	_, open := lookalike(first)
	_, closed := lookalike(last)
	if open == `"` && closed == `"` || first == '\'' && last == '\'' {
		return unlike(string(first))
	}
	return ""
}
