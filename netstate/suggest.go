// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"slices"
	"strings"
)

// suggest returns the one of known that word most likely stands for, or "".
func suggest(word string, known []string) string {
	plain := func(s string) string { return strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(s)) }
	wanted := plain(word)
	if len(wanted) > 64 {
		return ""
	}
	best, bestDistance := "", len(wanted)/3+2
	for _, candidate := range slices.Sorted(slices.Values(known)) {
		if d := editDistance(wanted, plain(candidate)); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// didYouMean returns a sentence that proposes one of known instead of word, or else lists them all.
func didYouMean(word string, known []string) string {
	if likely := suggest(word, known); likely != "" {
		return "did you mean " + likely + "?"
	}
	return "known keys: " + strings.Join(slices.Sorted(slices.Values(known)), ", ")
}

// editDistance counts the insertions, deletions, replacements and swaps of neighbours between a and b.
func editDistance(a, b string) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		row, above, twoAbove := rows[i%3], rows[(i+2)%3], rows[(i+1)%3]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(row[j-1]+1, above[j]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], twoAbove[j-2]+1)
			}
		}
	}
	return rows[len(a)%3][len(b)]
}
