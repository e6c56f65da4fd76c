// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// The kernel's struct fib_rule_hdr and its actions (include/uapi/linux/fib_rules.h).
type ruleMessage struct {
	Family, DstLen, SrcLen, TOS uint8
	Table, _, _, Action         uint8
	Flags                       uint32
}

const (
	ruleToTable     = 1
	ruleBlackhole   = 6
	ruleUnreachable = 7
	ruleProhibit    = 8

	attrRuleDst      = 1
	attrRuleSrc      = 2
	attrRuleIIF      = 3
	attrRulePriority = 6
	attrRuleMark     = 10
	attrRuleSuppress = 14
	attrRuleTable    = 15
	attrRuleMask     = 16
	attrRuleL3mdev   = 19

	attrRuleGoto          = 4
	attrRuleFlow          = 11
	attrRuleTunnel        = 12
	attrRuleSuppressGroup = 13
	attrRuleOIF           = 17
	attrRuleUIDs          = 20
	attrRuleIPProto       = 22
	attrRuleSourcePorts   = 23
	attrRulePorts         = 24

	attrRuleProtocol = 21
)

// readRules lists the routing rules but for the kernel's own: local, main, default, and the one that
// comes with the first vrf.
func (k *Kernel) readRules() ([]netstate.RouteRule, error) {
	rules := []netstate.RouteRule{}
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		messages, err := k.dump(unix.RTM_GETRULE, message(ruleMessage{Family: family}), nil)
		if isFamilyUnknown(family, err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list routing rules: %w", err)
		}
		for _, msg := range messages {
			if rule, shown := parseRule(msg); shown {
				rules = append(rules, rule)
			}
		}
	}
	return rules, nil
}

// parseRule reads one RTM_NEWRULE message.
func parseRule(msg []byte) (rule netstate.RouteRule, shown bool) {
	about, attrs := header[ruleMessage](msg)
	family, zero := "ipv4", netip.IPv4Unspecified()
	if about.Family == unix.AF_INET6 {
		family, zero = "ipv6", netip.IPv6Unspecified()
	}
	r := netstate.RouteRule{Family: &family, Priority: new(0), RouteTable: new(int(about.Table))}
	source, destination := zero, zero
	kernels := false
	for attr, value := range each(attrs) {
		switch attr {
		case attrRuleDst:
			destination, _ = netip.AddrFromSlice(value)
		case attrRuleSrc:
			source, _ = netip.AddrFromSlice(value)
		case attrRuleIIF:
			r.IIF = new(text(value))
		case attrRulePriority:
			r.Priority = new(int(decodeUint(value)))
		case attrRuleMark:
			r.FWMark = new(int(decodeUint(value)))
		case attrRuleMask:
			r.FWMask = new(int(decodeUint(value)))
		case attrRuleTable:
			r.RouteTable = new(int(decodeUint(value)))
		case attrRuleSuppress:
			if length := int(int32(decodeUint(value))); length >= 0 {
				r.SuppressPrefixLength = &length
			}
		case attrRuleL3mdev:
			kernels = kernels || decodeUint(value) != 0
		case attrRuleProtocol:
			r.Protocol = int(decodeUint(value))
			kernels = kernels || r.Protocol == unix.RTPROT_KERNEL
		}
	}
	r.Details = ruleDetails(about, attrs)
	if about.DstLen > 0 {
		r.IPTo = netip.PrefixFrom(destination, int(about.DstLen))
	}
	if about.SrcLen > 0 {
		r.IPFrom = netip.PrefixFrom(source, int(about.SrcLen))
	}
	if r.FWMask != nil && r.FWMark == nil {
		r.FWMark = new(0) // packets without a mark
	}
	action, known := ruleAction(about.Action)
	if action != "" {
		r.Action = &action
	}
	return r, known && !kernels
}

