// SPDX-License-Identifier: Apache-2.0

package nad

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	netv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func (n *Networks) parseJSON(path *field.Path) field.ErrorList {
	elements, said := n.elements()
	if said != "" {
		return field.ErrorList{field.Invalid(path, field.OmitValueType{}, said)}
	}
	var problems field.ErrorList
	var routes routeCount
	for i := range elements {
		if len(problems) >= maxTold {
			break
		}
		e := &elements[i]
		if e.kind != object {
			problems = append(problems, field.Invalid(
				path.Index(i),
				field.OmitValueType{},
				fmt.Sprintf(
					"%s: want an object, {\"name\": \"...\"}, not %s %s", placeOf(n.source, e.start), article(e.kind), e.kind,
				),
			))
			continue
		}
		n.warnKeys(*e)
		// This is the type that Multus reads it into.
		var selected netv1.NetworkSelectionElement
		if err := json.Unmarshal([]byte(n.source[e.start:e.end]), &selected); err != nil {
			problems = append(problems, n.mismatch(*e, path.Index(i), err))
			continue
		}
		older, wrong := n.ofMultus(*e, "interfaceRequest", path.Index(i))
		_, device := n.ofMultus(*e, "deviceID", path.Index(i))
		problems = slices.Concat(problems, wrong, device, checkAddresses(selected, path.Index(i)))
		problems = append(problems, routes.add(selected, path.Index(i))...)
		n.Selections = append(n.Selections, Selection{
			Ref:        Ref{Namespace: selected.Namespace, Name: selected.Name},
			Interface:  cmp.Or(selected.InterfaceRequest, older),
			MAC:        selected.MacRequest,
			Argument:   argumentOf(selected),
			IPs:        selected.IPRequest,
			Infiniband: selected.InfinibandGUIDRequest != "" && !ofEthernet(selected.MacRequest),
			element:    e,
		})
	}
	return problems
}

// elements returns those of an annotation in JSON, or what is wrong with it.
func (n *Networks) elements() (elements []value, wrong string) {
	root, err := parse(n.source)
	if err != nil {
		written := strings.TrimSpace(n.source)
		inside, opened := strings.CutPrefix(written, "[")
		inside, closed := strings.CutSuffix(inside, "]")
		if opened && closed && areNames(inside) {
			return nil, `remove the brackets: names alone are separated by commas; in JSON each is an object, {"name": "..."}`
		}
		_, without := parse("[" + n.source + "]")
		if without == nil && strings.HasPrefix(written, "{") {
			return nil, "want a list: write [ before it and ] behind it"
		}
		return nil, "is not JSON: " + err.Error()
	}
	if root.kind == list {
		return root.elements, ""
	}
	wrong = fmt.Sprintf(`want a list, [{"name": "..."}], not %s %s`, article(root.kind), root.kind)
	if root.kind == text && areNames(root.text) {
		wrong += ": remove the quotes"
	}
	return nil, wrong
}

// areNames reports whether a text names networks in the form without JSON.
func areNames(text string) bool {
	for item := range strings.SplitSeq(text, ",") {
		s, wrong := parseItem(strings.TrimSpace(item))
		if wrong != "" || len(validation.IsDNS1123Subdomain(s.Name)) > 0 {
			return false
		}
	}
	return true
}

// ofMultus returns a string of an element that Multus reads and the library does not: deviceID, and the interface by a
// key of before Multus 3.2.
func (n *Networks) ofMultus(e value, key string, path *field.Path) (written string, problems field.ErrorList) {
	v := e.folded(key)
	if v == nil || v.kind == null {
		return "", nil
	}
	if v.kind != text {
		said := fmt.Sprintf("%s: want a string, not %s %s", placeOf(n.source, v.start), article(v.kind), v.kind)
		problems = append(problems, field.Invalid(path.Child(key), field.OmitValueType{}, said))
	}
	return v.text, problems
}

