// SPDX-License-Identifier: Apache-2.0

package nad

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

func (p *parser) string() (value, *SyntaxError) {
	start := p.at
	for i := start + 1; i < len(p.source); i++ {
		switch c := p.source[i]; {
		case c == '"':
			p.at = i + 1
			v := value{kind: text, start: start, end: p.at}
			if err := json.Unmarshal([]byte(p.source[start:p.at]), &v.text); err != nil {
				return value{}, p.fail(start, "the string is not valid JSON: %v", err)
			}
			return v, nil
		case c == '\n':
			if wrong := p.typographic(start, i); wrong != nil {
				return value{}, wrong
			}
			return value{}, p.fail(
				start, "the string does not end in its line: a double quote is missing, or a line break must be written \\n",
			)
		case c < ' ':
			return value{}, p.fail(i, "a control character must be written \\u%04x", c)
		case c == '\\':
			length := escape(p.source[i+1:])
			if length == 0 {
				return value{}, p.fail(i, `not an escape of JSON: a backslash is written \\`)
			}
			i += length
		}
	}
	if wrong := p.typographic(start, len(p.source)); wrong != nil {
		return value{}, wrong
	}
	return value{}, p.fail(start, "the string does not end: a double quote is missing")
}

// escape returns the length of an escape after its backslash, 0 if it is none.
func escape(rest string) int {
	if rest == "" {
		return 0
	}
	if strings.IndexByte(`"\/bfnrt`, rest[0]) >= 0 {
		return 1
	}
	if rest[0] != 'u' || len(rest) < 5 || strings.Trim(rest[1:5], "0123456789abcdefABCDEF") != "" {
		return 0
	}
	return 5
}

func (p *parser) number() (value, *SyntaxError) {
	start := p.at
	for p.at < len(p.source) && strings.IndexByte("+-.0123456789eE", p.source[p.at]) >= 0 {
		p.at++
	}
	if p.letters() != "" || strings.HasPrefix(p.source[p.at:], ":") { // as in 0x64, 1_500, 10M and 02:00:00:00:00:01
		end := start + strings.IndexAny(p.source[start:]+" ", " \t\r\n,}]")
		return value{}, p.fail(start, "%s is not a number as JSON writes them; strings are written in double quotes",
			string(printable([]rune(p.source[start:end]))))
	}
	written := p.source[start:p.at]
	if short := strings.TrimLeft(written, "0"); short != "" && short != written && json.Valid([]byte(short)) {
		return value{}, p.fail(start, "%s begins with a zero, which JSON does not have: write %s", written, short)
	}
	if !json.Valid([]byte(written)) {
		return value{}, p.fail(start, "%s is not a number as JSON writes them; strings are written in double quotes", written)
	}
	return value{kind: number, start: start, end: p.at, text: written}, nil
}

// word reads true, false and null, and says what is wrong with everything else that is no value.
func (p *parser) word() (value, *SyntaxError) {
	start, word := p.at, p.letters()
	v := value{start: start, end: start + len(word), text: word}
	switch word {
	case "true", "false":
		v.kind = boolean
	case "null":
		v.kind = null
	default:
		return value{}, p.noValue(word)
	}
	p.at = v.end
	return v, nil
}

func (p *parser) noValue(word string) *SyntaxError {
	switch {
	case p.at == len(p.source):
		return p.fail(p.at, "the text ends where a value is expected")
	case strings.EqualFold(word, "true"), strings.EqualFold(word, "false"), strings.EqualFold(word, "null"):
		return p.fail(p.at, "write %s in lower case", strings.ToLower(word))
	case strings.EqualFold(word, "yes"), strings.EqualFold(word, "on"):
		return p.fail(p.at, "JSON has no %s: write true, or a string in double quotes", word)
	case strings.EqualFold(word, "no"), strings.EqualFold(word, "off"):
		return p.fail(p.at, "JSON has no %s: write false, or a string in double quotes", word)
	case slices.Contains([]string{"none", "nil", "undefined", "nan"}, strings.ToLower(word)):
		return p.fail(p.at, "JSON has no %s: write null, or a string in double quotes", word)
	case word != "":
		return p.fail(p.at, "a string is written in double quotes: \"%s\"", word)
	case p.source[p.at] == '\'' && begins(p.source[p.at+1:]):
		return p.fail(p.at, "remove this quote: in a block scalar (| or >) YAML takes the text as it is")
	case p.source[p.at] == '\'':
		return p.fail(p.at, "strings are written in double quotes, not in single ones")
	case p.source[p.at] == '/' || p.source[p.at] == '#':
		return p.fail(p.at, "JSON has no comments: remove this one")
	}
	if p.source[p.at] == '+' {
		return p.fail(p.at, "numbers are written without a plus sign: remove it")
	}
	r, _ := utf8.DecodeRuneInString(p.source[p.at:])
	return p.fail(p.at, "want a value here, not %q", r)
}

// letters returns the letters, digits and signs of a word at the position; empty unless it begins with a letter.
func (p *parser) letters() string {
	rest := p.source[p.at:]
	if r, _ := utf8.DecodeRuneInString(rest); !unicode.IsLetter(r) && r != '_' {
		return ""
	}
	end := strings.IndexFunc(rest, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_-.", r)
	})
	if end < 0 {
		return rest
	}
	return rest[:end]
}
