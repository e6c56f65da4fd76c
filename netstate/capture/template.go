// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// A reference is a template in a text: what is before it, what it refers to, and what is behind it.
type reference struct {
	before, after string
	capture       string
	path          path
}

// templates begin and end with these.
const (
	opening = "{{"
	closing = "}}"
)

// find reads the template of a text. ok is false where there is none.
func find(s string) (r reference, ok bool, err error) {
	before, rest, ok := strings.Cut(s, opening)
	if !ok {
		return r, false, nil
	}
	inside, after, closed := strings.Cut(rest, closing)
	if !closed {
		return r, true, fmt.Errorf("the template has no end: write {{ capture.<name>.<path> }}")
	}
	if strings.Contains(after, opening) {
		return r, true, fmt.Errorf("a string can hold one template only")
	}
	steps := strings.Split(strings.TrimSpace(inside), ".")
	if len(steps) < 3 || steps[0] != prefix || contains(steps, "") {
		return r, true, fmt.Errorf("a template is written {{ capture.<name>.<path> }}")
	}
	return reference{before: before, after: after, capture: steps[1], path: steps[2:]}, true, nil
}

// Templates returns the paths of the texts of a desired state that have a template in them, in no particular order.
func Templates(desired any, at *field.Path) []string {
	var paths []string
	walk(desired, at, func(s string, at *field.Path) {
		if strings.Contains(s, opening) {
			paths = append(paths, at.String())
		}
	})
	return paths
}

// Check lists the templates of a desired state that are not written as templates are, or that refer to captures which
// the program does not have.
func (p Program) Check(desired any, at *field.Path) field.ErrorList {
	names := map[string]bool{}
	for _, c := range p.captures {
		names[c.name] = true
	}
	var problems field.ErrorList
	walk(desired, at, func(s string, at *field.Path) {
		r, ok, err := find(s)
		switch {
		case err != nil:
			problems = append(problems, field.Invalid(at, s, err.Error()))
		case ok && !names[r.capture]:
			problems = append(problems, field.Invalid(at, s, fmt.Sprintf("there is no capture %q in spec.capture", r.capture)))
		}
	})
	return problems
}

// walk visits every text below a value.
func walk(v any, at *field.Path, visit func(string, *field.Path)) {
	switch node := v.(type) {
	case string:
		visit(node, at)
	case []any:
		for i, entry := range node {
			walk(entry, at.Index(i), visit)
		}
	case map[string]any:
		for key, entry := range node {
			if at == nil {
				walk(entry, field.NewPath(key), visit)
				continue
			}
			walk(entry, at.Child(key), visit)
		}
	}
}

// Render returns a desired state with what was captured in the place of its templates. A template that is a whole text,
// apart from blanks and line breaks, becomes whatever was captured; one with something around it must have captured a
// text.
func Render(desired any, captured map[string]any) (any, error) {
	switch node := desired.(type) {
	case string:
		return renderText(node, captured)
	case []any:
		rendered := make([]any, len(node))
		for i, entry := range node {
			var err error
			if rendered[i], err = Render(entry, captured); err != nil {
				return nil, err
			}
		}
		return rendered, nil
	case map[string]any:
		rendered := make(map[string]any, len(node))
		for key, entry := range node {
			value, err := Render(entry, captured)
			if err != nil {
				return nil, err
			}
			rendered[key] = value
		}
		return rendered, nil
	default:
		return desired, nil
	}
}

func renderText(s string, captured map[string]any) (any, error) {
	r, ok, err := find(s)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", s, err)
	}
	if !ok {
		return s, nil
	}
	state, there := captured[r.capture]
	if !there {
		return nil, fmt.Errorf("%q: there is no capture %q", s, r.capture)
	}
	value, err := r.path.get(state)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", s, err)
	}
	if strings.TrimSpace(r.before) == "" && strings.TrimSpace(r.after) == "" {
		return value, nil
	}
	written, isText := value.(string)
	if !isText {
		return nil, fmt.Errorf("%q: the captured value is not a string, so it cannot be part of a longer one", s)
	}
	return r.before + written + r.after, nil
}
