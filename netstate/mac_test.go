// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMACs(t *testing.T) {
	mac, err := ParseMAC("52:55:00:d1:56:0a")
	require.NoError(t, err)
	assert.Equal(t, "52:55:00:D1:56:0A", mac.String())
	for _, text := range []string{"", "52:55", "52:55:00:d1:56:0a:00:01", "x"} {
		_, err := ParseMAC(text)
		assert.Error(t, err, "%q is no MAC", text)
	}
}
