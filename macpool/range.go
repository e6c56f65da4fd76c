// SPDX-License-Identifier: Apache-2.0

package macpool

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
)

// A Range is every address from First to Last, both included.
type Range struct {
	First, Last MAC
}

// ParseRange reads a range from the spellings of its two ends. It refuses reversed ends, and a range that holds a
// multicast address: since every second first octet is multicast, the ends must share theirs.
func ParseRange(start, end string) (Range, error) {
	first, err := ParseInterfaceMAC(start)
	if err != nil {
		return Range{}, fmt.Errorf("start %q %w", start, err)
	}
	last, err := ParseInterfaceMAC(end)
	if err != nil {
		return Range{}, fmt.Errorf("end %q %w", end, err)
	}
	if first.Compare(last) > 0 {
		return Range{}, fmt.Errorf("start %s is greater than end %s: swap them", first, last)
	}
	if first[0] != last[0] {
		return Range{}, fmt.Errorf(
			"%s to %s holds multicast addresses, %02x:00:00:00:00:00 for one: write one range per first octet", first, last,
			first[0]+1,
		)
	}
	return Range{First: first, Last: last}, nil
}

// Contains reports whether the address lies in the range.
func (r Range) Contains(m MAC) bool {
	return r.First.Compare(m) <= 0 && m.Compare(r.Last) <= 0
}

// Size returns the number of addresses in the range, at least one.
func (r Range) Size() uint64 {
	return r.Last.number() - r.First.number() + 1
}

// String spells the range as 02:4a:be:00:00:00-02:4a:be:ff:ff:ff.
func (r Range) String() string {
	return r.First.String() + "-" + r.Last.String()
}

// A Set is a set of addresses, kept as ranges that are ascending and disjoint. The zero Set is empty.
type Set struct {
	ranges []Range
}

// NewSet returns the addresses of include that are not in exclude. Either may overlap itself.
func NewSet(include, exclude []Range) Set {
	merged := merge(include)
	for _, out := range exclude {
		var left []Range
		for _, r := range merged {
			left = append(left, without(r, out)...)
		}
		merged = left
	}
	return Set{ranges: merged}
}

// Ranges returns the ranges of the set, ascending and disjoint.
func (s Set) Ranges() []Range { return slices.Clone(s.ranges) }

// Equal reports whether two sets have the same addresses.
func (s Set) Equal(other Set) bool { return slices.Equal(s.ranges, other.ranges) }

// Contains reports whether the address is in the set.
func (s Set) Contains(m MAC) bool {
	i, found := slices.BinarySearchFunc(s.ranges, m, func(r Range, m MAC) int { return r.First.Compare(m) })
	return found || i > 0 && s.ranges[i-1].Contains(m)
}

// Covers reports whether the set has all addresses of a block, and whether it has any.
func (s Set) Covers(p Prefix) (all, some bool) {
	first, last := p.Address(0), p.Address(255)
	i, _ := slices.BinarySearchFunc(s.ranges, first, func(r Range, m MAC) int { return r.Last.Compare(m) })
	if i == len(s.ranges) || last.Compare(s.ranges[i].First) < 0 {
		return false, false
	}
	return s.ranges[i].First.Compare(first) <= 0 && last.Compare(s.ranges[i].Last) <= 0, true
}

// Size returns the number of addresses in the set.
func (s Set) Size() uint64 {
	var total uint64
	for _, r := range s.ranges {
		total += r.Size()
	}
	return total
}

// At returns the address that has n smaller ones in the set; n must be less than Size.
func (s Set) At(n uint64) MAC {
	for _, r := range s.ranges {
		if n < r.Size() {
			return macOf(r.First.number() + n)
		}
		n -= r.Size()
	}
	panic(fmt.Sprintf("address %d beyond the end of a set of %d", n, s.Size()))
}

// Prefixes returns the blocks that have an address in the set, beginning with from and wrapping around once. A set of
// 2^24 addresses has 65536.
func (s Set) Prefixes(from Prefix) iter.Seq[Prefix] {
	start := from.number()
	return func(yield func(Prefix) bool) {
		if s.walkPrefixes(start, 1<<40-1, yield) && start > 0 {
			s.walkPrefixes(0, start-1, yield)
		}
	}
}

func (s Set) walkPrefixes(lowest, highest uint64, yield func(Prefix) bool) bool {
	next := lowest
	for _, r := range s.ranges {
		last := min(r.Last.Prefix().number(), highest)
		for n := max(r.First.Prefix().number(), next); n <= last; n++ {
			if !yield(prefixOf(n)) {
				return false
			}
			next = n + 1
		}
	}
	return true
}

// merge sorts ranges and joins those that overlap or touch.
func merge(ranges []Range) []Range {
	sorted := slices.SortedFunc(slices.Values(ranges), func(a, b Range) int {
		return cmp.Or(a.First.Compare(b.First), a.Last.Compare(b.Last))
	})
	var merged []Range
	for _, r := range sorted {
		if last := len(merged) - 1; last >= 0 && r.First.number() <= merged[last].Last.number()+1 {
			if merged[last].Last.Compare(r.Last) < 0 {
				merged[last].Last = r.Last
			}
			continue
		}
		merged = append(merged, r)
	}
	return merged
}

// without returns what is left of r when out is taken from it: none, one or two ranges.
func without(r, out Range) []Range {
	if out.Last.Compare(r.First) < 0 || r.Last.Compare(out.First) < 0 {
		return []Range{r}
	}
	var left []Range
	if r.First.Compare(out.First) < 0 {
		left = append(left, Range{First: r.First, Last: macOf(out.First.number() - 1)})
	}
	if out.Last.Compare(r.Last) < 0 {
		left = append(left, Range{First: macOf(out.Last.number() + 1), Last: r.Last})
	}
	return left
}
