// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// roots returns the parts of a state that an expression may begin with.
func roots() []string {
	return []string{"interfaces", "routes", "route-rules", "dns-resolver"}
}

// prefix begins references to captures.
const prefix = "capture"

// A syntaxError is a problem at a place of an expression.
type syntaxError struct {
	source string
	offset int // in bytes
	reason string
}

// Error shows the place.
func (e *syntaxError) Error() string {
	column := utf8.RuneCountInString(e.source[:e.offset])
	return fmt.Sprintf("%s\n    %s\n    %s^", e.reason, e.source, strings.Repeat(" ", column))
}

// A parser reads one expression from left to right.
type parser struct {
	source string
	at     int
}

func parseExpression(source string) (expression, error) {
	source = strings.TrimSpace(strings.ReplaceAll(source, "\n", " ")) // block scalars of YAML end with a line break
	p := &parser{source: source}
	e, err := p.expression()
	e.source = source
	return e, err
}

func (p *parser) expression() (e expression, err error) {
	if e.path, err = p.path(); err != nil {
		return e, err
	}
	piped := p.skip("|")
	if piped {
		if len(e.path) != 2 || e.path[0] != prefix {
			return e, p.errorAt(0, "only a capture can stand before |: write capture.<name> | <path> ...")
		}
		e.input = e.path[1]
		if e.path, err = p.path(); err != nil {
			return e, err
		}
	}
	if e.path[0] == prefix && !piped && len(e.path) > 2 { // the short form of a pipe
		e.input, e.path = e.path[1], e.path[2:]
	}
	if e.path[0] == prefix {
		return e, p.errorAt(0, "to look into a capture, write capture.<name> | <path> == <value>")
	}
	if !contains(roots(), e.path[0]) {
		return e, p.errorAt(
			strings.LastIndex(p.source[:p.at], e.path.String()), "a path begins with one of "+strings.Join(roots(), ", "),
		)
	}
	if piped && p.ended() {
		return e, p.errorAt(p.at, "an operation is missing here: == <value> or := <value>")
	}
	return p.operation(e)
}

// operation reads what follows the path.
func (p *parser) operation(e expression) (expression, error) {
	switch {
	case p.skip("=="):
		e.op = filter
	case p.skip(":="):
		e.op = replace
	case p.ended():
		return e, nil
	default:
		return e, p.errorAt(p.at, "expected == or := here, or the end")
	}
	var err error
	if e.value, err = p.operand(); err != nil {
		return e, err
	}
	if !p.ended() {
		return e, p.errorAt(p.at, "expected the end here: an expression has one | and one == or := at most")
	}
	return e, nil
}

// operand reads a value.
func (p *parser) operand() (operand, error) {
	p.space()
	begun := p.at
	if p.at < len(p.source) && (p.source[p.at] == '"' || p.source[p.at] == '\'') {
		end := strings.IndexByte(p.source[p.at+1:], p.source[p.at])
		if end < 0 {
			return operand{}, p.errorAt(begun, "the closing quote is missing")
		}
		p.at += end + 2
		return operand{literal: p.source[begun+1 : p.at-1]}, nil
	}
	end := strings.IndexAny(p.source[p.at:], " \t|=\"'")
	if end < 0 {
		end = len(p.source) - p.at
	}
	word := p.source[p.at : p.at+end]
	if word == "" {
		return operand{}, p.errorAt(p.at, "a value is missing here")
	}
	p.at += end
	if !strings.HasPrefix(word, prefix+".") {
		return operand{literal: literal(word)}, nil
	}
	steps := strings.Split(word, ".")
	if len(steps) < 3 || contains(steps, "") {
		return operand{}, p.errorAt(begun, "a reference is written capture.<name>.<path>")
	}
	return operand{capture: steps[1], path: steps[2:]}, nil
}

// literal returns the value of a word: null, a boolean, a number, or a text.
func literal(word string) any {
	switch word {
	case "null":
		return nil
	case "true", "false":
		return word == "true"
	}
	if _, err := strconv.ParseInt(word, 10, 64); err == nil {
		return json.Number(word)
	}
	return word
}

// path reads names and numbers with dots between them.
func (p *parser) path() (path, error) {
	p.space()
	var steps path
	for {
		begun := p.at
		for p.at < len(p.source) && isName(p.source[p.at]) {
			p.at++
		}
		if p.at == begun {
			return nil, p.errorAt(p.at, "a name is missing here")
		}
		steps = append(steps, p.source[begun:p.at])
		if p.at == len(p.source) || p.source[p.at] != '.' {
			return steps, nil
		}
		p.at++
	}
}

func isName(c byte) bool {
	return c == '-' || c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// skip reads a token, if it is there.
func (p *parser) skip(token string) bool {
	p.space()
	if !strings.HasPrefix(p.source[p.at:], token) {
		return false
	}
	p.at += len(token)
	return true
}

func (p *parser) space() {
	for p.at < len(p.source) && (p.source[p.at] == ' ' || p.source[p.at] == '\t') {
		p.at++
	}
}

func (p *parser) ended() bool {
	p.space()
	return p.at == len(p.source)
}

func (p *parser) errorAt(offset int, reason string) error {
	return &syntaxError{source: p.source, offset: max(0, offset), reason: reason}
}

func contains(list []string, s string) bool {
	for _, one := range list {
		if one == s {
			return true
		}
	}
	return false
}
