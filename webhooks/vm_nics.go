// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

const (
	// maxInterfaces is far more than a machine has slots for, and few enough to answer in time.
	maxInterfaces = 256
	// maxBlocks is how many blocks a VM may name addresses of at once. Those of one block are one write; each block is
	// another, and as many writes as this are made in time.
	maxBlocks = 32
	// maxName is the longest name, in bytes, that the ledger records: that of objects in Kubernetes, which is far more
	// than the 63 of a DNS label that KubeVirt wants of networks.
	maxName = validation.DNS1123SubdomainMaxLength
)

// A vmChange is a VM as a request wants it, with what it was before.
type vmChange struct {
	vm   *virtualMachine
	nics []vmNIC
	// before are the interfaces of the VM that is stored, by name; there are none when a VM is created.
	before map[string]vmNIC
	// beside are the interfaces of its pod that are to have an address which they did not have before.
	beside []nic
}

// A vmNIC is one interface of a VM.
type vmNIC struct {
	nic
	index int
	// served is true where the address of an interface is ours to look after.
	served bool
	// networked is false if there is no network of the interface's name.
	networked bool
	// known is true if the VM had an interface of this name before, same if it had this address, perhaps in another
	// spelling, which is the user's; restored if the manifest dropped its address, which is to be written back. Both are
	// false if the address was not ours to look after, and is now; restored is, too, the other way round.
	known, same, restored bool
}

func (n vmNIC) at() *field.Path { return interfacesPath().Index(n.index) }

// set writes an address into the patch.
func (n vmNIC) set(p *Patch, m macpool.MAC) {
	p.Set(pointer("spec", "template", "spec", "domain", "devices", "interfaces", n.index, "macAddress"), m.String())
}

// changeOf compares a VM with what it was; old is nil when the VM is created. An interface is the same as an old one if
// it has the same name.
func changeOf(vm, old *virtualMachine) vmChange {
	c := vmChange{vm: vm, nics: nicsOf(vm), before: map[string]vmNIC{}}
	if old != nil {
		for _, n := range nicsOf(old) {
			c.before[n.name] = n
		}
	}
	for i := range c.nics {
		n := &c.nics[i]
		var was vmNIC
		was, n.known = c.before[n.name]
		if n.served && !was.served {
			continue
		}
		n.same = n.known && (n.text == was.text || n.mac != (macpool.MAC{}) && n.mac == was.mac)
		moved := n.served != was.served // to where the address is that network's to give
		if n.known && !n.same && n.text == "" && was.mac != (macpool.MAC{}) && !moved {
			n.mac, n.restored = was.mac, true
		}
	}
	return c
}

func nicsOf(vm *virtualMachine) []vmNIC {
	networks := map[string]*vmNetwork{}
	for _, n := range vm.networks {
		if n != nil {
			networks[n.Name] = n
		}
	}
	var nics []vmNIC
	for i, face := range vm.interfaces {
		if face == nil {
			continue
		}
		network, networked := networks[face.Name]
		n := vmNIC{nic: nic{name: face.Name, text: face.MACAddress}, index: i, networked: networked}
		n.served = networked &&
			macpool.Serves(present(network.Multus), present(network.Pod), present(face.Masquerade))
		n.path = n.at().Child("macAddress")
		n.mac, _ = macpool.ParseInterfaceMAC(n.text) // what is wrong with it is a rule's to say
		nics = append(nics, n)
	}
	return nics
}

// asking returns the interfaces whose addresses are the ledger's to give or to refuse. Interfaces that stay as they are
// need nothing, however they came to be so.
func (c vmChange) asking() []vmNIC {
	return slices.DeleteFunc(slices.Clone(c.nics), func(n vmNIC) bool {
		return n.same || n.restored || !n.served
	})
}

// missing returns the interfaces that have no address, and that VMReviewer gives one or gives back the one they had.
func (c vmChange) missing() []vmNIC {
	return slices.DeleteFunc(slices.Clone(c.nics), func(n vmNIC) bool {
		return !n.restored && (n.same || !n.served || n.text != "")
	})
}

// kept returns the addresses that the VM had before and keeps, and those of interfaces that are not ours to look after:
// nobody holds them, and the VM is not to have one twice.
func (c vmChange) kept() []macpool.MAC {
	var kept []macpool.MAC
	for _, n := range c.nics {
		if n.same || n.restored || !n.served {
			kept = append(kept, n.mac)
		}
	}
	return kept
}

// left returns the addresses that the VM had before on interfaces which it has no more.
func (c vmChange) left() []macpool.MAC {
	var left []macpool.MAC
	for _, name := range slices.Sorted(maps.Keys(c.before)) {
		was := c.before[name]
		has := slices.ContainsFunc(c.nics, func(n vmNIC) bool { return n.mac == was.mac })
		if was.served && was.mac != (macpool.MAC{}) && !has {
			left = append(left, was.mac)
		}
	}
	return left
}

