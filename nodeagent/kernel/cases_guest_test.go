// SPDX-License-Identifier: Apache-2.0

//go:build guest

package kernel

import "testing"

func TestCasesOnTheKernel(t *testing.T) { everyCase(t, openGuest(t)) }
