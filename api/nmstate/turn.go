// SPDX-License-Identifier: Apache-2.0

package nmstate

import "strconv"

// The controller and the agents speak to each other by enactments: the controller grants a node the turn to apply a
// generation of a policy, and the agent says in the status how far it is. What both must read alike is here.

// EnactmentName returns the name of the enactment of a policy on a node.
func EnactmentName(node, policy string) string { return node + "." + policy }

// TurnOf returns the generation of the policy that an enactment's node may apply, by the enactment's annotations. It is
// 0 where there is no turn; what is no generation is no turn.
func TurnOf(annotations map[string]string) int64 {
	generation, err := strconv.ParseInt(annotations[TurnAnnotation], 10, 64)
	if err != nil || generation < 0 {
		return 0
	}
	return generation
}

// FormatTurn returns the value of TurnAnnotation that grants a generation.
func FormatTurn(generation int64) string { return strconv.FormatInt(generation, 10) }

// Finished reports whether the status is the last word on a generation: the node has it, has failed to take it and does
// not try again, or gave it up.
func (s EnactmentStatus) Finished(generation int64) bool {
	return s.PolicyGeneration == generation &&
		(IsTrue(s.Conditions, EnactmentAvailable) || s.Failed() || IsTrue(s.Conditions, EnactmentAborted))
}

// Failed reports whether the node could not be configured, and does not try again.
func (s EnactmentStatus) Failed() bool {
	return IsTrue(s.Conditions, EnactmentFailing) && !IsTrue(s.Conditions, EnactmentProgressing)
}
