// SPDX-License-Identifier: Apache-2.0

//go:build guest

package kernel

import "testing"

func TestEveryPairOnTheKernel(t *testing.T) { everyPair(t, openGuest(t), climb) }

func TestRandomWalkOnTheKernel(t *testing.T) { walk(t, openGuest(t)) }

func TestTheKernelRefusesInWords(t *testing.T) { refuse(t, openGuest(t), true) }
