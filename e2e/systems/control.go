// SPDX-License-Identifier: Apache-2.0

package systems

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/bridgehead-dev/bridgehead/e2e/systems/layout"
	"github.com/bridgehead-dev/bridgehead/e2e/vmrun/guest"
)

// Exec runs a program in the guest and returns its output. A program that fails is an error with what it complained of.
func (s *System) Exec(ctx context.Context, argv ...string) (string, error) {
	s.mu.Lock()
	client := s.client
	s.mu.Unlock()
	return client.Exec(ctx, "", argv...)
}

// Write writes a file of the guest.
func (s *System) Write(ctx context.Context, path, text string) error {
	s.mu.Lock()
	client := s.client
	s.mu.Unlock()
	_, err := client.Exec(ctx, text, "sh", "-c", "cat > "+path)
	return err
}

// SetLAN changes the DHCP server of the LAN.
func (s *System) SetLAN(ctx context.Context, lan layout.LAN) error {
	text, err := json.Marshal(lan)
	if err != nil {
		return err
	}
	return s.Write(ctx, LANConfig, string(text))
}

// SetCable plugs or unplugs the cable of eth0 or eth1, by number.
func (s *System) SetCable(ctx context.Context, nic int, up bool) error {
	return guest.SetLink(ctx, s.path("qmp"), nic, up)
}

// PowerCut ends the guest as a power failure does; what was flushed to its disk is kept.
func (s *System) PowerCut() {
	s.mu.Lock()
	cancel, ended := s.cancel, s.ended
	s.mu.Unlock()
	cancel(errors.New("power cut"))
	<-ended
}

// Reboot ends the system in order and boots it again.
func (s *System) Reboot(ctx context.Context) error {
	// The answer may be lost as the guest goes.
	if _, err := s.Exec(ctx, "systemctl", "poweroff", "--force"); err != nil && ctx.Err() != nil {
		return fmt.Errorf("shut the system down: %w", err)
	}
	select {
	case <-s.ended:
	case <-ctx.Done():
		return fmt.Errorf("shut the system down: %w", context.Cause(ctx))
	}
	return s.Boot(ctx)
}
