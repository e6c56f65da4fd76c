// SPDX-License-Identifier: Apache-2.0

package macpool

import (
	"fmt"
	"strings"
	"time"
)

// Kinds of objects that hold addresses.
const (
	KindVM  = "VirtualMachine"
	KindVMI = "VirtualMachineInstance"
	KindPod = "Pod"
)

// An Object names what addresses belong to. Name is empty for an object created by generateName until the janitor sees
// it exist; until then GenerateName and Claim tell it from others.
type Object struct {
	Kind, Namespace, Name string
	GenerateName, Claim   string
}

// String names the object for people: VirtualMachine default/vma.
func (o Object) String() string {
	name := o.Name
	if name == "" {
		name = o.GenerateName + "*"
	}
	return fmt.Sprintf("%s %s/%s", o.Kind, o.Namespace, name)
}

// NameFor returns what an asker is told of the object: its name, or only its kind if it lives in another namespace.
func (o Object) NameFor(asker Object) string {
	switch {
	case o.Namespace == asker.Namespace:
		return o.String()
	case o.Kind == KindPod && asker.Kind == KindPod:
		return "another pod, in another namespace"
	case o.Kind == KindPod:
		return "a pod, in another namespace"
	case asker.Kind == KindPod:
		return "a VM, in another namespace"
	}
	return "another VM, in another namespace"
}

// isInstanceOf reports whether an instance without a VM is what a VM of its name runs: KubeVirt takes over one that was
// left behind (kubectl delete --cascade=orphan) once the VM is made again. There are never two of a name.
func (o Object) isInstanceOf(vm Object) bool {
	return o.Kind == KindVMI && vm.Kind == KindVM && o.Namespace == vm.Namespace && o.Name == vm.Name
}

// ClaimAnnotation is written on an object created by generateName, which has no other identity while it is admitted: it
// lets a second look at the same creation be told from another creation. Once the object exists it tells what was held
// for the creation. docs/decisions/0014 says what makes it trustworthy.
const ClaimAnnotation = "bridgehead.dev/claim"

// Made reports whether an object with these annotations came of the creation that an object without a name is: it has
// its claim, which nobody has used a second time.
func (o Object) Made(annotations map[string]string) bool {
	nonce := annotations[ClaimAnnotation]
	if parts := strings.Split(nonce, "."); len(parts) == 3 { // those of the release before are not signed
		nonce = parts[1]
	}
	return o.Name == "" && o.Claim != "" && o.Claim == nonce
}

// secondLook is added to the claim of an object whose creation was looked at again.
const secondLook = "-2"

// again returns the object, created by generateName, as it holds addresses after a second look at its creation.
func (o Object) again() Object {
	o.Claim += secondLook
	return o
}

// A Holder is one interface of an object. Interface is for people and for finding an address again; an address that
// moves between two interfaces of one object stays with its holder.
type Holder struct {
	Object
	Interface string
}

// A Hold says that an address belongs to a holder.
type Hold struct {
	Holder
	// Shared is true where the holder asked for the address knowing that it is another's too.
	Shared bool
	// Since is when the address was given to the holder, on the clock of the replica that did so. It tells one gift
	// from the next and is compared for equality only: clocks of replicas differ.
	Since time.Time
	// Seen is when this process first saw the hold, on its own clock.
	Seen time.Time
}
