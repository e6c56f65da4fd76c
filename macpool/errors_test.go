// SPDX-License-Identifier: Apache-2.0

package macpool

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestErrorsSayWhatIsWrong(t *testing.T) {
	m := MAC{2, 0, 0, 0, 0, 1}
	pod := func(namespace string) Object { return Object{Kind: KindPod, Namespace: namespace, Name: "p"} }
	nameless := Object{Kind: KindVM, Namespace: "default", GenerateName: "vm-", Claim: "c"}
	for name, tc := range map[string]struct {
		err  error
		want string
	}{
		"a holder of one's own namespace is named": {
			err:  &TakenError{MAC: m, Holder: Holder{Object: vmNamed("vma")}, Asker: vmNamed("vmb")},
			want: "02:00:00:00:00:01 is held by VirtualMachine default/vma",
		},
		"a holder that has no name yet": {
			err:  &TakenError{MAC: m, Holder: Holder{Object: nameless, Interface: "net"}, Asker: vmNamed("vmb")},
			want: "02:00:00:00:00:01 is held by VirtualMachine default/vm-* for its interface net",
		},
		"a pod elsewhere, to a VM": {
			err:  &TakenError{MAC: m, Holder: Holder{Object: pod("other")}, Asker: vmNamed("vmb")},
			want: "02:00:00:00:00:01 is held by a pod, in another namespace",
		},
		"a pod elsewhere, to a pod": {
			err:  &TakenError{MAC: m, Holder: Holder{Object: pod("other")}, Asker: pod("default")},
			want: "02:00:00:00:00:01 is held by another pod, in another namespace",
		},
		"a VM elsewhere, to a pod": {
			err:  &TakenError{MAC: m, Holder: Holder{Object: vmNamed("vma")}, Asker: pod("other")},
			want: "02:00:00:00:00:01 is held by a VM, in another namespace",
		},
		"busy": {
			err:  &BusyError{MAC: m, After: 1600 * time.Millisecond, Why: "is being released"},
			want: "02:00:00:00:00:01 is being released: try again in 2s",
		},
		"reserved": {
			err: &ReservedError{MAC: m, Replica: "r1"}, want: "02:00:00:00:00:01 is reserved by replica r1",
		},
		"no pool": {
			err: &NoPoolError{Namespace: "default"},
			want: "no MACPool serves namespace default: create one without spec.namespaceSelector, or one whose selector " +
				"matches the namespace",
		},
		"not ready, for a reason": {
			err:  &NotReadyError{Why: "the labels of namespace default are not known yet"},
			want: "the labels of namespace default are not known yet: try again in a moment",
		},
		"no pool at all": {
			err:  &NoPoolError{Namespace: "default", None: true},
			want: "there is no MACPool now, or none is known yet; one is made where there is none: try again in a moment",
		},
		"a pool that is full as far as is known": {
			err: &ExhaustedError{Pool: "p", Usage: Usage{Total: 200, Used: 200}, Unseen: 136},
			want: "MACPool p is exhausted: 200 of its 200 addresses are used, of 136 of those used it is not known yet whether " +
				"they still are: try again in a moment, or add a range to its spec.ranges",
		},
		"busy for less than a second": {
			err:  &BusyError{MAC: m, After: 300 * time.Millisecond, Why: "is being released"},
			want: "02:00:00:00:00:01 is being released: try again in 1s",
		},
		"exhausted for good": {
			err: &ExhaustedError{Pool: "p", Usage: Usage{Used: 3, Total: 3}},
			want: "MACPool p is exhausted: 3 of its 3 addresses are used; add a range to its spec.ranges, " +
				"or delete VMs or pods that are not needed",
		},
		"exhausted by rows that cannot be read": {
			err: &ExhaustedError{
				Pool: "p", Usage: Usage{Used: 1, Total: 6, Unread: 5}, Unreadable: []Prefix{{2}, {2, 1}, {2, 2}, {2, 3}},
			},
			want: "MACPool p is exhausted: 1 of its 6 addresses are used, 5 have a row in MACBlock 02-00-00-00-00, " +
				"02-01-00-00-00, 02-02-00-00-00, and 1 more that cannot be read; correct or remove those rows, or " +
				"add a range to its spec.ranges, or delete VMs or pods that are not needed",
		},
		"exhausted, and nobody has any": {
			err: &ExhaustedError{Pool: "p", Needed: 2},
			want: "MACPool p is exhausted: 0 of its 0 addresses are used, and 2 are asked for at once; " +
				"add a range to its spec.ranges",
		},
		"exhausted, and too small whoever goes": {
			err: &ExhaustedError{Pool: "p", Usage: Usage{Used: 2, Total: 2}, Needed: 3},
			want: "MACPool p is exhausted: 2 of its 2 addresses are used, and 3 are asked for at once; " +
				"add a range to its spec.ranges",
		},
		"exhausted for now": {
			err: &ExhaustedError{Pool: "p", Usage: Usage{Used: 2, Reserved: 1, Total: 3}, Young: 1, Needed: 1},
			want: "MACPool p is exhausted: 2 of its 3 addresses are used, 1 are reserved by replicas of the webhook, " +
				"1 were given out less than a minute or so ago, perhaps to objects that were not created after all: " +
				"try again in a moment, or add a range to its spec.ranges",
		},
		"exhausted until what is gone is free": {
			err: &ExhaustedError{Pool: "p", Usage: Usage{Used: 3, Total: 3}, Left: 1, Needed: 1},
			want: "MACPool p is exhausted: 3 of its 3 addresses are used, 1 or more of those used were given up just now: " +
				"try again in a moment, or add a range to its spec.ranges",
		},
		"exhausted where nobody can tell who has the rest": {
			err: &ExhaustedError{Pool: "p", Usage: Usage{Unread: 2, Total: 2}, Needed: 1},
			want: "MACPool p is exhausted: 0 of its 2 addresses are used, 2 have a row in a MACBlock that cannot be read; " +
				"correct or remove those rows, or add a range to its spec.ranges",
		},
	} {
		t.Run(name, func(t *testing.T) { assert.EqualError(t, tc.err, tc.want) })
	}
}

func TestAskingMoreThanMayComeBackIsNotHelpedByAskingAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		e    ExhaustedError
		want bool
	}{
		"all may come back":                   {e: ExhaustedError{Usage: Usage{Used: 2, Reserved: 1, Total: 3}, Young: 2, Needed: 3}, want: true},
		"some were freed meanwhile":           {e: ExhaustedError{Usage: Usage{Used: 2, Total: 3}, Needed: 1}, want: true},
		"how many were given up is not known": {e: ExhaustedError{Usage: Usage{Used: 3, Total: 3}, Left: 1, Needed: 2}, want: true},
		"fewer may come back":                 {e: ExhaustedError{Usage: Usage{Used: 2, Reserved: 1, Total: 3}, Needed: 2}},
		"none may":                            {e: ExhaustedError{Usage: Usage{Used: 3, Total: 3}, Needed: 1}},
		"there never were so many":            {e: ExhaustedError{Usage: Usage{Reserved: 3, Total: 3}, Left: 1, Needed: 4}},
		"the rest cannot be read":             {e: ExhaustedError{Usage: Usage{Used: 1, Unread: 2, Total: 3}, Needed: 1}},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tc.want, tc.e.Passing()) })
	}
}
