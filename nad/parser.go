// SPDX-License-Identifier: Apache-2.0

package nad

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// A parser is a position in a text.
type parser struct {
	source string
	at     int
}

// fail returns what is wrong at an offset, unless the parser is stuck at a look-alike: that is what is wrong then.
func (p *parser) fail(offset int, format string, args ...any) *SyntaxError {
	if mark := callout(p.source[p.at:]); mark != "" {
		return syntaxError(p.source, p.at, "%s is a mark of the page that this was copied from, not JSON: remove it", mark)
	}
	r, _ := utf8.DecodeRuneInString(p.source[p.at:])
	name, plain := lookalike(r)
	switch {
	case r == '\u2026' || strings.HasPrefix(p.source[p.at:], "..."):
		return syntaxError(p.source, p.at, "this stands for what an example leaves out: write that, or remove this")
	case variable().MatchString(p.source[p.at:]):
		return syntaxError(p.source, p.at, "this is a variable that nothing filled in: write its value")
	case blank().MatchString(p.source[p.at:]):
		return syntaxError(p.source, p.at, "this is a placeholder that nothing filled in: write its value")
	case r == '$':
		name = "a dollar sign that a shell or a template left"
	}
	if name != "" {
		return syntaxError(p.source, p.at, "this is %s (U+%04X): %s", name, r, inPlace(plain))
	}
	return syntaxError(p.source, offset, format, args...)
}

// variable returns how a text begins that has one of a shell in it.
func variable() *regexp.Regexp { return regexp.MustCompile(`^\$[{(]?[A-Za-z_]`) }

// blank returns how a text begins that has one of an example in it.
func blank() *regexp.Regexp { return regexp.MustCompile(`^<[A-Za-z_][\w .-]*>`) }

// inPlace says what to do about a look-alike of a text, which is empty if there is to be nothing.
func inPlace(plain string) string {
	if plain == "" {
		return "remove it"
	}
	return "write " + plain + " in its place"
}

// typographic returns what is wrong with a string that a typographic quote was meant to end; nil if none was. Two of
// them are text.
func (p *parser) typographic(start, end int) *SyntaxError {
	const quotes = "\u201c\u201d\u201e\u201f\u2033\uff02"
	written := p.source[start:end]
	first := strings.IndexAny(written, quotes)
	if first < 0 || first != strings.LastIndexAny(written, quotes) {
		return nil
	}
	r, _ := utf8.DecodeRuneInString(written[first:])
	name, plain := lookalike(r)
	return syntaxError(p.source, start+first, "this is %s (U+%04X): %s", name, r, inPlace(plain))
}

// callout is a mark such as <3> or ``` at the beginning of a text, as it stands in examples on web pages; empty if
// there is none.
func callout(text string) string {
	return regexp.MustCompile("^(```|<[0-9]+>|\\([0-9]+\\)|[\u2460-\u2473\u2776-\u2793])").FindString(text)
}

func (p *parser) skip() {
	for p.at < len(p.source) && strings.IndexByte(" \t\r\n", p.source[p.at]) >= 0 {
		p.at++
	}
}

// next returns the next byte that is no white space, 0 at the end and for a zero byte, which JSON has no use for.
func (p *parser) next() byte {
	p.skip()
	if p.at == len(p.source) {
		return 0
	}
	return p.source[p.at]
}

func (p *parser) value(depth int) (value, *SyntaxError) {
	if depth > deepest {
		return value{}, p.fail(p.at, "this is nested too deep")
	}
	switch c := p.next(); {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.list(depth)
	case c == '"':
		return p.string()
	case c == '-' || '0' <= c && c <= '9':
		return p.number()
	default:
		return p.word()
	}
}

func (p *parser) object(depth int) (value, *SyntaxError) {
	v := value{kind: object, start: p.at}
	p.at++
	for p.next() != '}' || len(v.members) > 0 {
		m, err := p.member(v, depth)
		if err != nil {
			return value{}, err
		}
		v.members = append(v.members, m)
		more, err := p.separator(v, '}', m.value)
		if err != nil {
			return value{}, err
		}
		if !more {
			break
		}
	}
	p.at++
	v.end = p.at
	return v, nil
}

