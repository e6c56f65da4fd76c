package macpool

import (
	"fmt"
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

// Sharing says with whom a newcomer may share the address it asks for. The zero Sharing shares with nobody.
type Sharing struct {
	// Anyone allows it with every holder: the receiver of a live migration has the address of its source, which may
	// live in another cluster and have any name.
	Anyone bool
	// With allows it with this one object.
	With Object
}

// allows says whether a newcomer may join these holds.
func (s Sharing) allows(holds []Hold) bool {
	if s.Anyone {
		return true
	}
	for _, h := range holds {
		if s.With != (Object{}) && h.Object == s.With {
			return true
		}
	}
	return false
}
