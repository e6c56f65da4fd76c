// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestASecretWasWrittenWhenTheLastOneWroteIt(t *testing.T) {
	at := func(hour int) metav1.Time { return metav1.Date(2026, 1, 1, hour, 0, 0, 0, time.UTC) }
	entry := func(hour int) metav1.ManagedFieldsEntry { return metav1.ManagedFieldsEntry{Time: new(at(hour))} }
	for name, tc := range map[string]struct {
		fields []metav1.ManagedFieldsEntry
		want   int
	}{
		"created, and nothing else is known": {want: 1},
		"written since":                      {fields: []metav1.ManagedFieldsEntry{entry(1), entry(3), entry(2)}, want: 3},
		"written at a time nobody noted":     {fields: []metav1.ManagedFieldsEntry{{}}, want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: at(1), ManagedFields: tc.fields}}
			assert.Equal(t, at(tc.want).Time, Written(secret))
		})
	}
}
