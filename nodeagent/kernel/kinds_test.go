// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

func TestAVLANWithoutFlagsHasAllOfThemOff(t *testing.T) {
	v := decodeVLAN(encodeVLAN(&netstate.VLAN{ID: new(6)}))
	assert.Equal(t, 6, *v.ID)
	assert.False(t, *v.ReorderHeaders)
	assert.False(t, *v.LooseBinding)
	assert.Equal(t, "none", *v.RegistrationProtocol)
}
