// SPDX-License-Identifier: Apache-2.0

package macpool

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCollisions(t *testing.T) {
	m := MAC{2, 0, 0, 0, 0, 1}
	vma, vmb, vmc := Holder{Object: vmNamed("vma")}, Holder{Object: vmNamed("vmb")}, Holder{Object: vmNamed("vmc")}
	for name, tc := range map[string]struct {
		holds   []Hold
		sharing map[Object]Sharing
		want    []Holder
	}{
		"one holder":                         {holds: []Hold{{Holder: vma}}},
		"two holders":                        {holds: []Hold{{Holder: vma}, {Holder: vmb}}, want: []Holder{vma, vmb}},
		"one of two shares by admission":     {holds: []Hold{{Holder: vma}, {Holder: vmb, Shared: true}}},
		"two of three do not share":          {holds: []Hold{{Holder: vma}, {Holder: vmb, Shared: true}, {Holder: vmc}}, want: []Holder{vma, vmc}},
		"a receiver that passed admission":   {holds: []Hold{{Holder: vma}, {Holder: vmb}}, sharing: map[Object]Sharing{vmb.Object: {Anyone: true}}},
		"one that names the other":           {holds: []Hold{{Holder: vma}, {Holder: vmb}}, sharing: map[Object]Sharing{vmb.Object: {With: vma.Object}}},
		"one that names somebody else":       {holds: []Hold{{Holder: vma}, {Holder: vmb}}, sharing: map[Object]Sharing{vmb.Object: {With: vmc.Object}}, want: []Holder{vma, vmb}},
		"one that names itself":              {holds: []Hold{{Holder: vma}, {Holder: vmb}}, sharing: map[Object]Sharing{vmb.Object: {With: vmb.Object}}, want: []Holder{vma, vmb}},
		"both are receivers, of one another": {holds: []Hold{{Holder: vma}, {Holder: vmb}}, sharing: map[Object]Sharing{vma.Object: {Anyone: true}, vmb.Object: {Anyone: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			b := NewBlock(m.Prefix())
			b.Set(m, Entry{Holds: tc.holds})
			found := Collisions([]*Block{b}, func(o Object) Sharing { return tc.sharing[o] })
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
