// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/nad"
)

func TestWhatIsCachedOfAVMHasItsAddressesAndLittleElse(t *testing.T) {
	text, err := handsOn(newVM("vma", mac(1), mac(2)), nad.DefaultNetworkAnnotation, "l2", mac(3)).MarshalJSON()
	require.NoError(t, err)
	var v vm
	require.NoError(t, json.Unmarshal(text, &v))
	asRead := v.addresses(nil)
	require.Len(t, asRead, 3)
	stripped, err := stripMetadata(&v)
	require.NoError(t, err)
	cached := stripped.(*vm)
	assert.Nil(t, cached.Spec.Template)
	assert.Equal(t, asRead, cached.addresses(nil))
	assert.Equal(t, asRead, cached.DeepCopyObject().(*vm).addresses(nil))
	again, err := stripMetadata(cached)
	require.NoError(t, err)
	assert.Equal(t, asRead, again.(*vm).addresses(nil), "a cache may do it twice")
}
