// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"
	"maps"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
)

// A Summary is what the enactments of a policy come to.
type Summary struct {
	// Generation is that of the policy.
	Generation int64
	// State is the condition that is True, Message what it says.
	State   nmstate.ConditionType
	Message string
	// Unavailable is how many nodes have a turn that is not finished, or have failed.
	Unavailable int
	// Available, Failed, Aborted and Pending are how many nodes are that; those left have a turn.
	Available, Failed, Aborted, Pending int
}

// counts are numbers of members, with turns as they are once the decision is carried out. Those that are not ready and
// have not finished are ignored, unless none is ready: there would be nobody left to speak of.
type counts struct{ available, failed, aborted, finished, pending, ready, ignored, unavailable int }

func count(p Policy, members []*member) counts {
	var n counts
	for _, m := range members {
		done := m.enactment.done(p)
		switch e := m.enactment; {
		case done && e.is(nmstate.EnactmentAborted):
			n.aborted++
		case done && e.failed():
			n.failed++
			n.unavailable++
		case done:
			n.available++
		case e.begun() || m.next == gets:
			n.unavailable++
		default:
			n.pending++
		}
		if !m.node.NotReady {
			n.ready++
		} else if !done {
			n.ignored++
		}
	}
	n.finished = n.available + n.failed + n.aborted
	if n.ready == 0 {
		n.ignored = 0
	}
	return n
}

// summarize words the state of a rollout as kubernetes-nmstate does. One failed node makes a policy Degraded, while
// others may still be at work.
func summarize(p Policy, members []*member) Summary {
	n, total := count(p, members), len(members)
	s := Summary{
		Generation: p.Generation, Unavailable: n.unavailable,
		Available: n.available, Failed: n.failed, Aborted: n.aborted, Pending: n.pending,
	}
	switch considered := total - n.ignored; {
	case total == 0:
		s.State, s.Message = nmstate.PolicyIgnored, "Policy does not match any node"
	case p.Empty:
		s.State, s.Message = nmstate.PolicyAvailable, fmt.Sprintf("%d/%d nodes successfully configured", total, total)
	case n.failed+n.aborted > 0:
		s.State = nmstate.PolicyDegraded
		s.Message = fmt.Sprintf("%d/%d nodes failed to configure", n.failed, total) + some(
			n.aborted,
			"nodes aborted configuration",
		)
	case n.finished < considered:
		s.State = nmstate.PolicyProgressing
		s.Message = fmt.Sprintf("Policy is progressing %d/%d nodes finished", n.finished, considered) +
			some(n.pending, "pending") + some(n.ignored, "nodes ignored due to NotReady state")
	default:
		s.State = nmstate.PolicyAvailable
		s.Message = fmt.Sprintf("%d/%d nodes successfully configured", n.available, total) +
			some(n.ignored, "nodes ignored due to NotReady state")
	}
	return s
}

func some(n int, what string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %d %s", n, what)
}

// A Change is how much a status differs from the one before.
type Change int

const (
	// Same statuses need no write.
	Same Change = iota
	// Detail is a change of messages and counts.
	Detail
	// Turnover is a change of what is true, or why.
	Turnover
)

// Status returns the policy's status after old, and how much that changes. Fields of old that the summary does not know
// stay.
func (s Summary) Status(old nmstate.PolicyStatus, now metav1.Time) (nmstate.PolicyStatus, Change) {
	status, change := old, Same
	for _, c := range s.conditions() {
		before := nmstate.Find(status.Conditions, c.Type)
		var changed bool
		if status.Conditions, changed = nmstate.Set(status.Conditions, c, now); changed {
			change = max(change, Detail)
		}
		if before == nil || before.Status != c.Status || before.Reason != c.Reason {
			change = Turnover
		}
	}
	if old.ObservedGeneration != s.Generation {
		status.ObservedGeneration, change = s.Generation, Turnover
	}
	var byGeneration map[string]int
	if s.Unavailable > 0 && s.State != nmstate.PolicyAvailable {
		byGeneration = map[string]int{strconv.FormatInt(s.Generation, 10): s.Unavailable}
	}
	if old.UnavailableNodeCount != s.Unavailable || !maps.Equal(old.UnavailableNodeCountMap, byGeneration) {
		status.UnavailableNodeCount, status.UnavailableNodeCountMap = s.Unavailable, byGeneration
		status.LastUnavailableNodeCountUpdate = &now
		change = max(change, Detail)
	}
	return status, change
}

// conditions returns the rows of kubernetes-nmstate's matrix, down to a policy that has failed not progressing for the
// reason that it progresses.
func (s Summary) conditions() []nmstate.Condition {
	others, reason := corev1.ConditionFalse, nmstate.ReasonSuccessfullyConfigured
	switch s.State {
	case nmstate.PolicyIgnored:
		reason = nmstate.ReasonNoMatchingNode
	case nmstate.PolicyDegraded:
		reason = nmstate.ReasonFailedToConfigure
	case nmstate.PolicyProgressing:
		others, reason = corev1.ConditionUnknown, nmstate.ReasonConfigurationProgressing
	}
	conditions := []nmstate.Condition{
		{Type: nmstate.PolicyAvailable, Status: others, Reason: reason},
		{Type: nmstate.PolicyDegraded, Status: others, Reason: reason},
		{Type: nmstate.PolicyProgressing, Status: corev1.ConditionFalse, Reason: reason},
		{Type: nmstate.PolicyIgnored, Status: corev1.ConditionFalse, Reason: reason},
	}
	if s.State == nmstate.PolicyDegraded {
		nmstate.Find(conditions, nmstate.PolicyProgressing).Reason = nmstate.ReasonConfigurationProgressing
	}
	now := nmstate.Find(conditions, s.State)
	now.Status, now.Message = corev1.ConditionTrue, s.Message
	return conditions
}
