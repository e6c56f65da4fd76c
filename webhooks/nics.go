package webhooks

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// mostInterfaces is far more than a machine has slots for, and few enough to answer in time.
const mostInterfaces = 256

// A nic is one interface of a VM as the rules see it.
type nic struct {
	index int
	name  string
	// text is macAddress as written; mac is what it spells, zero if it is empty.
	text string
	mac  macpool.MAC
	// served is true where an interface without an address is given one: on a Multus network whatever the binding, and
	// on the pod network with masquerade. Other bindings on the pod network live on the pod's own address.
	served bool
	// networked is false if there is no network of the interface's name.
	networked bool
}

func (n nic) path() *field.Path {
	return interfacesPath().Index(n.index)
}

func (n nic) macPath() *field.Path {
	return n.path().Child("macAddress")
}

// A wish is what an interface needs: a given address held for it, any address, or the address it had before written
// back.
type wish struct {
	nic nic
	// had is the address to write back, zero if the wish is for the ledger.
	had macpool.MAC
}

// wishes are what the interfaces of a VM need that differ from those of old, which is nil when the VM is created. An
// interface is the same as an old one if it has the same name. Interfaces that stay as they are need nothing and are
// not judged, however they came to be so.
func wishes(vm, old *virtualMachine) ([]wish, []macpool.MAC, field.ErrorList) {
	if n := len(vm.interfaces); n > mostInterfaces {
		return nil, nil, field.ErrorList{field.TooMany(interfacesPath(), n, mostInterfaces)}
	}
	before := map[string]nic{}
	if old != nil {
		for _, n := range nicsOf(old) {
			n.mac, _ = readAddress(n)
			before[n.name] = n
		}
	}
	var list []wish
	var kept []macpool.MAC
	var problems field.ErrorList
	nics := nicsOf(vm)
	for i := range nics {
		n := &nics[i]
		was, known := before[n.name]
		var problem *field.Error
		n.mac, problem = readAddress(*n)
		switch {
		case known && (n.text == was.text || n.mac != (macpool.MAC{}) && n.mac == was.mac):
			kept = append(kept, n.mac) // as it was, perhaps in another spelling, which is the user's
		case problem != nil:
			problems = append(problems, problem)
		case known && n.text == "" && was.mac != (macpool.MAC{}):
			n.mac = was.mac
			kept = append(kept, n.mac)
			list = append(list, wish{nic: *n, had: was.mac})
		case !known && !n.networked:
			if n.name != "" { // else it is refused for that
				problems = append(problems, field.Invalid(n.path().Child("name"), n.name,
					"no entry of spec.template.spec.networks has this name: add one, or name the interface as its network"))
			}
		case n.text != "" || n.served:
			list = append(list, wish{nic: *n})
		}
	}
	problems = append(problems, unnamed(nics)...)
	problems = append(problems, duplicates(nics, before)...)
	return list, kept, problems
}

func nicsOf(vm *virtualMachine) []nic {
	networks := map[string]*vmNetwork{}
	for _, n := range vm.networks {
		if n != nil {
			networks[n.Name] = n
		}
	}
	var nics []nic
	for i, face := range vm.interfaces {
		if face == nil {
			continue
		}
		network, networked := networks[face.Name]
		served := networked && (present(network.Multus) || present(network.Pod) && present(face.Masquerade))
		nics = append(nics, nic{index: i, name: face.Name, text: face.MACAddress, served: served, networked: networked})
	}
	return nics
}

func readAddress(n nic) (macpool.MAC, *field.Error) {
	if n.text == "" {
		return macpool.MAC{}, nil
	}
	m, err := macpool.ParseInterfaceMAC(n.text)
	if err != nil {
		return macpool.MAC{}, field.Invalid(n.macPath(), n.text, err.Error())
	}
	return m, nil
}

// unnamed refuses interfaces that have no name, or one that another has.
func unnamed(nics []nic) field.ErrorList {
	var problems field.ErrorList
	seen := map[string]bool{}
	for _, n := range nics {
		switch {
		case n.name == "":
			problems = append(problems, field.Required(n.path().Child("name"), "the name says which network the interface is on"))
		case seen[n.name]:
			problems = append(problems, field.Duplicate(n.path().Child("name"), n.name))
		}
		seen[n.name] = true
	}
	return problems
}

// duplicates refuses an address that two interfaces of the VM have, in whatever spelling, unless they both had it
// before.
func duplicates(nics []nic, before map[string]nic) field.ErrorList {
	var problems field.ErrorList
	first := map[macpool.MAC]nic{}
	for _, n := range nics {
		if n.mac == (macpool.MAC{}) {
			continue
		}
		other, taken := first[n.mac]
		if !taken {
			first[n.mac] = n
			continue
		}
		pair := []nic{n, other}
		if slices.ContainsFunc(pair, func(n nic) bool { return before[n.name].mac != n.mac }) {
			problems = append(problems, duplicate(n, other))
		}
	}
	return problems
}

// duplicate is the refusal of an interface whose address another one of the VM has. One of the two may have no address
// in the manifest and keep the one it had.
func duplicate(n, other nic) *field.Error {
	if n.text == "" {
		n, other = other, n
	}
	if other.text == "" {
		return field.Invalid(n.macPath(), n.text, fmt.Sprintf(
			"interface %s (%s) keeps %s, since the manifest gives it no other: give it another, or this one", other.name, other.path(), other.mac))
	}
	return field.Invalid(n.macPath(), n.text, fmt.Sprintf(
		"interface %s has the same address (%s): give one of them another, or leave it out to be given one", other.name, other.macPath()))
}
