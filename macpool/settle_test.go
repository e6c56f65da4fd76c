package macpool

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestSettleDecides(t *testing.T) {
	now := time.Unix(1000, 0)
	const grace = time.Minute
	m := func(n byte) MAC { return MAC{2, 0, 0, 0, 0, n} }
	hold := func(age time.Duration) Hold { return Hold{Holder: holderOf("vma", "net"), Seen: now.Add(-age)} }
	for name, tc := range map[string]struct {
		has     map[MAC]string
		holds   map[MAC]Hold
		adopt   []MAC
		release []MAC
		recheck time.Duration
	}{
		"what it has and holds stays":            {has: map[MAC]string{m(1): "net"}, holds: map[MAC]Hold{m(1): hold(time.Hour)}},
		"what it has and does not hold is taken": {has: map[MAC]string{m(1): "net"}, adopt: []MAC{m(1)}},
		"an old hold without an object ends":     {holds: map[MAC]Hold{m(1): hold(grace)}, release: []MAC{m(1)}},
		"a young one may still get its object":   {holds: map[MAC]Hold{m(1): hold(45 * time.Second)}, recheck: 15 * time.Second},
		"the youngest says when to look again": {
			holds: map[MAC]Hold{m(1): hold(15 * time.Second), m(2): hold(45 * time.Second)}, recheck: 15 * time.Second,
		},
		"an interface that was given another address loses the old one": {
			has: map[MAC]string{m(2): "net"}, holds: map[MAC]Hold{m(1): hold(time.Hour), m(2): hold(0)}, release: []MAC{m(1)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := settle(tc.has, tc.holds, now, grace)
			assert.ElementsMatch(t, tc.adopt, keys(s.adopt))
			assert.ElementsMatch(t, tc.release, keys(s.release))
			assert.Equal(t, tc.recheck, s.recheck)
		})
	}
}
