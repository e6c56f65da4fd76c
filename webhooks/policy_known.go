// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// except leaves out the problems at some paths and below them.
func except(problems field.ErrorList, paths []string) field.ErrorList {
	var left field.ErrorList
	known := map[string]bool{}
	for _, path := range paths {
		known[path] = true
	}
	for _, problem := range problems {
		if !covered(problem.Field, known) {
			left = append(left, problem)
		}
	}
	return left
}

// covered reports whether a path, or one above it, is known.
func covered(path string, known map[string]bool) bool {
	for path != "" {
		if known[path] {
			return true
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return false
}

func fieldsOf(problems field.ErrorList) []string {
	var paths []string
	for _, problem := range problems {
		paths = append(paths, problem.Field)
	}
	return paths
}

// entriesOf returns the outermost list entries that paths lead into: interfaces[2] of
// interfaces[2].bridge.port[0].name.
func entriesOf(paths []string) []string {
	var entries []string
	for _, path := range paths {
		if end := strings.IndexByte(path, ']'); end >= 0 {
			path = path[:end+1]
		}
		entries = append(entries, path)
	}
	return entries
}

const (
	// maxProblems is how many problems a refusal has.
	maxProblems = 20
	// maxValueLength is how much of a wrong value a refusal repeats.
	maxValueLength = 60
)

// brief returns what a person reads of many problems.
func brief(problems field.ErrorList) field.ErrorList {
	var shown field.ErrorList
	for _, problem := range problems[:min(len(problems), maxProblems)] {
		short := *problem
		if text, ok := short.BadValue.(string); ok && len(text) > maxValueLength &&
			!strings.Contains(short.Field, "capture") {
			short.BadValue = strings.ToValidUTF8(text[:maxValueLength], "") + "…"
		}
		shown = append(shown, &short)
	}
	if more := len(problems) - len(shown); more > 0 {
		shown = append(shown, field.Invalid(desiredStatePath(), field.OmitValueType{}, fmt.Sprintf("%d more problems", more)))
	}
	return shown
}
