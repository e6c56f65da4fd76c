// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestABundleThatCainjectorHasYetToWriteIsTheCA(t *testing.T) {
	for present, want := range map[string]string{"": "CA", "\n": "CA", "another": "another"} {
		assert.Equal(t, want, string(Injected([]byte("CA"), []byte(present))), "%q", present)
	}
}
