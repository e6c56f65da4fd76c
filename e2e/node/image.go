// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bridgehead-dev/bridgehead/e2e/controlplane/binaries"
	"github.com/bridgehead-dev/bridgehead/e2e/guestrpc"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
	"github.com/bridgehead-dev/bridgehead/e2e/vmrun/guest"
)

// Paths in the guest.
const (
	agentProgram = "/usr/bin/bridgehead-agent"
	nodedProgram = "/usr/bin/noded"
	pluginDir    = "/opt/cni/bin"
	stateDir     = "/var/lib/bridgehead"
	kubeconfig   = "/etc/bridgehead/kubeconfig"
)

// kernelModules returns what a node needs of the kernel; what these depend on comes along.
func kernelModules() []string {
	return []string{
		"virtio_pci", "virtio_net", "virtio_blk", "virtio_console", "bridge", "8021q", "veth", "dummy", "bonding", "vxlan",
		"macvlan", "vrf", "tun", "ipv6", "af_packet",
	}
}

// programs are what goes into the guests, by paths of the host.
type programs struct {
	kernel             guest.Kernel
	init, noded, agent string
	busybox            string
}

// build provides the programs: ours compiled, the kernel and busybox from Debian's packages.
func build(ctx context.Context, dir string, out io.Writer) (*programs, error) {
	root, err := suite.Root()
	if err != nil {
		return nil, err
	}
	cache, err := binaries.CacheDir()
	if err != nil {
		return nil, err
	}
	p := &programs{}
	if p.kernel, err = guest.FetchKernel(
		ctx, guest.KernelSource{Cache: filepath.Join(cache, "kernel"), Log: out},
	); err != nil {
		return nil, err
	}
	busybox, err := guest.FetchPackage(ctx, filepath.Join(cache, "packages"), "busybox-static", out)
	if err != nil {
		return nil, err
	}
	p.busybox = filepath.Join(busybox, "bin", "busybox")
	for _, b := range []struct {
		path *string
		pkg  string
	}{
		{&p.init, "./e2e/vmrun/guestinit"}, {&p.noded, "./e2e/node/noded"}, {&p.agent, "./cmd/bridgehead-agent"},
	} {
		*b.path = filepath.Join(dir, filepath.Base(b.pkg))
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", *b.path, b.pkg)
		cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
		if text, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build %s: %w\n%s", b.pkg, err, text)
		}
	}
	return p, nil
}

// archive returns the file system of one node.
func (p *programs) archive(config guestrpc.Config, access []byte) (*guest.Archive, error) {
	files := &guest.Archive{}
	for _, f := range []struct{ guest, host string }{
		{nodedProgram, p.noded}, {agentProgram, p.agent}, {"/bin/busybox", p.busybox},
	} {
		if err := files.AddFile(f.guest, f.host); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"ip", "bridge"} {
		program, err := exec.LookPath(name)
		if err != nil {
			return nil, fmt.Errorf("%w; on Debian: apt-get install iproute2", err)
		}
		if err := files.AddProgram("/usr/sbin/"+name, program); err != nil {
			return nil, err
		}
	}
	text, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("write the node's configuration: %w", err)
	}
	files.AddBytes(guestrpc.ConfigPath, text, 0o644)
	files.AddBytes(kubeconfig, access, 0o600)
	files.AddBytes("/etc/hosts", []byte("127.0.0.1 localhost\n::1 localhost\n"), 0o644)
	files.AddBytes("/etc/passwd", []byte("root:x:0:0:root:/tmp:/bin/sh\n"), 0o644)
	for _, dir := range []string{stateDir, "/tmp", "/run", "/var"} {
		files.AddDir(dir)
	}
	return files, nil
}

// newDisk makes an empty ext4 image.
func newDisk(ctx context.Context, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("make a disk: %w", err)
	}
	defer f.Close()
	if err := f.Truncate(32 << 20); err != nil {
		return fmt.Errorf("make a disk: %w", err)
	}
	mke2fs := "mke2fs"
	if _, err := exec.LookPath(mke2fs); err != nil {
		mke2fs = "/sbin/mke2fs" // not on the search path of everybody
	}
	out, err := exec.CommandContext(ctx, mke2fs, "-q", "-t", "ext4", path).CombinedOutput()
	if err != nil {
		return fmt.Errorf("make a file system: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
