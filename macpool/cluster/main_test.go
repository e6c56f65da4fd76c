// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"

	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
)

func TestMain(m *testing.M) {
	// One of them sleeps by a clock outside of bubbles, which is decades ahead of theirs.
	utilruntime.ErrorHandlers = nil
	m.Run()
}