func validateInterfaceCount(c vmChange) field.ErrorList {
	var problems field.ErrorList
	if n := len(c.vm.interfaces); n > maxInterfaces {
		problems = append(problems, field.TooMany(interfacesPath(), n, maxInterfaces))
	}
	if n := len(c.beside); n > maxInterfaces {
		problems = append(problems, field.TooMany(c.beside[0].path, n, maxInterfaces))
	}
	return problems
}

// validateBlocks refuses more addresses, named in one request, than can be looked up in time.
func validateBlocks(c vmChange) field.ErrorList {
	asking := slices.Clone(c.beside)
	for _, n := range c.asking() {
		asking = append(asking, n.nic)
	}
	return tooManyBlocks(interfacesPath(), asking)
}

// tooManyBlocks refuses the interfaces at a path whose addresses are of more blocks than can be written in time.
func tooManyBlocks(path *field.Path, asking []nic) field.ErrorList {
	named := map[macpool.Prefix]bool{}
	for _, n := range asking {
		if n.mac != (macpool.MAC{}) {
			named[n.mac.Prefix()] = true
		}
	}
	if len(named) <= maxBlocks {
		return nil
	}
	return field.ErrorList{field.Forbidden(path, fmt.Sprintf(
		"the addresses have %d different prefixes (their first five octets): at most %d are allowed at once; "+
			"leave addresses out to have them assigned, or add the interfaces in several steps", len(named), maxBlocks))}
}

// validateInterfaceNames refuses interfaces that have no name, one that another has, or a new one that is too long to
// be recorded: what an address belongs to is written into a block, whose size etcd bounds.
func validateInterfaceNames(c vmChange) field.ErrorList {
	var problems field.ErrorList
	seen := map[string]bool{}
	for _, n := range c.nics {
		switch {
		case !n.known && len(n.name) > maxName:
			problems = append(problems, field.TooLong(n.at().Child("name"), "", maxName))
		case n.name == "":
			problems = append(problems, field.Required(n.at().Child("name"), "the name says which network the interface is on"))
		case seen[n.name]:
			problems = append(problems, field.Duplicate(n.at().Child("name"), n.name))
		}
		seen[n.name] = true
	}
	return problems
}

// validateInterfaceNetworks refuses new interfaces that are on no network.
func validateInterfaceNetworks(c vmChange) field.ErrorList {
	var problems field.ErrorList
	for _, n := range c.nics {
		if !n.known && !n.networked && n.name != "" && len(n.name) <= maxName { // others are refused for their names
			problems = append(problems, field.Invalid(n.at().Child("name"), n.name,
				"no entry of spec.template.spec.networks has this name: add one, or name the interface as its network"))
		}
	}
	return problems
}

// validateAddresses refuses addresses that no interface can have.
func validateAddresses(c vmChange) field.ErrorList {
	var problems field.ErrorList
	for _, n := range c.nics {
		if n.same || n.text == "" {
			continue
		}
		if _, err := macpool.ParseInterfaceMAC(n.text); err != nil {
			problems = append(problems, field.Invalid(n.path, n.text, err.Error()))
		}
	}
	return problems
}

// validateAddressesUnique refuses an address that two interfaces of the VM have, in whatever spelling, unless they both
// had it before.
func validateAddressesUnique(c vmChange) field.ErrorList {
	var problems field.ErrorList
	first := map[macpool.MAC]vmNIC{}
	for _, n := range c.nics {
		if n.mac == (macpool.MAC{}) {
			continue
		}
		other, taken := first[n.mac]
		if !taken {
			first[n.mac] = n
			continue
		}
		pair := []vmNIC{n, other}
		if slices.ContainsFunc(pair, func(n vmNIC) bool { return c.before[n.name].mac != n.mac }) {
			problems = append(problems, duplicate(n, other))
		}
	}
	return problems
}

// duplicate returns the refusal of an interface whose address another one of the VM has. One of the two may have no
// address in the manifest and keep the one it had.
func duplicate(n, other vmNIC) *field.Error {
	if n.text == "" {
		n, other = other, n
	}
	if other.text == "" {
		return field.Invalid(n.path, n.text, fmt.Sprintf(
			"interface %s (%s) keeps %s because the manifest names no address for it: name another one for either of the two", other.name,
			other.at(), other.mac,
		))
	}
	return field.Invalid(n.path, n.text, fmt.Sprintf(
		"interface %s has the same address (%s): give one of them another, or leave it out to have one assigned", other.name,
		other.path,
	))
}
