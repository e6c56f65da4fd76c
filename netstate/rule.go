// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
)

// RouteRules are the policy routing rules of a node.
type RouteRules struct {
	// Config has every rule but the kernel's three (local, main, default). In a desired state it says which
	// to add and, with StateAbsent, to remove; others stay.
	Config []RouteRule `json:"config,omitzero"`
}

// A RouteRule is one policy routing rule. In a current state Family, Priority and RouteTable are set.
type RouteRule struct {
	// State is empty, or StateAbsent in a desired state: then every key left out matches anything.
	State      LinkState    `json:"state,omitzero"       words:"absent"`
	IPFrom     netip.Prefix `json:"ip-from,omitzero"`
	IPTo       netip.Prefix `json:"ip-to,omitzero"`
	Priority   *int         `json:"priority,omitzero"                   range:"0 4294967295"`
	RouteTable *int         `json:"route-table,omitzero"                range:"0 4294967295"`
	FWMark     *int         `json:"fwmark,omitzero"                     range:"0 4294967295"`
	FWMask     *int         `json:"fwmask,omitzero"                     range:"0 4294967295"`
	IIF        *string      `json:"iif,omitzero"`
	// Action is blackhole, unreachable or prohibit, instead of a table.
	Action               *string `json:"action,omitzero"                 words:"blackhole unreachable prohibit"`
	Family               *string `json:"family,omitzero"                 words:"ipv4 ipv6"` // ipv4 or ipv6
	SuppressPrefixLength *int    `json:"suppress-prefix-length,omitzero"                                        range:"0 128"`
	// Protocol is who made the rule (RTPROT_*), and Details are its other selectors.
	Protocol int    `json:"kernel-protocol,omitzero"`
	Details  Opaque `json:"kernel-details,omitzero"`
	// Exact, in a wish that Revert returns, says that the entry is about the one rule that agrees in every key,
	// also in those left out.
	Exact bool `json:"kernel-exact,omitzero"`
	// Owned marks a rule that a policy of ours named. It is knowledge about a current state that the kernel does not
	// have: Own sets it.
	Owned bool `json:"-"`
}

// family returns ipv4 or ipv6, as the addresses of the rule or else its family key say.
func (r RouteRule) family() (family string, known bool) {
	for _, prefix := range []netip.Prefix{r.IPFrom, r.IPTo} {
		switch {
		case prefix.IsValid() && prefix.Addr().Is4():
			return "ipv4", true
		case prefix.IsValid():
			return "ipv6", true
		}
	}
	if r.Family == nil {
		return "", false
	}
	return *r.Family, true
}

// selectsAll reports whether a wish for the absence of rules has no key that says which; the family is not enough.
func (r RouteRule) selectsAll() bool {
	r.State, r.Family = "", nil
	return r == RouteRule{}
}

// defaultRulePriority is what nmstate gives a rule that does not say.
const defaultRulePriority = 30000

// complete returns a desired rule with what it leaves to defaults.
func (r RouteRule) complete() RouteRule {
	r.Owned = false
	family, isKnown := r.family()
	if isKnown {
		r.Family = &family
	}
	r.IPFrom, r.IPTo = selector(r.IPFrom), selector(r.IPTo)
	if number(r.FWMark) == 0 && number(r.FWMask) == 0 {
		r.FWMark, r.FWMask = nil, nil
	}
	if r.Priority == nil {
		r.Priority = new(defaultRulePriority)
	}
	if r.RouteTable == nil || *r.RouteTable == 0 {
		r.RouteTable = new(TableMain)
	}
	return r
}

// selector returns the network that a rule looks for; none for every address there is, as the kernel has it.
func selector(network netip.Prefix) netip.Prefix {
	if network.IsValid() && network.Bits() == 0 {
		return netip.Prefix{}
	}
	return network
}

