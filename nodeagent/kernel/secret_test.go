// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestALinkHasASecretOfItsOwnThatIsTheSameEveryTime(t *testing.T) {
	secret := stableSecret("node-a", "eth1")
	assert.Equal(t, secret, stableSecret("node-a", "eth1"))
	assert.NotEqual(t, secret, stableSecret("node-a", "eth2"))
	assert.NotEqual(t, secret, stableSecret("node-b", "eth1"))
	assert.NotContains(t, secret.StringExpanded(), "node-a")
}

func TestASecretThatSomebodyGaveALinkStays(t *testing.T) {
	k := &Kernel{Sysctls: t.TempDir(), Secret: "node-a"}
	file := filepath.Join(k.Sysctls, "ipv6", "conf", "eth1", secretFile)
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
	require.NoError(t, os.WriteFile(file, []byte("2001:db8::7"), 0o600))
	require.NoError(t, k.giveSecret("eth1"))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "2001:db8::7", string(text))
}
