// SPDX-License-Identifier: Apache-2.0

package nad

import (
	"cmp"
	"fmt"
	"net"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	// maxInterfaceName is the longest name of an interface that Linux takes (IFNAMSIZ less its terminator).
	maxInterfaceName = 15
	// maxAlternativeName is that of other names that an interface has beside it (ALTIFNAMSIZ).
	maxAlternativeName = 127
)

// A Selection is one attachment that a pod asks for.
type Selection struct {
	// Ref is the NAD, in the pod's namespace where the annotation names none.
	Ref
	// Interface is the name of the interface inside the pod, empty where it is not asked for.
	Interface string
	// MAC is the address asked for, as written; empty for any.
	MAC string
	// Argument is an address that is asked for past Multus, as an argument of the plugin ("cni-args": {"mac": ...}), as
	// written; empty for none. The bridge and tuning plugins take it where the network has no capability mac.
	Argument string
	// IPs are the IP addresses asked for, as written, with or without the length of the prefix.
	IPs []string
	// Infiniband is true where it is asked for by a GUID, and lives on an address made from that. One that asks for an
	// address of Ethernet, too, may get it, as the plugin decides.
	Infiniband bool
	// explicit is true where the annotation names the namespace.
	explicit bool
	// element is where the selection stands in an annotation in JSON.
	element *value
}

// Networks is an annotation that names NADs, read.
type Networks struct {
	Selections []Selection
	// Warnings are about keys that mean nothing, each with its place.
	Warnings []string

	source string
	json   bool
}

// ParseNetworks reads an annotation in either of its forms: a list in JSON, or <namespace>/<name>@<interface> separated
// by commas. A text is JSON where Multus takes it for such: if it has a bracket, a brace or a double quote. namespace
// is the one of NADs that are named without. Paths of problems begin with path. What is selected has valid names; with
// problems it is not to be used.
func ParseNetworks(source, namespace string, path *field.Path) (Networks, field.ErrorList) {
	networks := Networks{source: source, json: strings.ContainsAny(source, `[{"`)}
	if source == "" {
		return networks, nil
	}
	var problems field.ErrorList
	if networks.json {
		problems = networks.parseJSON(path)
	} else {
		problems = networks.parseText(path)
	}
	if len(problems) > 0 {
		return networks, problems
	}
	for i := range networks.Selections {
		s := &networks.Selections[i]
		s.explicit = s.Namespace != ""
		if !s.explicit {
			s.Namespace = namespace
		}
		problems = append(problems, networks.check(*s, path.Index(i))...)
		if odd := unlike(s.Interface); odd != "" && len(networks.Warnings) < maxTold {
			networks.Warnings = append(networks.Warnings, fmt.Sprintf("interface %q of attachment %d %s", s.Interface, i, odd))
		}
	}
	return networks, append(problems, interfacesTwice(networks.Selections, path)...)
}

func (n *Networks) parseText(path *field.Path) field.ErrorList {
	var problems field.ErrorList
	for i, item := range strings.Split(n.source, ",") {
		item = strings.TrimSpace(item)
		selection, wrong := parseItem(item)
		if wrong != "" {
			problems = append(problems, field.Invalid(path.Index(i), item, wrong))
		}
		n.Selections = append(n.Selections, selection)
	}
	return problems
}

// parseItem reads <namespace>/<name>@<interface>, of which only the name is needed: a / with nothing before it and an @
// with nothing behind it say nothing.
func parseItem(item string) (Selection, string) {
	var s Selection
	if item == "" {
		return s, "names no network: remove the comma, or the annotation if it has no other, or name one"
	}
	rest := item
	if before, after, ok := strings.Cut(rest, "/"); ok {
		s.Namespace, rest = strings.TrimSpace(before), after
		if strings.Contains(rest, "/") {
			return s, "has more than one /: want <namespace>/<name>@<interface>"
		}
	}
	name, face, _ := strings.Cut(rest, "@")
	s.Name, s.Interface = strings.TrimSpace(name), strings.TrimSpace(face)
	switch {
	case strings.HasPrefix(item, "- "), strings.Contains(item, ": "):
		return s, "is YAML: want <namespace>/<name>@<interface>, separated by commas, or a list in JSON"
	case strings.Contains(face, "@"):
		return s, "has more than one @: want <namespace>/<name>@<interface>"
	case strings.ContainsFunc(s.Name, unicode.IsSpace), strings.ContainsFunc(s.Namespace, unicode.IsSpace):
		return s, "networks are separated by commas"
	case strings.Contains(s.Name, "."):
		return s, fmt.Sprintf(`a name with a dot must be written in JSON: [{"name": %q}]`, s.Name)
	}
	return s, ""
}

