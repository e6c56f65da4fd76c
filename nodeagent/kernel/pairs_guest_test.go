// SPDX-License-Identifier: Apache-2.0

//go:build guest

package kernel

import "testing"

func TestEveryPairOnTheKernel(t *testing.T) { everyPair(t, lentGuest(t), climb) }

func TestRandomWalkOnTheKernel(t *testing.T) { walk(t, lentGuest(t)) }

func TestTheKernelRefusesInWords(t *testing.T) { refuse(t, lentGuest(t), true) }
