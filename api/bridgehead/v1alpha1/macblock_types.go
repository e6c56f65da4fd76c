// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A MACHolder is one interface that an address belongs to.
type MACHolder struct {
	// kind is VirtualMachine, VirtualMachineInstance or Pod. A VM's addresses are held by the VirtualMachine, never by
	// the VirtualMachineInstance or the pod that runs it.
	//
	// +kubebuilder:validation:Enum=VirtualMachine;VirtualMachineInstance;Pod
	Kind string `json:"kind"`
	// namespace of the holder.
	Namespace string `json:"namespace"`
	// name of the holder. Empty for an object created by generateName until it is seen to exist.
	//
	// +optional
	Name string `json:"name,omitempty"`
	// generateName of a holder whose name is not known yet.
	//
	// +optional
	GenerateName string `json:"generateName,omitempty"`
	// claim tells one object of a generateName from the next until its name is known.
	//
	// +optional
	Claim string `json:"claim,omitempty"`
	// interface is the name of the holder's interface: spec.template.spec.domain.devices.interfaces[].name.
	//
	// +optional
	Interface string `json:"interface,omitempty"`
	// shared is true where the address is another holder's too, on purpose.
	//
	// +optional
	Shared bool `json:"shared,omitempty"`
	// since is when the address was given to this holder, on the clock of the replica that did so.
	Since metav1.MicroTime `json:"since"`
}

// A MACReservation sets an address aside for one replica of the webhook, which alone may lend it.
type MACReservation struct {
	// replica is the name of the Lease that the replica renews. Once that has run out, the janitor settles the address.
	Replica string `json:"replica"`
	// since is when the address was reserved, on the clock of the replica.
	Since metav1.MicroTime `json:"since"`
	// contested is true when somebody asked for this very address: the replica gives it up unless it has lent it.
	//
	// +optional
	Contested bool `json:"contested,omitempty"`
}

// A MACAddress is the state of one address that is not free, as the release before this one wrote it.
type MACAddress struct {
	// address in the form 02:4a:be:00:00:0b.
	//
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{2}(:[0-9a-f]{2}){5}$`
	// +kubebuilder:validation:MaxLength=17
	Address string `json:"address"`
	// holders of the address: one, or several that share it.
	//
	// +optional
	// +listType=atomic
	Holders []MACHolder `json:"holders,omitempty"`
	// reservation of the address by a replica of the webhook.
	//
	// +optional
	Reservation *MACReservation `json:"reservation,omitempty"`
}

// MACAddresses is where the release before this one kept the state of addresses. What has rows has a word here instead
// of a list, so that a program which knows no rows fails to read the block, and does not take it for empty.
//
// +kubebuilder:object:generate=true
type MACAddresses struct {
	// Structures are the addresses; nil where they are in rows.
	Structures []MACAddress
}

// inRows stands for the list in JSON where there are rows.
const inRows = "in rows"

// UnmarshalJSON implements json.Unmarshaler. What is no list is none, and a structure that cannot be read has its JSON
// as its address.
func (a *MACAddresses) UnmarshalJSON(data []byte) error {
	*a = MACAddresses{}
	if len(data) == 0 || data[0] != '[' {
		return nil
	}
	var rows []json.RawMessage
	if err := json.Unmarshal(data, &rows); err != nil {
		return err
	}
	a.Structures = make([]MACAddress, len(rows))
	for i, row := range rows {
		if json.Unmarshal(row, &a.Structures[i]) != nil {
			a.Structures[i] = MACAddress{Address: string(row)}
		}
	}
	return nil
}

// MarshalJSON implements json.Marshaler.
func (a MACAddresses) MarshalJSON() ([]byte, error) {
	if a.Structures == nil {
		return json.Marshal(inRows)
	}
	return json.Marshal(a.Structures)
}

// A MACBlock is the state of the 256 addresses that share their first five octets, which its name spells
// (02-4a-be-00-00). Addresses that are not listed are free. Every change is an update that carries the resourceVersion
// it was decided on, so that an address has one state for everybody.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=macblocks,scope=Cluster
// +kubebuilder:printcolumn:name="Prefix",type=string,JSONPath=`.prefix`
// +kubebuilder:printcolumn:name="Held",type=integer,JSONPath=`.held`
// +kubebuilder:printcolumn:name="Reserved",type=integer,JSONPath=`.reserved`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.prefix.replace(':', '-') == self.metadata.name",message="prefix must be the block's name with colons"
// +kubebuilder:validation:XValidation:rule="!has(self.rows) || [self.prefix].all(p, self.rows.all(r, r.startsWith(p)))",message="an address of another block: every row must begin with prefix"
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[0-9a-f]{2}(-[0-9a-f]{2}){4}$')",message="a MACBlock is named by its first five octets, such as 02-4a-be-00-00"
type MACBlock struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// prefix is the first five octets of the block's addresses: 02:4a:be:00:00.
	//
	// +kubebuilder:validation:MaxLength=14
	Prefix string `json:"prefix"`
	// held is the number of addresses that somebody holds.
	Held int32 `json:"held"`
	// reserved is the number of addresses that are set aside for a replica and not held.
	Reserved int32 `json:"reserved"`
	// rows are the addresses that are not free, ascending, each with who has it:
	//
	//   02:4a:be:00:00:0b VirtualMachine default/vma interface=net1 since=2026-01-02T03:04:05.000006Z
	//   02:4a:be:00:00:0c-ff reserved replica=bridgehead-5c9f-x1y2 since=2026-01-02T03:04:05.000006Z
	//
	// Neighbours that a replica reserved at once are in one row, up to the last octet after the dash. What else has the
	// address follows after a bar. Words with anything but letters, digits and - _ . : / + * @ , in them are in quotes.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:Pattern=`^([0-9a-f]{2}:){5}[0-9a-f]{2}( (VirtualMachine|VirtualMachineInstance|Pod)|(-[0-9a-f]{2})? reserved) `
	Rows []string `json:"rows,omitempty"`
	// addresses is where the release before this one kept what is in rows now. It is read and, once no replica of that
	// release is left, no more written but for a word that has it refuse what it would not understand.
	//
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	Addresses MACAddresses `json:"addresses"`
}

// MACBlockList is a list of MACBlocks.
//
// +kubebuilder:object:root=true
type MACBlockList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []MACBlock `json:"items"`
}
