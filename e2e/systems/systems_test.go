// SPDX-License-Identifier: Apache-2.0

package systems_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/e2e/systems"
	"github.com/bridgehead-dev/bridgehead/e2e/systems/layout"
)

// patience bounds a wait, on a machine that is busy.
const patience = 4 * time.Minute

// managers returns the ways in which the links of a system may be managed.
func managers() map[string]systems.Options {
	return map[string]systems.Options{
		"NetworkManager": {Services: []string{"NetworkManager.service"}},
		"systemd-networkd": {
			Services: []string{"systemd-networkd.service", "systemd-resolved.service"},
			Files:    map[string]string{"/etc/systemd/network/20-wired.network": "[Match]\nName=eth*\n[Network]\nDHCP=ipv4\n"},
		},
	}
}

// start boots a system for one test.
func start(t *testing.T, o systems.Options) *systems.System {
	t.Helper()
	o.Dir, o.Log = t.TempDir(), os.Stderr
	s, err := systems.Start(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			log, err := s.Exec(context.WithoutCancel(t.Context()), "journalctl", "--no-pager", "-n", "200")
			t.Log(log, err)
		}
		s.PowerCut()
	})
	return s
}

// says waits until a program of the guest prints a text.
func says(t *testing.T, s *systems.System, text string, argv ...string) {
	t.Helper()
	require.Eventually(t, func() bool {
		out, err := s.Exec(t.Context(), argv...)
		return err == nil && strings.Contains(out, text)
	}, patience, time.Second, "%s prints %s", strings.Join(argv, " "), text)
}

func TestManagersConfigureTheirLinks(t *testing.T) {
	for name, options := range managers() {
		t.Run(name, func(t *testing.T) {
			s := start(t, options)
			says(t, s, layout.LeasedAddress, "ip", "addr", "show", "eth1")
			says(t, s, "10.0.2.15/24", "ip", "addr", "show", "eth0")
		})
	}
}