// checkAddresses judges addresses beside that of the interface as Multus does, which attaches no pod with one that is
// none.
func checkAddresses(e netv1.NetworkSelectionElement, path *field.Path) field.ErrorList {
	var problems field.ErrorList
	if _, err := net.ParseMAC(e.InfinibandGUIDRequest); err != nil && e.InfinibandGUIDRequest != "" {
		problems = append(problems, field.Invalid(
			path.Child("infiniband-guid"), e.InfinibandGUIDRequest, "want a GUID such as 00:02:c9:03:00:00:00:01",
		))
	}
	for i, ip := range e.IPRequest {
		if _, _, err := net.ParseCIDR(ip); err != nil && net.ParseIP(ip) == nil {
			problems = append(problems, field.Invalid(
				path.Child("ips").Index(i), ip, "want an IP address such as 10.0.0.1 or 10.0.0.1/24",
			))
		}
	}
	return problems
}

// A routeCount is how many default routes the elements of an annotation ask for, by the version of IP.
type routeCount struct{ ipv4, ipv6 int }

// add refuses what Multus attaches no pod with: two default routes of one version, on one network or on several.
func (c *routeCount) add(e netv1.NetworkSelectionElement, path *field.Path) field.ErrorList {
	var problems field.ErrorList
	for i, ip := range e.GatewayRequest {
		count := &c.ipv6
		if ip.To4() != nil {
			count = &c.ipv4
		}
		if *count++; *count > 1 {
			problems = append(problems, field.Invalid(path.Child("default-route").Index(i), ip.String(),
				"is a second default route of its version of IP: Multus takes one: remove one"))
		}
	}
	return problems
}

// argumentOf returns the address in the arguments of the plugin, which reads their names in whatever case. Of several
// it takes the last, and Multus writes them in order.
func argumentOf(selected netv1.NetworkSelectionElement) string {
	if selected.CNIArgs == nil {
		return ""
	}
	var last string
	for _, name := range slices.Sorted(maps.Keys(*selected.CNIArgs)) {
		if text, ok := (*selected.CNIArgs)[name].(string); ok && text != "" && strings.EqualFold(name, "mac") {
			last = text
		}
	}
	return last
}

// ofEthernet reports whether a text is an address of six octets.
func ofEthernet(address string) bool {
	octets, err := net.ParseMAC(address)
	return err == nil && len(octets) == 6
}

// mismatch returns which value of an element is not what Multus reads.
func (n *Networks) mismatch(e value, path *field.Path, err error) *field.Error {
	at, said := e, err.Error()
	var wrong *json.UnmarshalTypeError
	if routes := e.folded("default-route"); !errors.As(err, &wrong) && routes != nil { // the one type that parses its text
		at, path, said = *routes, path.Child("default-route"), `want a list of IP addresses such as "10.0.0.1": `+said
	} else if wrong != nil {
		first, _, _ := strings.Cut(wrong.Field, ".")
		if v := e.folded(first); v != nil {
			at = *v
		}
		if wrong.Field != "" {
			path = path.Child(wrong.Field)
		}
		said = mistaken(wrong, at)
	}
	return field.Invalid(path, field.OmitValueType{}, placeOf(n.source, at.start).String()+": "+said)
}

// mistaken says what is wanted in place of a value of another type. at is the value, or one that it is in.
func mistaken(wrong *json.UnmarshalTypeError, at value) string {
	want := wanted(wrong.Type.Kind().String())
	found, written, _ := strings.Cut(wrong.Value, " ") // "number 5" is a number
	switch {
	case found == "number" && want == "a whole number":
		return fmt.Sprintf("want %s, not %s", want, written)
	case found == "array":
		found = string(list)
	case found == "bool":
		found = string(boolean)
	}
	said := fmt.Sprintf("want %s, not %s %s", want, article(kind(found)), found)
	if at.kind == text && unquoted(at.text) == want {
		said += ": remove the quotes"
	}
	return said
}

// unquoted returns what a text would be without its quotes, in the words of wanted; empty for nothing else.
func unquoted(written string) string {
	written = strings.TrimSpace(written)
	if written == "true" || written == "false" {
		return "true or false"
	}
	if _, err := strconv.Atoi(written); err == nil && json.Valid([]byte(written)) {
		return "a whole number"
	}
	return ""
}

// wanted returns a type of Go in the words of people who write JSON.
func wanted(goKind string) string {
	switch {
	case goKind == "string":
		return "a string"
	case goKind == "bool":
		return "true or false"
	case slices.Contains([]string{"slice", "array"}, goKind):
		return "a list"
	case strings.HasPrefix(goKind, "int"), strings.HasPrefix(goKind, "uint"):
		return "a whole number"
	}
	return "an object"
}
