// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// batch is what leads a bare node to size VLANs with a bridge each, in the words of ip and bridge. Like a plan it takes
// IPv6 off every link before it first goes up, for which these programs have no word.
type batch struct {
	size              int
	birth, up, filter string // files of commands
}

// newBatch writes the files of commands. Each link gets the options a plan gives it.
func newBatch(dir string, size int) (batch, error) {
	var birth, up, filter strings.Builder
	for n := range size {
		vlan, bridge := names(n)
		fmt.Fprintf(&birth, "link add link %s name %s mtu 1500 type vlan id %d\n", base, vlan, n+1)
		fmt.Fprintf(&birth, "link add name %s type bridge stp_state 0 vlan_filtering 1\n", bridge)
		fmt.Fprintf(&up, "link set dev %s up\nlink set dev %s up\nlink set dev %s master %s\n", vlan, bridge, vlan, bridge)
		fmt.Fprintf(&filter, "vlan add dev %s vid %d pvid untagged\nvlan del dev %s vid 1\n", vlan, accessTag, vlan)
	}
	b := batch{size: size, birth: filepath.Join(dir, "birth"), up: filepath.Join(dir, "up"),
		filter: filepath.Join(dir, "filter")}
	for file, text := range map[string]string{b.birth: birth.String(), b.up: up.String(), b.filter: filter.String()} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return batch{}, fmt.Errorf("write a batch: %w", err)
		}
	}
	return b, nil
}

// apply runs the batches and returns how long that took.
func (b batch) apply() (time.Duration, error) {
	began := time.Now()
	if err := program("ip", "-batch", b.birth); err != nil {
		return 0, err
	}
	for n := range b.size {
		vlan, bridge := names(n)
		for _, link := range []string{vlan, bridge} {
			if err := os.WriteFile(filepath.Join("/proc/sys/net/ipv6/conf", link, "disable_ipv6"), []byte("1"), 0); err != nil {
				return 0, fmt.Errorf("take IPv6 off: %w", err)
			}
		}
	}
	if err := program("ip", "-batch", b.up); err != nil {
		return 0, err
	}
	err := program("bridge", "-batch", b.filter)
	return time.Since(began), err
}

// program runs a program to its end.
func program(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out.String())
	}
	return nil
}