func (p *parser) member(of value, depth int) (member, *SyntaxError) {
	if c := p.next(); c != '"' {
		return member{}, p.noKey(of, c)
	}
	key, err := p.string()
	if err != nil {
		return member{}, err
	}
	if p.next() != ':' {
		if wrong := p.typographic(key.start, key.end); wrong != nil {
			return member{}, wrong
		}
		return member{}, p.fail(key.end, "a colon is missing after %s", p.shown(key))
	}
	p.at++
	if c := p.next(); c == ',' || c == '}' {
		return member{}, p.fail(p.at, "the value of %s is missing", p.shown(key))
	}
	v, err := p.value(depth + 1)
	return member{key: key.text, value: v}, err
}

// noKey returns what is there in place of the name of a member.
func (p *parser) noKey(of value, c byte) *SyntaxError {
	switch {
	case p.at == len(p.source):
		return p.unclosed(of, '}')
	case c == '}':
		return p.fail(p.comma(), "nothing follows this comma: remove it")
	case c == '\'':
		return p.fail(p.at, "names are written in double quotes, not in single ones")
	case c == '/' || c == '#':
		return p.fail(p.at, "JSON has no comments: remove this one")
	case c == '{':
		return p.fail(p.at, "this is a placeholder that no template filled in: write its value")
	case c == ',':
		return p.fail(p.at, "nothing is before this comma: remove it")
	case c == '\\':
		return p.fail(p.at, "remove this backslash, and others like it: JSON has them inside strings only")
	}
	if word := p.letters(); word != "" {
		return p.fail(p.at, "names are written in double quotes: \"%s\"", word)
	}
	return p.fail(p.at, "want a name in double quotes here, or the } that ends the object")
}

func (p *parser) list(depth int) (value, *SyntaxError) {
	v := value{kind: list, start: p.at}
	p.at++
	for {
		c := p.next()
		switch {
		case p.at == len(p.source):
			return value{}, p.unclosed(v, ']')
		case c == ']' && len(v.elements) > 0:
			return value{}, p.fail(p.comma(), "nothing follows this comma: remove it")
		case c == ']':
			p.at++
			v.end = p.at
			return v, nil
		}
		e, err := p.value(depth + 1)
		if err != nil {
			return value{}, err
		}
		v.elements = append(v.elements, e)
		more, err := p.separator(v, ']', e)
		if err != nil {
			return value{}, err
		}
		if !more {
			p.at++
			v.end = p.at
			return v, nil
		}
	}
}

// separator reads the comma after an element and reports whether there was one, or the end of what it is in.
func (p *parser) separator(of value, closing byte, last value) (more bool, err *SyntaxError) {
	c := p.next()
	switch {
	case c == ',':
		p.at++
		return true, nil
	case c == closing:
		return false, nil
	case p.at == len(p.source):
		return false, p.unclosed(of, closing)
	case c == '}' || c == ']':
		return false, p.fail(p.at, "want a %c here, which ends the %s of %s", closing, of.kind, placeOf(p.source, of.start))
	case c == '/' || c == '#':
		return false, p.fail(p.at, "JSON has no comments: remove this one")
	case strings.IndexByte(`"{[-`, c) >= 0 || p.letters() != "" || '0' <= c && c <= '9':
		if wrong := p.typographic(last.start, last.end); last.kind == text && wrong != nil {
			return false, wrong
		}
		return false, p.fail(last.end, "a comma is missing after %s", p.shown(last))
	}
	return false, p.fail(p.at, "want a comma here, or the %c that ends the %s", closing, of.kind)
}

// comma returns the offset of the comma before the position.
func (p *parser) comma() int { return strings.LastIndexByte(p.source[:p.at], ',') }

func (p *parser) unclosed(v value, closing byte) *SyntaxError {
	return p.fail(
		len(p.source), "the text ends before the %s of %s: a %c is missing", v.kind, placeOf(p.source, v.start), closing,
	)
}

// shown returns a value in the words of a message.
func (p *parser) shown(v value) string {
	if v.kind == object || v.kind == list {
		return "the " + string(v.kind)
	}
	written := p.source[v.start:v.end]
	if utf8.RuneCountInString(written) > 40 {
		return "the " + string(v.kind)
	}
	return string(printable([]rune(written)))
}
