// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
)

// status returns that of an enactment of which these conditions are true.
func status(generation int64, attempts int, conditions ...nmstate.ConditionType) nmstate.EnactmentStatus {
	s := nmstate.EnactmentStatus{
		PolicyGeneration: generation,
		RetryCount:       map[string]int{fmt.Sprint(generation): attempts},
	}
	for _, c := range conditions {
		s.Conditions = append(s.Conditions, nmstate.Condition{Type: c, Status: corev1.ConditionTrue})
	}
	return s
}

func TestWhatIsToBeDone(t *testing.T) {
	const available, failing = nmstate.EnactmentAvailable, nmstate.EnactmentFailing
	const progressing, aborted = nmstate.EnactmentProgressing, nmstate.EnactmentAborted
	policy := func(name string, turn int64, s nmstate.EnactmentStatus) Policy {
		return Policy{Name: name, Generation: 2, Turn: turn, Heal: true, Selected: true, Status: s}
	}
	record := func(name string) journal.Record { return journal.Record{Policy: name, Generation: 1, Heal: true} }
	for name, c := range map[string]struct {
		policies []Policy
		records  []journal.Record
		want     string
	}{
		"nothing without a turn":                    {[]Policy{policy("p", 0, nmstate.EnactmentStatus{})}, nil, ""},
		"nothing with a turn for an older one":      {[]Policy{policy("p", 1, status(1, 1, available))}, nil, ""},
		"a new turn":                                {[]Policy{policy("p", 2, nmstate.EnactmentStatus{})}, nil, "apply p"},
		"a new turn after an older generation":      {[]Policy{policy("p", 2, status(1, 1, available))}, []journal.Record{record("p")}, "apply p"},
		"a turn that succeeded":                     {[]Policy{policy("p", 2, status(2, 1, available))}, []journal.Record{record("p")}, ""},
		"a turn that failed":                        {[]Policy{policy("p", 2, status(2, 1, failing))}, nil, ""},
		"a turn that failed and may succeed by now": {[]Policy{policy("again", 2, status(2, maxAttempts, failing))}, nil, "apply again"},
		"a turn of which the node knows nothing":    {[]Policy{policy("again", 2, status(2, 1, available))}, nil, "apply again"},
		"a policy that is another one of its name": {
			[]Policy{{Name: "p", UID: "new", Generation: 1, Turn: 1, Selected: true}}, []journal.Record{{Policy: "p", UID: "old", Generation: 1}},
			"orphan p, apply p",
		},
		"a policy on record since before there were UIDs": {
			[]Policy{{Name: "p", UID: "new", Generation: 2, Turn: 2, Heal: true, Selected: true, Status: status(2, 1, available)}},
			[]journal.Record{record("p")}, "",
		},
		"a policy on record twice, since a crash came before the record without a UID was dropped": {
			[]Policy{{Name: "p", UID: "new", Generation: 2, Turn: 2, Heal: true, Revert: true, Selected: true, Status: status(2, 1, available)}},
			[]journal.Record{
				{Policy: "p", Generation: 1, Heal: true, Revert: true},
				{Policy: "p", UID: "new", Generation: 2, Heal: true, Revert: true},
			}, "",
		},
		"a turn that was aborted":                   {[]Policy{policy("p", 2, status(2, 0, aborted))}, nil, ""},
		"a turn that a crash cut short":             {[]Policy{policy("p", 2, status(2, 1, progressing))}, nil, "apply p"},
		"a turn that fails, and is still under way": {[]Policy{policy("p", 2, status(2, 1, failing, progressing))}, nil, "apply p"},
		"a turn that crashes again and again":       {[]Policy{policy("p", 2, status(2, maxAttempts, progressing))}, nil, "give up p"},
		"several by name, what ends first": {
			[]Policy{policy("b", 2, nmstate.EnactmentStatus{}), policy("a", 2, nmstate.EnactmentStatus{})}, []journal.Record{record("z")},
			"orphan z, apply a, apply b",
		},
		"a policy that is gone": {nil, []journal.Record{record("p")}, "orphan p"},
		"a policy that is gone and is to be undone": {
			nil, []journal.Record{{Policy: "p", Revert: true}}, "revert p",
		},
		"a policy that does not select the node any more": {
			[]Policy{{Name: "p", Generation: 2, Turn: 2}}, []journal.Record{record("p")}, "orphan p",
		},
		"a policy that does not select the node any more and is to be undone since then": {
			[]Policy{{Name: "p", Generation: 2, Turn: 2, Revert: true}}, []journal.Record{record("p")}, "annotate p, revert p",
		},
		"a policy that does not select the node any more and is not to be undone since then": {
			[]Policy{{Name: "p", Generation: 2, Turn: 2}}, []journal.Record{{Policy: "p", Revert: true}}, "annotate p, orphan p",
		},
		"a policy that was gone before": {nil, []journal.Record{{Policy: "p", Orphan: true, Revert: true}}, ""},
		"an annotation that changed":    {[]Policy{{Name: "p", Generation: 2, Turn: 2, Selected: true, Status: status(2, 1, available)}}, []journal.Record{record("p")}, "annotate p"},
		"a deadline that changed": {
			[]Policy{{
				Name: "p", Generation: 2, Turn: 2, Selected: true, Status: status(2, 1, available), Heal: true,
				ProbeDeadline: time.Minute,
			}}, []journal.Record{record("p")}, "annotate p",
		},
		"a policy that came back by name": {[]Policy{policy("p", 2, nmstate.EnactmentStatus{})}, []journal.Record{{Policy: "p", Orphan: true}}, "apply p"},
	} {
		t.Run(name, func(t *testing.T) {
			records := map[string]journal.Record{}
			for _, r := range c.records {
				records[r.Key()] = r
			}
			var got []string
			for _, task := range tasks(c.policies, records, func(p Policy) bool { return p.Name == "again" }) {
				got = append(got, string(task.verb)+" "+task.policy.Name)
			}
			assert.Equal(t, c.want, strings.Join(got, ", "))
		})
	}
}
