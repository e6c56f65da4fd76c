// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

func TestCompare(t *testing.T) {
	now := time.Unix(1000, 0)
	const grace = time.Minute
	m := func(n byte) macpool.MAC { return macpool.MAC{2, 0, 0, 0, 0, n} }
	hold := func(age time.Duration) macpool.Hold {
		return macpool.Hold{Holder: holderOf("vma", "net"), Seen: now.Add(-age)}
	}
	for name, tc := range map[string]struct {
		has     map[macpool.MAC]string
		holds   map[macpool.MAC]macpool.Hold
		adopt   []macpool.MAC
		release []macpool.MAC
		recheck time.Duration
	}{
		"what it has and holds stays":            {has: map[macpool.MAC]string{m(1): "net"}, holds: map[macpool.MAC]macpool.Hold{m(1): hold(time.Hour)}},
		"what it has and does not hold is taken": {has: map[macpool.MAC]string{m(1): "net"}, adopt: []macpool.MAC{m(1)}},
		"an old hold without an object ends":     {holds: map[macpool.MAC]macpool.Hold{m(1): hold(grace)}, release: []macpool.MAC{m(1)}},
		"a young one may still get its object":   {holds: map[macpool.MAC]macpool.Hold{m(1): hold(45 * time.Second)}, recheck: 15 * time.Second},
		"the youngest says when to look again": {
			holds: map[macpool.MAC]macpool.Hold{m(1): hold(15 * time.Second), m(2): hold(45 * time.Second)}, recheck: 15 * time.Second,
		},
		"an interface that was given another address loses the old one": {
			has: map[macpool.MAC]string{m(2): "net"}, holds: map[macpool.MAC]macpool.Hold{m(1): hold(time.Hour), m(2): hold(0)}, release: []macpool.MAC{m(1)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := compare(tc.has, tc.holds, now, grace)
			assert.ElementsMatch(t, tc.adopt, keys(s.adopt))
			assert.ElementsMatch(t, tc.release, keys(s.release))
			assert.Equal(t, tc.recheck, s.recheck)
		})
	}
}

func TestStrays(t *testing.T) {
	now := time.Unix(1000, 0)
	const grace = time.Minute
	m := macpool.MAC{2, 0, 0, 0, 0, 1}
	holder := holderOf("vma", "net")
	for name, tc := range map[string]struct {
		has    map[macpool.MAC][]macpool.Holder
		unseen map[string]bool
		age    time.Duration
		want   int
	}{
		"an old hold of an object that nobody saw is one":       {age: grace, want: 1},
		"a young one may still get its object":                  {age: grace - 1},
		"the object has the address":                            {age: grace, has: map[macpool.MAC][]macpool.Holder{m: {holder}}},
		"another object has the address":                        {age: grace, has: map[macpool.MAC][]macpool.Holder{m: {holderOf("vmb", "net")}}, want: 1},
		"nothing is said of a kind that the API does not serve": {age: grace, unseen: map[string]bool{holder.Kind: true}},
		"another kind is not served":                            {age: grace, unseen: map[string]bool{macpool.KindPod: true}, want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := macpool.NewBlock(m.Prefix())
			b.Adopt(m, holder, now.Add(-tc.age))
			b.StampSeen(nil, now.Add(-tc.age))
			assert.Len(t, strays([]*macpool.Block{b}, tc.has, tc.unseen, now, grace), tc.want)
		})
	}
}
