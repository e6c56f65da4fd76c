// SPDX-License-Identifier: Apache-2.0

package nad

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSyntaxErrorsPointAtTheMistake(t *testing.T) {
	for name, c := range map[string]struct{ source, want string }{
		"nothing":                             {"", "line 1, column 1: the text ends where a value is expected"},
		"blanks":                              {" \n ", "line 2, column 2: the text ends where a value is expected"},
		"a comma missing between members":     {"{\n\t\"a\": \"1\"\n\t\"b\": 2}", "line 2, column 10: a comma is missing after \"1\"\n   \"a\": \"1\"\n           ^"},
		"a comma missing after an object":     {`{"a": {} "b": 2}`, "line 1, column 9: a comma is missing after the object"},
		"a comma missing in a list":           {`[1 2]`, "line 1, column 3: a comma is missing after 1"},
		"a comma missing after a long text":   {`["` + strings.Repeat("x", 50) + `" 2]`, "column 54: a comma is missing after the string"},
		"a comma too many in an object":       {`{"a": 1,}`, "line 1, column 8: nothing follows this comma: remove it"},
		"a comma too many in a list":          {"[1,\n]", "line 1, column 3: nothing follows this comma: remove it"},
		"two commas":                          {`[1,,2]`, "line 1, column 4: want a value here, not ','"},
		"a colon missing":                     {`{"a" 1}`, `line 1, column 5: a colon is missing after "a"`},
		"a value missing":                     {`{"a": }`, `line 1, column 7: the value of "a" is missing`},
		"an equals sign for a colon":          {`{"a" = 1}`, `line 1, column 5: a colon is missing after "a"`},
		"a semicolon for a comma":             {`{"a": 1; "b": 2}`, "line 1, column 8: want a comma here, or the } that ends the object"},
		"a name without quotes":               {`{vlan: 1}`, `line 1, column 2: names are written in double quotes: "vlan"`},
		"a name in single quotes":             {`{'vlan': 1}`, "line 1, column 2: names are written in double quotes, not in single ones"},
		"a number for a name":                 {`{1: 1}`, "line 1, column 2: want a name in double quotes here"},
		"a text without quotes":               {`{"type": bridge}`, `line 1, column 10: a string is written in double quotes: "bridge"`},
		"a text in single quotes":             {`['a']`, "line 1, column 2: strings are written in double quotes, not in single ones"},
		"a text that is not closed":           {`{"a": "b}`, "line 1, column 7: the string does not end: a double quote is missing"},
		"a text that is not closed in a line": {"{\"a\": \"b,\n\"c\": 1}", "line 1, column 7: the string does not end in its line"},
		"an escape that does not exist":       {`["\d"]`, "line 1, column 3: not an escape of JSON"},
		"half an escape":                      {`["\u12"]`, "line 1, column 3: not an escape of JSON"},
		"a tab in a text":                     {"[\"a\tb\"]", `line 1, column 4: a control character must be written \u0009`},
		"a word of Python":                    {`[True]`, "line 1, column 2: write true in lower case"},
		"a number with a zero first":          {`[0100]`, "line 1, column 2: 0100 begins with a zero, which JSON does not have: write 100"},
		"a number of another base":            {`{"a": 0x64}`, "line 1, column 7: 0x64 is not a number as JSON writes them"},
		"a number in groups":                  {`[1_500, 2]`, "line 1, column 2: 1_500 is not a number"},
		"an address without quotes":           {`[02:00:00:00:00:01]`, "line 1, column 2: 02:00:00:00:00:01 is not a number as JSON writes them; strings are written in double quotes"},
		"a version without quotes":            {`{"cniVersion": 0.3.1}`, "line 1, column 16: 0.3.1 is not a number as JSON writes them; strings are written in double quotes"},
		"a comment in place of a member":      {"{\n// one\n\"a\": 1}", "line 2, column 1: JSON has no comments"},
		"a comment after a member":            {"{\"a\": 1 # one\n}", "line 1, column 9: JSON has no comments"},
		"a comment in place of a value":       {"[# one\n]", "line 1, column 2: JSON has no comments"},
		"an object that is not closed":        {"[\n{\"a\": 1", "line 2, column 8: the text ends before the object of line 2, column 1: a } is missing"},
		"a list that is not closed":           {"{\"a\": [1, ", "line 1, column 11: the text ends before the list of line 1, column 7: a ] is missing"},
		"an object that a bracket ends":       {`{"a": 1]`, "line 1, column 8: want a } here, which ends the object of line 1, column 1"},
		"a list that a brace ends":            {`[1}`, "line 1, column 3: want a ] here, which ends the list of line 1, column 1"},
		"text behind the end":                 {`{} {}`, "line 1, column 4: the object ends before this"},
		"columns are counted in characters":   {`{"ä": "ö" "ü": 1}`, "line 1, column 10: a comma is missing"},
		"a nesting without end":               {strings.Repeat("[", 20000), "this is nested too deep"},
		"an odd byte":                         {"\x00", `line 1, column 1: want a value here, not '\x00'`},
		"typographic quotes around all of it": {"\u2018{\"a\": 1}\u2019", "line 1, column 1: remove these quotes, here and at the end"},
		"quotes of two kinds around it":       {"\u201c{\"a\": 1}\"", "line 1, column 1: remove these quotes, here and at the end"},
		"typographic quotes around a name":    {"{\u201ctype\u201d: 1}", "line 1, column 2: this is a typographic quote (U+201C): write \" in its place"},
		"a mark of a web page":                {"{\"a\": 1, <3>\n\"b\": 2}", "line 1, column 10: <3> is a mark of the page that this was copied from, not JSON: remove it"},
		"a mark after the last member":        {"{\"a\": 1 <12>}", "line 1, column 9: <12> is a mark"},
		"a mark as text":                      {"{\"a\": 1, (3)\n\"b\": 2}", "line 1, column 10: (3) is a mark of the page that this was copied from, not JSON: remove it"},
		"a mark in a circle":                  {"{\"a\": 1 \u2776\n}", "line 1, column 9: \u2776 is a mark of the page"},
		"an angle bracket alone":              {"{\"a\": 1, <5 }", "want a name in double quotes here"},
		"a placeholder of an example":         {"{\"a\": <vlan_id>}", "line 1, column 7: this is a placeholder that nothing filled in: write its value"},
		"one with a blank in it":              {"{\"a\": <VLAN ID>}", "line 1, column 7: this is a placeholder that nothing filled in"},
		"one in place of a member":            {"{\"a\": 1, <x>}", "line 1, column 10: this is a placeholder"},
		"what an example leaves out":          {"{\"a\": 1, ...}", "line 1, column 10: this stands for what an example leaves out: write that, or remove this"},
		"what it leaves out after a value":    {"{\"a\": 1 \u2026}", "line 1, column 9: this stands for what an example leaves out"},
		"a word of Python for nothing":        {"{\"a\": None}", "line 1, column 7: JSON has no None: write null, or a string in double quotes"},
		"a word of Go for nothing":            {"[nil]", "line 1, column 2: JSON has no nil: write null"},
		"a double quote that a block kept":    {"\"{\"a\": 1}", "line 1, column 1: remove this quote: in a block scalar"},
		"one before an object in lines":       {" \"{\n\"a\": 1\n}", "line 1, column 2: remove this quote: in a block scalar"},
		"a typographic one before an object":  {"\u201c{\"a\": 1}", "line 1, column 1: remove this quote: in a block scalar"},
		"what a shell left":                   {"${\"a\": 1}", "line 1, column 1: this is a dollar sign that a shell or a template left (U+0024): remove it"},
		"typographic quotes around a text":    {"{\"type\": \u2018bridge\u2019}", "line 1, column 10: this is a typographic quote (U+2018)"},
		"a no-break space between members":    {"{\"a\": 1,\n\u00a0\"b\": 2}", "line 2, column 1: this is a no-break space (U+00A0): write an ordinary space in its place"},
		"a no-break space before a colon":     {"{\"a\"\u00a0: 1}", "line 1, column 5: this is a no-break space"},
		"a no-break space after a value":      {"{\"a\": 1\u00a0}", "line 1, column 8: this is a no-break space"},
		"a byte order mark":                   {"\ufeff{}", "line 1, column 1: this is an invisible character (U+FEFF): remove it"},
		"quotes that a YAML block kept":       {"'{\"a\": 1}'", "line 1, column 1: remove these quotes, here and at the end"},
		"quotes around a list":                {" \"[{\"a\": 1}]\"\n", "line 1, column 2: remove these quotes"},
		"backquotes around all of it":         {"`{\"a\": 1}`", "line 1, column 1: remove these quotes, here and at the end"},
		"a fence of a web page":               {"```json\n{}\n```", "line 1, column 1: ``` is a mark of the page"},
		"a backquote around a text":           {"[`a`]", "line 1, column 2: this is a backquote (U+0060): write \" in its place"},
		"a typographic quote after a text":    {"{\"a\": \"b\u201d}", "line 1, column 9: this is a typographic quote (U+201D)"},
		"one at the end of a line":            {"{\"a\": \"b\u201d,\n\"c\": 1}", "line 1, column 9: this is a typographic quote (U+201D)"},
		"one that reaches the next text":      {"{\"a\": \"b\u201d, \"c\": 1}", "line 1, column 9: this is a typographic quote (U+201D)"},
		"one after a name":                    {"{\"a\u201d: \"b\"}", "line 1, column 4: this is a typographic quote (U+201D)"},
		"typographic quotes inside a text":    {"[\"\u201ca\u201d\" 1]", "a comma is missing after"},
		"a typographic dash":                  {"[\u20131]", "line 1, column 2: this is a typographic dash (U+2013): write - in its place"},
		"an ideographic space":                {"[\u30001]", "line 1, column 2: this is a blank that JSON does not have (U+3000): write an ordinary space in its place"},
		"a form feed":                         {"[\f1]", "line 1, column 2: this is a blank that JSON does not have (U+000C)"},
		"full-width braces":                   {"\uff5b\"a\": 1\uff5d", "line 1, column 1: this is a full-width brace (U+FF5B): write { in its place"},
		"a key of YAML":                       {"\n name: {\"a\": 1}", "line 2, column 2: this is YAML: want JSON"},
		"a list of YAML":                      {"- {\"a\": 1}", "line 1, column 1: this is YAML"},
		"a block inside a block":              {"|-\n{\"a\": 1}", "line 1, column 1: this is YAML"},
		"a comment behind the end":            {"{} # one", "line 1, column 4: JSON has no comments: remove this one"},
		"a placeholder of a template":         {`{"a": {{ .Values.a }}}`, "line 1, column 8: this is a placeholder that no template filled in: write its value"},
		"two commas between members":          {`{"a": 1,, "b": 2}`, "line 1, column 9: nothing is before this comma: remove it"},
		"quotes with backslashes":             {`{\"a\": 1}`, "line 1, column 2: remove this backslash, and others like it"},
		"a yes":                               {`[yes]`, "line 1, column 2: JSON has no yes: write true, or"},
		"an Off":                              {`[Off]`, "line 1, column 2: JSON has no Off: write false, or"},
		"a plus sign":                         {`[+1]`, "line 1, column 2: numbers are written without a plus sign: remove it"},
		"half a character":                    {"\xff", "line 1, column 1: want a value here"},
		"a soft hyphen":                       {"{\u00ad\"a\": 1}", "line 1, column 2: this is an invisible character (U+00AD): remove it"},
		"a mark of direction":                 {"\u200e{}", "line 1, column 1: this is an invisible character (U+200E): remove it"},
		"a separator of lines":                {"[\u20281]", "line 1, column 2: this is a blank that JSON does not have (U+2028)"},
		"an en quad":                          {"[\u20001]", "this is a blank that JSON does not have (U+2000)"},
		"a variable of a shell":               {`{"a": $VLAN}`, "line 1, column 7: this is a variable that nothing filled in: write its value"},
		"a variable in braces":                {`[${VLAN}]`, "line 1, column 2: this is a variable that nothing filled in"},
		"a variable of make":                  {`[$(VLAN)]`, "line 1, column 2: this is a variable that nothing filled in"},
		"a quote that a block kept":           {"'{\"a\": 1}", "line 1, column 1: remove this quote: in a block scalar"},
		"no braces":                           {`"a": 1`, "line 1, column 1: write { before this, and } at the end"},
		"a document of YAML":                  {"---\n{\"a\": 1}", "line 1, column 1: this is YAML"},
		"a block with its indentation":        {"|2-\n{\"a\": 1}", "line 1, column 1: this is YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(c.source)
			require.NotNil(t, err)
			assert.Contains(t, err.Error(), c.want)
		})
	}
}

