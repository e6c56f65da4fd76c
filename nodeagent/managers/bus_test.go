// SPDX-License-Identifier: Apache-2.0

package managers

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

func TestABusThatDoesNotAnswerIsAnError(t *testing.T) {
	root := t.TempDir()
	socket := filepath.Join(root, busSocket)
	require.NoError(t, os.MkdirAll(filepath.Dir(socket), 0o755))
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	require.NoError(t, err)
	defer listener.Close()
	bus := &Bus{Root: root, Timeout: time.Millisecond}
	m := &Managers{Files: Files{Root: root}, NetworkManager: bus.networkManager, Networkd: bus.networkd}
	_, err = m.Read(netstate.State{})
	require.ErrorContains(t, err, "connect to the system bus: ")
	var late net.Error // of the dial, or of the reading
	require.ErrorAs(t, err, &late)
	require.True(t, late.Timeout(), "%v", err)
}