// matches reports whether every key that r sets is so in other. Of a rule that is wanted, the selectors
// always count.
func (r RouteRule) matches(other RouteRule) bool {
	wanted := r.State != StateAbsent
	other = other.complete()
	if r.Exact {
		r.State, r.Exact = "", false
		return reflect.DeepEqual(r.complete(), other)
	}
	if family, isKnown := r.family(); isKnown && family != deref(other.Family) {
		return false
	}
	if wanted && (r.RouteTable == nil || *r.RouteTable == 0) {
		r.RouteTable = new(TableMain)
	}
	if wanted && number(r.FWMark) == 0 && number(r.FWMask) == 0 {
		r.FWMark, r.FWMask = nil, nil
	}
	switch {
	case (wanted || r.IPFrom.IsValid()) && selector(r.IPFrom) != other.IPFrom,
		(wanted || r.IPTo.IsValid()) && selector(r.IPTo) != other.IPTo,
		!unsetOr(r.Priority, other.Priority), !unsetOr(r.RouteTable, other.RouteTable),
		!unsetOr(r.FWMark, other.FWMark), !unsetOr(r.FWMask, other.FWMask),
		!unsetOr(r.SuppressPrefixLength, other.SuppressPrefixLength),
		!unsetOrText(r.IIF, other.IIF), !unsetOrText(r.Action, other.Action):
		return false
	}
	return !wanted || other.Details == "" && (r.FWMark != nil || other.FWMark == nil) && (r.IIF != nil || deref(other.IIF) == "") &&
		(r.Action != nil || deref(other.Action) == "") && (r.SuppressPrefixLength != nil || other.SuppressPrefixLength == nil)
}

// replaces reports whether a rule that is wanted says one again that a policy of ours named and no wish keeps, with
// another priority, or with another table or action. The kernel would keep both and heed the first.
func (r RouteRule) replaces(old RouteRule, wanted []RouteRule) bool {
	if r.State == StateAbsent || r.Exact || !old.Owned || r.matches(old) ||
		slices.ContainsFunc(wanted, func(d RouteRule) bool { return d.State != StateAbsent && d.matches(old) }) {
		return false
	}
	elsewhere, earlier := r, r
	elsewhere.RouteTable, elsewhere.Action = old.RouteTable, old.Action
	elsewhere.SuppressPrefixLength = old.SuppressPrefixLength
	elsewhere.Priority = r.complete().Priority
	earlier.Priority = nil
	return elsewhere.matches(old) || earlier.matches(old)
}

// Contradicts reports whether the wishes of two policies for rules cannot both be fulfilled.
func (r RouteRule) Contradicts(other RouteRule) bool {
	absent, otherAbsent := r.State == StateAbsent, other.State == StateAbsent
	switch {
	case absent && otherAbsent:
		return false
	case absent:
		return r.matches(other)
	case otherAbsent:
		return other.matches(r)
	}
	other = other.complete()
	other.Owned = true
	return r.replaces(other, nil)
}

func hasRule(rules []RouteRule, rule RouteRule) bool {
	return slices.ContainsFunc(rules, func(r RouteRule) bool { return reflect.DeepEqual(r.complete(), rule.complete()) })
}

// String returns the rule on one line.
func (r RouteRule) String() string {
	text := deref(r.Family)
	for _, part := range []struct {
		word  string
		isSet bool
		value any
	}{
		{"priority", r.Priority != nil, number(r.Priority)},
		{"from", r.IPFrom.IsValid(), r.IPFrom},
		{"to", r.IPTo.IsValid(), r.IPTo},
		{"iif", deref(r.IIF) != "", deref(r.IIF)},
		{"fwmark", r.FWMark != nil, number(r.FWMark)},
		{"mask", r.FWMask != nil, number(r.FWMask)},
		{"table", r.RouteTable != nil && deref(r.Action) == "", number(r.RouteTable)},
		{"suppress", r.SuppressPrefixLength != nil, number(r.SuppressPrefixLength)},
		{"action", deref(r.Action) != "", deref(r.Action)},
	} {
		if part.isSet {
			text += fmt.Sprintf(" %s %v", part.word, part.value)
		}
	}
	return strings.TrimPrefix(text, " ")
}
