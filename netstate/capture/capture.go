// SPDX-License-Identifier: Apache-2.0

// Package capture evaluates the captures of a policy: nmpolicy's expressions over the current state of a node, which
// find parts of it by what they say, change what was found, and put it into the desired state. It knows states as what
// JSON decodes to (maps, slices, strings, numbers, booleans), so it needs no knowledge of links or routes. It reads no
// clock, file or socket, and modifies no argument.
//
//	expression = path | [ "capture." name ( "|" | "." ) ] path ( "==" | ":=" ) value
//	value      = text in single or double quotes | word | null | "capture." name "." path
//	path       = name { "." ( name | number ) }
//	template   = "{{" "capture." name "." path "}}"
package capture

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// A Program is the captures of a policy, in an order in which each comes after those it refers to. The zero Program has
// none.
type Program struct {
	captures []capture
}

// A capture is one expression under its name.
type capture struct {
	name string
	expression
}

// Parse reads the captures of a policy by their names. Every problem is at the path of its capture and shows the
// expression with a caret under the place.
func Parse(expressions map[string]string, at *field.Path) (Program, field.ErrorList) {
	parsed := map[string]capture{}
	var problems field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(expressions)) {
		e, err := parseExpression(expressions[name])
		if err != nil {
			problems = append(problems, field.Invalid(at.Key(name), expressions[name], err.Error()))
			continue
		}
		parsed[name] = capture{name, e}
	}
	for _, name := range slices.Sorted(maps.Keys(parsed)) {
		for _, other := range parsed[name].uses() {
			if _, ok := expressions[other]; !ok {
				problems = append(problems, field.Invalid(at.Key(name), expressions[name], fmt.Sprintf(
					"there is no capture %q; there are %s", other, strings.Join(slices.Sorted(maps.Keys(expressions)), ", "))))
			}
		}
	}
	if len(problems) > 0 {
		return Program{}, problems
	}
	order, ring := sorted(parsed)
	if len(ring) > 0 {
		return Program{}, field.ErrorList{field.Invalid(at.Key(ring[0]), expressions[ring[0]],
			"captures refer to each other in a cycle: "+strings.Join(append(ring, ring[0]), " → "))}
	}
	return Program{captures: order}, nil
}

// sorted puts captures behind those they use, or returns a ring of them.
func sorted(parsed map[string]capture) (order []capture, ring []string) {
	done := map[string]bool{}
	var trail []string
	var visit func(name string) bool
	visit = func(name string) bool {
		if done[name] {
			return true
		}
		if i := slices.Index(trail, name); i >= 0 {
			ring = slices.Clone(trail[i:])
			return false
		}
		trail = append(trail, name)
		for _, other := range parsed[name].uses() {
			if !visit(other) {
				return false
			}
		}
		trail = trail[:len(trail)-1]
		done[name] = true
		order = append(order, parsed[name])
		return true
	}
	for _, name := range slices.Sorted(maps.Keys(parsed)) {
		if !visit(name) {
			return nil, ring
		}
	}
	return order, nil
}

// Resolve evaluates the captures against a current state. One that is in found is not evaluated again: what a policy
// found first, it keeps, since it may move the very thing it looked for. The result has all captures. An expression
// that finds nothing is an error.
func (p Program) Resolve(current any, found map[string]any) (map[string]any, error) {
	all := maps.Clone(found)
	if all == nil {
		all = map[string]any{}
	}
	for _, c := range p.captures {
		if _, ok := all[c.name]; ok {
			continue
		}
		value, err := c.evaluate(current, all)
		if err != nil {
			return nil, fmt.Errorf("capture %s (%s): %w", c.name, c.source, err)
		}
		all[c.name] = value
	}
	return all, nil
}

// An expression is a parsed expression.
type expression struct {
	source string
	input  string // the capture whose result is looked at; "" for the current state
	path   path
	op     operator
	value  operand
}

// An operator is what an expression does with what is at its path.
type operator int

const (
	take    operator = iota // nothing: it is taken as it is
	filter                  // keep what equals a value
	replace                 // set it to a value
)

// An operand is a literal, or a reference to what a capture found.
type operand struct {
	literal any
	capture string // "" for a literal
	path    path
}

// uses returns the captures that an expression refers to.
func (e expression) uses() []string {
	var names []string
	for _, name := range []string{e.input, e.value.capture} {
		if name != "" {
			names = append(names, name)
		}
	}
	return names
}

func (e expression) evaluate(current any, found map[string]any) (any, error) {
	input := current
	if e.input != "" {
		input = found[e.input]
	}
	value := e.value.literal
	if e.value.capture != "" {
		var err error
		if value, err = e.value.path.get(found[e.value.capture]); err != nil {
			return nil, fmt.Errorf("capture.%s.%s: %w", e.value.capture, e.value.path, err)
		}
	}
	switch e.op {
	case filter:
		return e.path.filter(input, value)
	case replace:
		return e.path.set(input, value)
	default:
		return e.path.take(input)
	}
}
