// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/types"
)

func TestPanicsOfJobsAreErrors(t *testing.T) {
	assert.NotPanics(t, func() {
		err := safely(t.Context(), func(context.Context) error { panic("odd") })
		assert.ErrorContains(t, err, "panic: odd")
	})
	assert.NotPanics(t, func() {
		j := &Janitor{VMs: &panicking{name: "odd"}}
		_, err := j.reconcile(t.Context(), subject{key: types.NamespacedName{Namespace: "default", Name: "odd"}})
		assert.ErrorContains(t, err, "panic: odd")
	})
}
