// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"fmt"
	"slices"
	"strings"
)

// Format returns the steps as text a person reads, one line a step: "+" for what is added, "-" for what is
// removed, "~" for what changes. No steps are the empty text.
func Format(steps []Step) string {
	var text strings.Builder
	for _, step := range steps {
		text.WriteString(step.String())
		text.WriteByte('\n')
	}
	return text.String()
}

// CostMark begins the lines of Explain that say what a plan costs.
const CostMark = "! "

// Explain returns the plan as Format does, followed by what it costs, each on a line that begins with CostMark.
func Explain(current State, steps []Step) string {
	text := Format(steps)
	for _, cost := range Costs(current, steps) {
		text += CostMark + cost + "\n"
	}
	return text
}

// String returns the step as one line of Format.
func (s Step) String() string {
	sign := "~"
	switch {
	case s.From == Value{}:
		sign = "+"
	case s.To == Value{}:
		sign = "-"
	}
	switch {
	case s.Kind == StepLink && s.To.Link != nil:
		return sign + " " + shortType(s.To.Link.Type) + " " + s.Link + details(*s.To.Link)
	case s.Kind == StepLink && s.From.Link != nil:
		return sign + " " + shortType(s.From.Link.Type) + " " + s.Link
	case slices.Contains([]StepKind{StepSet, StepDHCP, StepLLDP}, s.Kind) && s.From.Link != nil && s.To.Link != nil:
		return sign + " " + s.Link + " " + changes(*s.From.Link, *s.To.Link)
	case s.Kind == StepPort:
		return "~ " + s.Link + " " + moves(s.From.Port, s.To.Port)
	case s.Kind == StepAddress:
		return sign + " " + s.Link + " address " + addressText(s.From.Address, s.To.Address)
	case s.Kind == StepRoute:
		return sign + " route " + either(s.From.Route, s.To.Route).String()
	case s.Kind == StepRule:
		return sign + " rule " + either(s.From.Rule, s.To.Rule).String()
	case s.Kind == StepManager && s.To.Manager == "":
		return "~ " + s.Link + " taken over from " + string(s.From.Manager)
	case s.Kind == StepManager:
		return "~ " + s.Link + " given back to " + string(s.To.Manager)
	case s.Kind == StepDNS:
		return "~ dns " + dnsText(s.From.DNS) + " → " + dnsText(s.To.DNS)
	}
	return sign + " " + string(s.Kind) + " " + s.Link
}

// either returns what the one of the two that is not nil points to.
func either[T any](from, to *T) T {
	switch {
	case to != nil:
		return *to
	case from != nil:
		return *from
	}
	var none T
	return none
}

func shortType(t LinkType) string {
	if t == TypeBridge {
		return "bridge"
	}
	return string(t)
}

func addressText(from, to *Address) string {
	text := either(from, to).Prefix().String()
	if from == nil || to == nil {
		return text
	}
	if to.Dynamic() {
		return text + " static → leased"
	}
	return text + " leased → static"
}

func dnsText(c *DNSConfig) string {
	if c == nil || len(c.Server)+len(c.Search)+len(c.Options) == 0 {
		return "none"
	}
	text := strings.Join(c.Server, " ") + optional(" search ", c.Search) + optional(" options ", c.Options)
	return strings.TrimSpace(text)
}

func optional(word string, values []string) string {
	if len(values) == 0 {
		return ""
	}
	return word + strings.Join(values, " ")
}

// moves returns where a port goes and with which VLANs.
func moves(from, to *Attachment) string {
	if from != nil && to != nil {
		return "port of " + to.Controller + ": " + portText(from) + " → " + portText(to)
	}
	name := func(a *Attachment) string {
		if a == nil {
			return "none"
		}
		return a.Controller
	}
	text := "controller " + name(from) + " → " + name(to)
	if to != nil && to.Bridge != nil && to.Bridge.VLAN != nil {
		text += " (" + vlanText(to.Bridge.VLAN) + ")"
	}
	return text
}

func portText(a *Attachment) string {
	if a.Bond != nil {
		return strings.Join(slices.DeleteFunc(leaves(*a.Bond),
			func(l string) bool { return strings.HasPrefix(l, "name ") }), " ")
	}
	if a.Bridge == nil {
		return "default"
	}
	port := *a.Bridge
	port.Name, port.VLAN = "", nil
	return strings.Join(append(leaves(port), vlanText(a.Bridge.VLAN)), " ")
}

// vlanText returns which VLANs a port carries: "trunk 2-4094", "trunk 2-9 native 100", "access 5".
func vlanText(v *PortVLAN) string {
	if v.empty() {
		return "no vlans"
	}
	if v.mode() == ModeAccess {
		return fmt.Sprintf("access %d", number(v.Tag))
	}
	text := "trunk"
	for n, tag := range v.TrunkTags {
		low, high := tag.bounds()
		text += strings.Repeat(",", min(n, 1)) + strings.Repeat(" ", 1-min(n, 1))
		text += fmt.Sprint(low)
		if high != low {
			text += fmt.Sprintf("-%d", high)
		}
	}
	if isTrue(v.EnableNative) {
		text += fmt.Sprintf(" native %d", number(v.Tag))
	}
	return text
}

// details returns in brackets what a new link is like.
func details(link Interface) string {
	facts := leaves(Interface{
		Bridge: link.Bridge, Bond: link.Bond, VLAN: link.VLAN, VXLAN: link.VXLAN, VRF: link.VRF, MACVLAN: link.MACVLAN,
		Veth: link.Veth,
	})
	facts = slices.DeleteFunc(facts, func(fact string) bool {
		return slices.Contains([]string{"vlan-filtering off", "protocol 802.1q", "reorder-headers on", "loose-binding off",
			"registration-protocol none", "learning on", "destination-port 4789", "promiscuous on", "base-iface none"}, fact)
	})
	if link.MTU != nil {
		facts = append(facts, fmt.Sprintf("mtu %d", *link.MTU))
	}
	if link.MAC != nil {
		facts = append(facts, "mac "+link.MAC.String())
	}
	if link.State == StateDown {
		facts = append(facts, "down")
	}
	if link.IPv6.active() {
		facts = append(facts, "ipv6 on")
	}
	if len(facts) == 0 {
		return ""
	}
	return " (" + strings.Join(facts, ", ") + ")"
}

// changes returns what a StepSet, StepDHCP or StepLLDP changes: "mtu 1500 → 9000". Of IPv6 that goes off nothing more
// is said.
func changes(from, to Interface) string {
	from.Name, from.Type, to.Name, to.Type = "", "", "", ""
	if to.IPv6 != nil && from.IPv6.active() && !to.IPv6.active() {
		from.IPv6, to.IPv6 = &IP{Enabled: from.IPv6.Enabled}, &IP{Enabled: to.IPv6.Enabled}
	}
	was, is := facts(from), facts(to)
	old := make(map[string]string, len(was))
	for _, fact := range was {
		old[fact.key] = fact.value
	}
	var texts []string
	for _, fact := range is {
		before, known := old[fact.key]
		delete(old, fact.key)
		if !known {
			before = "?"
		}
		if before != fact.value {
			texts = append(texts, fact.key+" "+before+" → "+fact.value)
		}
	}
	for _, fact := range was {
		if before, left := old[fact.key]; left {
			texts = append(texts, fact.key+" "+before+" → left to the kernel")
		}
	}
	return strings.Join(texts, ", ")
}
