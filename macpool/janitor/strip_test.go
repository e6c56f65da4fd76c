// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhatIsCachedOfAVMHasItsAddressesAndLittleElse(t *testing.T) {
	text, err := newVM("vma", mac(1), mac(2)).MarshalJSON()
	require.NoError(t, err)
	var v vm
	require.NoError(t, json.Unmarshal(text, &v))
	asRead := v.addresses()
	require.Len(t, asRead, 2)
	stripped, err := stripMetadata(&v)
	require.NoError(t, err)
	cached := stripped.(*vm)
	assert.Nil(t, cached.Spec.Template)
	assert.Equal(t, asRead, cached.addresses())
	assert.Equal(t, asRead, cached.DeepCopyObject().(*vm).addresses())
	again, err := stripMetadata(cached)
	require.NoError(t, err)
	assert.Equal(t, asRead, again.(*vm).addresses(), "a cache may do it twice")
}