// ruleDetails keeps the selectors that no document has a key for: TOS, "not", output link, ports, protocol, user ids.
func ruleDetails(about ruleMessage, attrs []byte) netstate.Opaque {
	d := details{}.keep(attrs, attrRuleGoto, attrRuleFlow, attrRuleTunnel, attrRuleSuppressGroup, attrRuleOIF,
		attrRuleUIDs, attrRuleIPProto, attrRuleSourcePorts, attrRulePorts)
	if group := d[attrRuleSuppressGroup]; int32(decodeUint(group)) == -1 {
		delete(d, attrRuleSuppressGroup)
	}
	const invert = 2
	if about.TOS != 0 || about.Flags&invert != 0 {
		d[headerDetail] = []byte{about.TOS, byte(about.Flags & invert)}
	}
	return d.opaque()
}

// ruleAction returns what a rule does, "" for looking into its table.
func ruleAction(action uint8) (name string, known bool) {
	switch action {
	case ruleToTable:
		return "", true
	case ruleBlackhole:
		return "blackhole", true
	case ruleUnreachable:
		return "unreachable", true
	case ruleProhibit:
		return "prohibit", true
	}
	return "", false
}

// doRule adds or removes one rule.
func (k *Kernel) doRule(step netstate.Step) error {
	if from := step.From.Rule; from != nil {
		if err := k.removeRule(*from); err != nil {
			return refused(err, "remove routing rule %s", describeRule(*from))
		}
	}
	if to := step.To.Rule; to != nil {
		return refused(k.addRule(*to), "add routing rule %s", describeRule(*to))
	}
	return nil
}

// writeRule sends one rule.
func (k *Kernel) writeRule(kind, flags int, r netstate.RouteRule) error {
	about := ruleMessage{Family: unix.AF_INET, Action: ruleToTable, Table: tableCompat}
	if value(r.Family) == "ipv6" || r.IPFrom.Addr().Is6() || r.IPTo.Addr().Is6() {
		about.Family = unix.AF_INET6
	}
	for _, action := range []uint8{ruleBlackhole, ruleUnreachable, ruleProhibit} {
		if name, _ := ruleAction(action); value(r.Action) == name {
			about.Action = action
		}
	}
	table := value(r.RouteTable)
	if table < 256 {
		about.Table = uint8(table)
	}
	var attrs attributes
	if r.IPTo.IsValid() {
		about.DstLen = uint8(r.IPTo.Bits())
		attrs.add(attrRuleDst, r.IPTo.Addr().AsSlice())
	}
	if r.IPFrom.IsValid() {
		about.SrcLen = uint8(r.IPFrom.Bits())
		attrs.add(attrRuleSrc, r.IPFrom.Addr().AsSlice())
	}
	kept := detailsOf(r.Details)
	if h := kept[headerDetail]; len(h) == 2 {
		about.TOS, about.Flags = h[0], uint32(h[1])
	}
	kept.addTo(&attrs)
	if r.Protocol != 0 && kind == unix.RTM_NEWRULE {
		attrs.add(attrRuleProtocol, []byte{byte(r.Protocol)})
	}
	if r.IIF != nil {
		attrs.addString(attrRuleIIF, *r.IIF)
	}
	numbers := []struct {
		attr uint16
		key  *int
	}{
		{attrRulePriority, r.Priority}, {attrRuleMark, r.FWMark}, {attrRuleMask, r.FWMask},
		{attrRuleSuppress, r.SuppressPrefixLength}, {attrRuleTable, &table},
	}
	for _, n := range numbers {
		if n.key != nil {
			attrs.addUint32(n.attr, uint32(*n.key))
		}
	}
	return k.request(kind, flags, message(about), attrs)
}

// describeRule returns a rule in words.
func describeRule(r netstate.RouteRule) string {
	words := fmt.Sprintf("%d", value(r.Priority))
	if r.IPFrom.IsValid() {
		words += " from " + r.IPFrom.String()
	}
	if r.IPTo.IsValid() {
		words += " to " + r.IPTo.String()
	}
	if r.Action != nil {
		return words + " " + *r.Action
	}
	return fmt.Sprintf("%s table %d", words, value(r.RouteTable))
}
