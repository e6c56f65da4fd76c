// SPDX-License-Identifier: Apache-2.0

// Package sample is what the tests of vmrun run in a guest.
package sample

// Double is covered by one test, so that coverage has something to show.
func Double(n int) int { return 2 * n }
