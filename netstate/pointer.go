// SPDX-License-Identifier: Apache-2.0

package netstate

import "cmp"

func positive(n *int) bool { return n != nil && *n > 0 }

func same(a, b *int) bool { return a == b || a != nil && b != nil && *a == *b }

// zeroed returns 0 for a number that is known.
func zeroed(n *int) *int {
	if n == nil {
		return nil
	}
	return new(0)
}

// unsetOr reports whether a wish is not made, or is what there is.
func unsetOr(wish, value *int) bool { return wish == nil || same(wish, value) }

func unsetOrText(wish, value *string) bool {
	return wish == nil || cmp.Or(deref(wish), "") == cmp.Or(deref(value), "")
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func number(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

func isTrue(b *bool) bool { return b != nil && *b }
