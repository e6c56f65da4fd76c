// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"cmp"
	"math"
	"reflect"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// addRule adds one rule. It looks for itself whether the rule is there: what the kernel takes for it (NLM_F_EXCL) may
// be one that has a TOS besides (fib4_rule_compare in net/ipv4/fib_rules.c).
func (k *Kernel) addRule(r netstate.RouteRule) error {
	rules, err := k.readRules()
	if err != nil {
		return err
	}
	if slices.ContainsFunc(rules, func(other netstate.RouteRule) bool { return sameRule(other, r) }) {
		return unix.EEXIST
	}
	return k.writeRule(unix.RTM_NEWRULE, unix.NLM_F_CREATE, r)
}

// removeRule removes one rule and no other. The kernel removes the first that has everything the request says, and may
// have more (rule_find in net/core/fib_rules.c): where it took another for it, that one is put back, behind the rules
// of its priority, and the next is tried.
func (k *Kernel) removeRule(r netstate.RouteRule) error {
	before, err := k.readRules()
	if err != nil {
		return err
	}
	same := func(other netstate.RouteRule) bool { return sameRule(other, r) }
	if !slices.ContainsFunc(before, same) {
		return unix.ENOENT
	}
	for range before {
		if err := k.writeRule(unix.RTM_DELRULE, 0, r); err != nil {
			return err
		}
		after, err := k.readRules()
		if err != nil {
			return err
		}
		lost, found := missingRule(before, after)
		if !found || sameRule(lost, r) {
			return nil
		}
		if err := k.writeRule(unix.RTM_NEWRULE, unix.NLM_F_CREATE, lost); err != nil {
			return err
		}
		if before, err = k.readRules(); err != nil {
			return err
		}
	}
	return unix.EBUSY // somebody else adds rules like it all the time
}

// missingRule returns the rule that is in one list and not in another.
func missingRule(before, after []netstate.RouteRule) (lost netstate.RouteRule, found bool) {
	left := slices.Clone(after)
	for _, r := range before {
		at := slices.IndexFunc(left, func(other netstate.RouteRule) bool { return reflect.DeepEqual(other, r) })
		if at < 0 {
			return r, true
		}
		left = slices.Delete(left, at, at+1)
	}
	return lost, false
}

// sameRule reports whether two rules are one for the kernel, whoever made them.
func sameRule(a, b netstate.RouteRule) bool {
	for _, r := range []*netstate.RouteRule{&a, &b} {
		r.State, r.Exact, r.Protocol = "", false, 0
		if r.FWMark != nil && r.FWMask == nil {
			r.FWMask = new(math.MaxUint32)
		}
		if value(r.IIF) == "" {
			r.IIF = nil
		}
		if value(r.Action) == "" {
			r.Action = nil
		}
		family := "ipv4"
		if cmp.Or(value(r.Family), "ipv4") == "ipv6" || r.IPFrom.Addr().Is6() || r.IPTo.Addr().Is6() {
			family = "ipv6"
		}
		r.Family = &family
	}
	return reflect.DeepEqual(a, b)
}
