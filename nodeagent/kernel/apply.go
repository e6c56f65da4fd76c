// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// An ApplyError says which step of a plan failed, and how undoing those before it went.
type ApplyError struct {
	// Step is the step that failed, the Number-th of Total, counted from 1.
	Step          netstate.Step
	Number, Total int
	// Cause is why. Undo joins why inverses failed; nil means that the node is as it was.
	Cause, Undo error
}

// Error returns one line a failure: the cause first, then what could not be undone.
func (e *ApplyError) Error() string {
	text := fmt.Sprintf("step %d of %d: %v", e.Number, e.Total, e.Cause)
	if e.Undo != nil {
		return text + "; and it could not all be undone: " + e.Undo.Error()
	}
	return text + "; all steps before it were undone"
}

// Unwrap returns the cause and what failed while undoing.
func (e *ApplyError) Unwrap() []error { return []error{e.Cause, e.Undo} }

// Apply carries out the steps in order. When one fails, the steps before it are undone, newest first, and
// the error is an *ApplyError with both stories. It touches what the steps name and nothing else: ports
// somebody else attached stay, and links that no step made are not removed.
func Apply(node Node, steps []netstate.Step) error {
	for n, step := range steps {
		if err := node.Do(step); err != nil {
			return &ApplyError{Step: step, Number: n + 1, Total: len(steps), Cause: err, Undo: Undo(node, steps[:n])}
		}
	}
	return nil
}

// Undo carries out the inverses of steps, newest first. One that fails does not keep the others from
// being tried: what can be restored is restored. The error joins all failures.
func Undo(node Node, steps []netstate.Step) error {
	var errs []error
	for _, inverse := range netstate.Invert(steps) {
		if err := node.Do(inverse); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
