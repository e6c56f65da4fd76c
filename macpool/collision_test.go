// SPDX-License-Identifier: Apache-2.0

package macpool

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCollisions(t *testing.T) {
	m := MAC{2, 0, 0, 0, 0, 1}
	vma, vmb, vmc := Holder{Object: vmNamed("vma")}, Holder{Object: vmNamed("vmb")}, Holder{Object: vmNamed("vmc")}
	instance := Holder{Object: Object{Kind: KindVMI, Namespace: "default", Name: "vma"}}
	anyone := Condition{Sharing: Sharing{Anyone: true}}
	names := func(o Holder) Condition { return Condition{Sharing: Sharing{With: o.Object}} }
	running := func(c Condition) Condition { c.Running = true; return c }
	two := []Hold{{Holder: vma}, {Holder: vmb}}
	consented := []Hold{{Holder: vma}, {Holder: vmb, Shared: true}}
	for name, tc := range map[string]struct {
		holds []Hold
		now   map[Object]Condition
		gone  []Object
		want  []Holder
	}{
		"one holder":                      {holds: two[:1]},
		"two holders":                     {holds: two, want: []Holder{vma, vmb}},
		"the same, once the first renews": {holds: []Hold{two[1], two[0]}, want: []Holder{vma, vmb}},
		"a receiver waits for its source": {holds: two, now: map[Object]Condition{vma.Object: {Running: true}, vmb.Object: anyone}},
		"a receiver runs, and its source does no more": {
			holds: two, now: map[Object]Condition{vmb.Object: running(anyone)},
		},
		"a receiver and its source run, as it migrates": {
			holds: two, now: map[Object]Condition{vma.Object: {Running: true, Migrating: true}, vmb.Object: running(anyone)},
		},
		"a receiver and its source run, and nothing migrates": {
			holds: two, now: map[Object]Condition{vma.Object: {Running: true}, vmb.Object: running(anyone)}, want: []Holder{vma, vmb},
		},
		"one that was a receiver, and whose source no longer runs": {
			holds: consented, now: map[Object]Condition{vmb.Object: {Running: true}},
		},
		"one that was a receiver, and whose source runs": {
			holds: consented, now: map[Object]Condition{vma.Object: {Running: true}, vmb.Object: {Running: true}}, want: []Holder{vma, vmb},
		},
		"one that names the other, which consented": {holds: consented, now: map[Object]Condition{vmb.Object: names(vma)}},
		"one that names the other, which consented, and both run": {
			holds: consented, now: map[Object]Condition{vma.Object: {Running: true}, vmb.Object: running(names(vma))}, want: []Holder{vma, vmb},
		},
		"one that names the other, which never consented": {
			holds: two, now: map[Object]Condition{vmb.Object: names(vma)}, want: []Holder{vma, vmb},
		},
		"two that name one another": {holds: two, now: map[Object]Condition{vma.Object: names(vmb), vmb.Object: names(vma)}},
		"one that names somebody else": {
			holds: two, now: map[Object]Condition{vmb.Object: names(vmc)}, want: []Holder{vma, vmb},
		},
		"one that names itself":                               {holds: two, now: map[Object]Condition{vmb.Object: names(vmb)}, want: []Holder{vma, vmb}},
		"one that is not there, or does not have it any more": {holds: two, gone: []Object{vmb.Object}},
		"two, and a third that is not there": {
			holds: append(slices.Clone(two), Hold{Holder: vmc}), gone: []Object{vma.Object}, want: []Holder{vmb, vmc},
		},
		"a VM and the instance that it is about to take over": {holds: []Hold{{Holder: instance}, {Holder: vma}}},
		"a VM and an instance of another name":                {holds: []Hold{{Holder: instance}, {Holder: vmb}}, want: []Holder{instance, vmb}},
		"a third is one too many": {
			holds: append(slices.Clone(consented), Hold{Holder: vmc, Shared: true}),
			now:   map[Object]Condition{vmb.Object: anyone, vmc.Object: anyone}, want: []Holder{vma, vmb, vmc},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := NewBlock(m.Prefix())
			b.Set(m, Entry{Holds: tc.holds})
			has := func(_ MAC, o Object) bool { return !slices.Contains(tc.gone, o) }
			found := Collisions([]*Block{b}, has, func(o Object) Condition { return tc.now[o] })
			if tc.want == nil {
				assert.Empty(t, found)
				return
			}
			assert.Equal(t, []Collision{{MAC: m, Holders: tc.want}}, found)
		})
	}
}

func TestReadSharing(t *testing.T) {
	for name, tc := range map[string]struct {
		runStrategy string
		with        string
		want        Sharing
		problem     bool
	}{
		"nobody":               {runStrategy: "Always"},
		"a receiver":           {runStrategy: "WaitAsReceiver", want: Sharing{Anyone: true}},
		"a VM by name":         {with: "ns/vma", want: Sharing{With: Object{Kind: KindVM, Namespace: "ns", Name: "vma"}}},
		"a name alone":         {with: "vma", problem: true},
		"no name":              {with: "ns/", problem: true},
		"too much of a name":   {with: "ns/vma/0", problem: true},
		"a receiver that errs": {runStrategy: "WaitAsReceiver", with: "x", want: Sharing{Anyone: true}, problem: true},
	} {
		t.Run(name, func(t *testing.T) {
			annotations := map[string]string{}
			if tc.with != "" {
				annotations[ShareAnnotation] = tc.with
			}
			got, err := ReadSharing(tc.runStrategy, annotations)
			assert.Equal(t, tc.problem, err != nil)
			assert.Equal(t, tc.want, got)
		})
	}
}
