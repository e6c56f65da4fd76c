// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/bridgehead-dev/bridgehead/e2e/systems"
	"github.com/bridgehead-dev/bridgehead/e2e/systems/layout"
)

// patience is how long the host may take for what follows from a command, on a busy machine.
const patience = 5 * time.Minute

// bridged is what a policy wants of the host.
const bridged = `interfaces:
- name: br1
  type: linux-bridge
  state: up
  ipv4: {enabled: false}
  ipv6: {enabled: false}
  bridge: {port: [{name: eth1}]}
`

// tellOfNetworkManager tells what becomes of a host whose links NetworkManager manages. It has no kubelet: the policy
// is applied as the agent does when it has a turn.
func tellOfNetworkManager(ctx context.Context, out io.Writer) error {
	dir, err := os.MkdirTemp("", "bridgehead-demo-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary folder
	host, err := systems.Start(ctx, systems.Options{Services: []string{"NetworkManager.service"}, Dir: dir, Log: out})
	if err != nil {
		return err
	}
	defer host.PowerCut()
	if err := host.SetLAN(ctx, layout.LAN{Lease: 3600}); err != nil {
		return err
	}
	if err := host.Write(ctx, "/tmp/policy.yaml", bridged); err != nil {
		return err
	}
	const (
		devices = "nmcli -t -f DEVICE,STATE device | tr : ' '"
		leased  = "eth1 connected"
	)
	if _, err := until(ctx, host, devices, leased); err != nil {
		return err
	}
	for _, step := range []struct{ shown, line, want string }{
		{"nmcli device", devices, leased},
		{"# a policy makes eth1 a port of br1", "applier apply p /tmp/policy.yaml", "eth1 taken over from NetworkManager"},
		{"nmcli device", devices, "eth1 unmanaged"},
		{"nmcli connection up 'Wired connection 2'", "nmcli con up 'Wired connection 2' 2>&1 || true", "Error"},
		{"bridge link show dev eth1", "bridge link show dev eth1", "master br1"},
		{"# the policy is reverted", "applier revert p", ""},
	} {
		fmt.Fprintln(out, "$ "+step.shown)
		printed, err := host.Exec(ctx, "sh", "-c", step.line)
		if err != nil {
			return fmt.Errorf("%s: %w", step.line, err)
		}
		show(out, printed)
		if !strings.Contains(printed, step.want) {
			return fmt.Errorf("%q is not in what was printed", step.want)
		}
	}
	printed, err := until(ctx, host, devices, leased)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "$ nmcli device")
	show(out, printed)
	return nil
}

func show(out io.Writer, printed string) {
	for text := range strings.Lines(strings.TrimSpace(printed)) {
		fmt.Fprintln(out, "   "+strings.TrimRight(text, "\n"))
	}
}

// until runs a line of shell on a host until it prints a text, and returns all that it printed then.
func until(ctx context.Context, host *systems.System, line, want string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		printed, err := host.Exec(ctx, "sh", "-c", line)
		if err == nil && strings.Contains(printed, want) {
			return printed, nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("%s: %q is not in what was printed: %s: %w", line, want, printed, err)
		case <-time.After(time.Second):
		}
	}
}
