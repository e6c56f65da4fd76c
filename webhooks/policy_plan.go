// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

const (
	// maxPlanLength bounds the annotation in bytes. All annotations of an object may have 256 KiB.
	maxPlanLength = 64 << 10
	// staleAfter is how long a state may not have changed without that being said.
	staleAfter = 10 * time.Minute
)

// warnPlans says what a policy would do, once for all nodes to which it would do the same: a line that names them and
// one for every cost, and after those one for every step. If there is no room for all, steps are left out and not
// costs. Lines of several plans have the plan's number: the API server passes a text on once, and what two plans have
// in common would be missing in the second.
func warnPlans(verdict *Verdict, all []nodePlan, now time.Time) {
	if len(all) == 0 {
		verdict.warn("no plan: none of the selected nodes has reported its state")
		return
	}
	said, nodes := grouped(all, plans)
	var steps []string
	for n, plan := range said {
		number := ""
		if len(said) > 1 {
			number = fmt.Sprintf("[%d] ", n+1)
		}
		verdict.warn("%s", number+planTitle(plan, nodes[plan], now))
		for line := range strings.Lines(plan) {
			line = "  " + number + strings.TrimSuffix(line, "\n")
			if strings.HasPrefix(line, "  "+number+netstate.CostMark) {
				verdict.warn("%s", line)
				continue
			}
			steps = append(steps, line)
		}
	}
	for _, step := range steps {
		verdict.warn("%s", step)
	}
}

// planText returns the same for the annotation, with the problems of nodes that have no plan, and every node named.
func planText(all []nodePlan, unseen int, now time.Time) string {
	var text strings.Builder
	switch {
	case unseen > 0:
		fmt.Fprintf(&text, "# %d more nodes were not checked for lack of time\n", unseen)
	case len(all) == 0:
		text.WriteString("none of the selected nodes has reported its state\n")
	}
	said, nodes := grouped(all, plans)
	for _, plan := range said {
		text.WriteString(
			"# " + strings.Join(names(nodes[plan]), ", ") + "\n# " + planTitle(plan, nodes[plan], now) + "\n" + plan,
		)
	}
	said, nodes = grouped(all, func(p nodePlan) []string { return p.problems })
	for _, problem := range said {
		text.WriteString("# " + strings.Join(names(nodes[problem]), ", ") + "\n# cannot be configured: " + problem + "\n")
	}
	if text.Len() > maxPlanLength {
		return strings.ToValidUTF8(text.String()[:maxPlanLength], "") + "…\n"
	}
	return text.String()
}

// plans returns the plan of a node, if it has one.
func plans(p nodePlan) []string {
	if len(p.problems) > 0 {
		return nil
	}
	return []string{p.plan}
}

func planTitle(plan string, nodes []nodePlan, now time.Time) string {
	title := "plan for " + someOf(names(nodes))
	if plan == "" {
		title += ": nothing to do"
	}
	oldest := nodes[0].changed
	for _, p := range nodes {
		if p.changed.Before(oldest) {
			oldest = p.changed
		}
	}
	if age := now.Sub(oldest); !oldest.IsZero() && age > staleAfter {
		title += fmt.Sprintf(" (from a state that last changed %s ago)", duration.HumanDuration(age))
	}
	return title
}
