// SPDX-License-Identifier: Apache-2.0

package macpool

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAnAddressIsLendableOnlyIfItIsReservedAndNothingElse(t *testing.T) {
	ours := Reservation{Replica: "r1"}
	for name, tc := range map[string]struct {
		entry Entry
		want  bool
	}{
		"reserved":               {entry: Entry{Reservation: ours}, want: true},
		"reserved for another":   {entry: Entry{Reservation: Reservation{Replica: "r2"}}},
		"reserved and contested": {entry: Entry{Reservation: Reservation{Replica: "r1", Contested: true}}},
		"reserved and held":      {entry: Entry{Reservation: ours, Holds: []Hold{{Holder: holderOf("vma", "net")}}}},
		"free":                   {},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tc.want, tc.entry.LendableBy("r1"))
			assert.False(t, tc.entry.LendableBy(""), "a replica without a name lends nothing")
		})
	}
}

func TestWhetherAnAddressIsHeldBesideAnObject(t *testing.T) {
	vm := Hold{Holder: Holder{Object: vmNamed("vma")}}
	other := Hold{Holder: Holder{Object: vmNamed("vmb")}, Shared: true}
	instance := Hold{Holder: Holder{Object: Object{Kind: KindVMI, Namespace: "default", Name: "vma"}}}
	for name, c := range map[string]struct {
		holds []Hold
		want  bool
	}{
		"it alone":                      {holds: []Hold{vm}},
		"it, and the instance it runs":  {holds: []Hold{instance, vm}},
		"it, and one that shares it":    {holds: []Hold{vm, other}, want: true},
		"another":                       {holds: []Hold{other}, want: true},
		"the instance it runs":          {holds: []Hold{instance}},
		"nobody":                        {},
		"it, its instance, and another": {holds: []Hold{vm, instance, other}, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, Entry{Holds: c.holds}.HeldBeside(vm.Object))
		})
	}
}