// check judges the names of a selection.
func (n *Networks) check(s Selection, path *field.Path) field.ErrorList {
	var problems field.ErrorList
	if wrong := n.checkName(s); wrong != "" {
		problems = append(problems, field.Invalid(path.Child("name"), s.Name, wrong))
	}
	if wrong := validation.IsDNS1123Label(s.Namespace); len(wrong) > 0 && s.explicit {
		said := cmp.Or(unlike(s.Namespace), wrong[0])
		problems = append(problems, field.Invalid(path.Child("namespace"), s.Namespace, said))
	}
	if wrong := checkInterface(s.Interface); wrong != "" {
		problems = append(problems, field.Invalid(path.Child("interface"), s.Interface, wrong))
	}
	if _, err := net.ParseMAC(s.MAC); err != nil && s.MAC != "" {
		problems = append(problems, field.Invalid(path.Child("mac"), s.MAC, "want an address such as 02:00:00:00:00:01"))
	}
	return problems
}

func (n *Networks) checkName(s Selection) string {
	if s.Name == "" {
		return "the name of a NetworkAttachmentDefinition is missing" + meantAsName(s)
	}
	if n.json {
		if wrong := oneKey(s); wrong != "" {
			return wrong
		}
	}
	if wrong := unlike(s.Name); wrong != "" {
		return wrong
	}
	switch {
	case isPlaceholder(s.Name):
		return "is a placeholder that nothing filled in: write its value"
	case strings.Contains(s.Name, ";"):
		return "networks are separated by commas"
	case strings.Contains(s.Name, ":") && !s.explicit:
		return "a namespace is separated by a slash: want <namespace>/<name>"
	}
	if wrong := validation.IsDNS1123Subdomain(s.Name); len(wrong) > 0 {
		return wrong[0]
	}
	return ""
}

// meantAsName says which key of an attachment without a name was meant to be it; empty where none was.
func meantAsName(s Selection) string {
	if s.element == nil {
		return ""
	}
	for _, m := range s.element.members {
		if meant := meantBy(m.key); meant == "name" && m.key != meant {
			return fmt.Sprintf(": write \"name\" in place of %q", m.key)
		}
	}
	return ""
}

// oneKey says how the keys of an attachment are written where one has what is for several; empty where none has.
func oneKey(s Selection) string {
	rest, face, named := strings.Cut(s.Name, "@")
	namespace, name, qualified := strings.Cut(rest, "/")
	if !qualified {
		namespace, name = s.Namespace, rest
	}
	if !named && !qualified || qualified && s.explicit || named && s.Interface != "" ||
		len(validation.IsDNS1123Label(namespace)) > 0 || len(validation.IsDNS1123Subdomain(name)) > 0 ||
		checkInterface(face) != "" {
		return ""
	}
	switch {
	case !named:
		return fmt.Sprintf(`in JSON the namespace is a key of its own: write "namespace": %q, "name": %q`, namespace, name)
	case !qualified:
		return fmt.Sprintf(`in JSON the interface is a key of its own: write "name": %q, "interface": %q`, name, face)
	}
	return fmt.Sprintf(`in JSON namespace and interface are keys of their own: write "namespace": %q, "name": %q, "interface": %q`,
		namespace, name, face)
}

// checkInterface applies the kernel's rules for names of interfaces.
func checkInterface(name string) string { return checkLink(name, maxInterfaceName) }

// checkLink is checkInterface for names that may be so long.
func checkLink(name string, longest int) string {
	switch {
	case len(name) > longest:
		return fmt.Sprintf("is longer than the %d characters of an interface name", longest)
	case name == "." || name == "..", strings.ContainsAny(name, "/:"), strings.ContainsFunc(name, unsuited):
		return "is not an interface name: blanks, slashes and colons are not allowed"
	}
	return ""
}

func unsuited(r rune) bool {
	return unicode.IsSpace(r) || unicode.IsControl(r) || r == unicode.ReplacementChar
}

// interfacesTwice refuses a name that two interfaces of the pod would have: the second could not be made. Those that
// are given none are named by Multus.
func interfacesTwice(selections []Selection, path *field.Path) field.ErrorList {
	var problems field.ErrorList
	first := map[string]int{}
	for i, s := range selections {
		name := s.InterfaceName(i)
		other, twice := first[name]
		if !twice {
			first[name] = i
			continue
		}
		at, said := i, fmt.Sprintf("attachment %d has the same name", other)
		if s.Interface == "" {
			at, other = other, i
		}
		if selections[other].Interface == "" {
			said = fmt.Sprintf("attachment %d, for which no name is given, has this one: choose another", other)
		}
		problems = append(problems, field.Invalid(path.Index(at).Child("interface"), name, said))
	}
	return problems
}

func article(noun kind) string {
	if noun == object {
		return "an"
	}
	return "a"
}