func TestExcerptsOfLongLinesShowWhatIsAround(t *testing.T) {
	_, err := parse(`["` + strings.Repeat("a", 200) + `" "` + strings.Repeat("b", 200) + `"]`)
	require.NotNil(t, err)
	lines := strings.Split(err.Excerpt, "\n")
	require.Len(t, lines, 2)
	assert.Less(t, len(lines[0]), 120)
	assert.Equal(t, strings.Index(lines[0], `" "`)+1-len("…")+1, len(lines[1])-1)
}

// FuzzSyntax has encoding/json for its oracle: the parser takes what that takes, and nothing else, but for a string
// with an object or a list in it, whose quotes are to go.
func FuzzSyntax(f *testing.F) {
	for _, seed := range []string{
		`{"a": [1, -2.5e+3, true, null, "\u00e4\n"], "": {}}`, `[]`, `[1,]`, `{"a":}`, `"x`, "\"\x7f\"", `"\ud800"`, "\"\xff\"", `-`, `1.`, `nullx`, `true false`,
		`{"a":1,"a":2}`, `[[[[`, "\ufeff{}", `"{"`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		v, wrong := parse(source)
		if _, both := quoted(source); both {
			require.NotNil(t, wrong)
			return
		}
		require.Equal(t, json.Valid([]byte(source)), wrong == nil, "%v", wrong)
		if wrong != nil {
			require.Positive(t, wrong.Line)
			require.Positive(t, wrong.Column)
			require.NotEmpty(t, wrong.Problem)
			return
		}
		require.True(t, json.Valid([]byte(source[v.start:v.end])))
		var said any
		require.NoError(t, json.Unmarshal([]byte(source), &said))
		require.Equal(t, said, asAny(*v))
	})
}

// asAny returns a value as encoding/json reads it.
func asAny(v value) any {
	switch v.kind {
	case object:
		m := map[string]any{}
		for _, member := range v.members {
			m[member.key] = asAny(member.value)
		}
		return m
	case list:
		l := make([]any, 0, len(v.elements))
		for _, e := range v.elements {
			l = append(l, asAny(e))
		}
		return l
	case text:
		return v.text
	case null:
		return nil
	default:
		var said any
		_ = json.Unmarshal([]byte(v.text), &said) // the parser found it valid
		return said
	}
}

// Else a NAD of a megabyte took so long to read that it was let in without an answer.
func TestATextCostsNothing(t *testing.T) {
	for _, ordinary := range []string{"eth1", "$", "<", "{"} {
		assert.Zero(t, testing.AllocsPerRun(1, func() { strange(ordinary) }), "%s", ordinary)
	}
}
