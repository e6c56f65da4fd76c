// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhatIsNotMeasuredIsRefusedBeforeAnythingIs(t *testing.T) {
	var o Options
	require.ErrorContains(t, o.readConcurrencies("1,32"), `"32" is none of 1, 16, 64`)
	require.ErrorContains(t, o.readParts("admission,none"), `"none" is none of admission, replicas, `)
	o = Options{}
	require.NoError(t, o.readConcurrencies("64,1"))
	require.NoError(t, o.readParts("pods"))
	assert.Equal(t, []int{64, 1}, o.At)
	assert.Equal(t, "pods", o.Parts[0].name)
}
