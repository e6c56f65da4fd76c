// SPDX-License-Identifier: Apache-2.0

package macpool

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseRange(t *testing.T) {
	for name, tc := range map[string]struct {
		start, end, problem string
		size                uint64
	}{
		"one address":                      {start: "02:00:00:00:00:01", end: "02:00:00:00:00:01", size: 1},
		"2^24 addresses":                   {start: "02:4a:be:00:00:00", end: "02:4a:be:ff:ff:ff", size: 1 << 24},
		"all of one first octet":           {start: "02:00:00:00:00:00", end: "02:ff:ff:ff:ff:ff", size: 1 << 40},
		"reversed in the last octet":       {start: "02:00:00:00:00:02", end: "02:00:00:00:00:01", problem: "swap them"},
		"reversed behind a lower octet":    {start: "02:ff:00:00:00:00", end: "02:00:ff:ff:ff:ff", problem: "swap them"},
		"across a multicast octet":         {start: "02:ff:ff:ff:ff:00", end: "04:00:00:00:00:ff", problem: "03:00:00:00:00:00"},
		"multicast ends":                   {start: "03:00:00:00:00:00", end: "03:00:00:00:00:ff", problem: "multicast"},
		"an end of eight octets":           {start: "02:00:00:00:00:00", end: "02:00:00:00:00:00:00:01", problem: "8 octets"},
		"an end that is no address at all": {start: "02:00:00:00:00:00", end: "x", problem: `end "x"`},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := ParseRange(tc.start, tc.end)
			if tc.problem != "" {
				assert.ErrorContains(t, err, tc.problem)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tc.size, r.Size())
			assert.True(t, r.Contains(r.First) && r.Contains(r.Last))
		})
	}
}

func rangeOf(t testing.TB, start, end string) Range {
	t.Helper()
	r, err := ParseRange(start, end)
	require.NoError(t, err)
	return r
}

func TestSet(t *testing.T) {
	for name, tc := range map[string]struct {
		include, exclude [][2]string
		want             []string
	}{
		"overlapping ranges are one": {
			include: [][2]string{{"02:00:00:00:00:10", "02:00:00:00:00:20"}, {"02:00:00:00:00:00", "02:00:00:00:00:15"}},
			want:    []string{"02:00:00:00:00:00-02:00:00:00:00:20"},
		},
		"touching ranges are one": {
			include: [][2]string{{"02:00:00:00:00:10", "02:00:00:00:00:20"}, {"02:00:00:00:00:00", "02:00:00:00:00:0f"}},
			want:    []string{"02:00:00:00:00:00-02:00:00:00:00:20"},
		},
		"an exclusion in the middle splits": {
			include: [][2]string{{"02:00:00:00:00:00", "02:00:00:00:00:20"}},
			exclude: [][2]string{{"02:00:00:00:00:10", "02:00:00:00:00:10"}},
			want:    []string{"02:00:00:00:00:00-02:00:00:00:00:0f", "02:00:00:00:00:11-02:00:00:00:00:20"},
		},
		"exclusions at the ends shorten": {
			include: [][2]string{{"02:00:00:00:00:00", "02:00:00:00:00:20"}},
			exclude: [][2]string{{"02:00:00:00:00:00", "02:00:00:00:00:01"}, {"02:00:00:00:00:1f", "02:00:00:00:00:2f"}},
			want:    []string{"02:00:00:00:00:02-02:00:00:00:00:1e"},
		},
		"an exclusion of everything leaves nothing": {
			include: [][2]string{{"02:00:00:00:00:00", "02:00:00:00:00:20"}},
			exclude: [][2]string{{"02:00:00:00:00:00", "02:ff:ff:ff:ff:ff"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var include, exclude []Range
			for _, r := range tc.include {
				include = append(include, rangeOf(t, r[0], r[1]))
			}
			for _, r := range tc.exclude {
				exclude = append(exclude, rangeOf(t, r[0], r[1]))
			}
			s := NewSet(include, exclude)
			var got []string
			for _, r := range s.ranges {
				got = append(got, r.String())
			}
			assert.Equal(t, tc.want, got)
			members := 0
			for n := range uint64(0x40) {
				if s.Contains(macOf(mustMAC(t, "02:00:00:00:00:00").number() + n)) {
					members++
				}
			}
			assert.Equal(t, s.Size(), uint64(members), "Contains and Size agree")
			for n := range s.Size() {
				assert.True(t, s.Contains(s.At(n)))
			}
		})
	}
}

func TestSetPrefixesWrapsAroundOnce(t *testing.T) {
	s := NewSet(
		[]Range{rangeOf(t, "02:00:00:00:00:f0", "02:00:00:00:02:01"), rangeOf(t, "06:00:00:00:07:00", "06:00:00:00:07:00")},
		nil,
	)
	name := func(seq []Prefix) (names []string) {
		for _, p := range seq {
			names = append(names, p.String())
		}
		return names
	}
	from, err := ParsePrefix("02-00-00-00-01")
	require.NoError(t, err)
	assert.Equal(
		t, []string{"02-00-00-00-01", "02-00-00-00-02", "06-00-00-00-07", "02-00-00-00-00"},
		name(slices.Collect(s.Prefixes(from))),
	)
	assert.Equal(
		t, []string{"02-00-00-00-00", "02-00-00-00-01", "02-00-00-00-02", "06-00-00-00-07"},
		name(slices.Collect(s.Prefixes(Prefix{}))),
	)
	for range s.Prefixes(from) {
		break // stopping early is allowed
	}
}

func FuzzParseRange(f *testing.F) {
	f.Add("02:00:00:00:00:00", "02:00:00:00:00:ff")
	f.Add("02:FF:FF:FF:FF:00", "04:00:00:00:00:FF")
	f.Add("02-00-00-00-00-02", "0200.0000.0001")
	f.Fuzz(func(t *testing.T, start, end string) {
		r, err := ParseRange(start, end)
		if err != nil {
			return
		}
		assert.GreaterOrEqual(t, r.Size(), uint64(1))
		assert.False(t, r.First.Multicast() || r.Last.Multicast() || r.First[0] != r.Last[0])
		assert.Equal(t, r.Size(), NewSet([]Range{r}, nil).Size())
	})
}
