// SPDX-License-Identifier: Apache-2.0

// Package systems runs Debian as it is on nodes, in qemu guests: systemd, D-Bus, NetworkManager or systemd-networkd
// with systemd-resolved, from Debian's own packages. eth0 is in qemu's user network; eth1 is on a LAN with a router
// that is a DHCP server. Nothing needs root or KVM, and nothing of it touches the network of the machine.
package systems

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/bridgehead-dev/bridgehead/e2e/controlplane/binaries"
	"github.com/bridgehead-dev/bridgehead/e2e/guestrpc"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
	"github.com/bridgehead-dev/bridgehead/e2e/systems/layout"
	"github.com/bridgehead-dev/bridgehead/e2e/vmrun/guest"
)

// LANConfig is where the guest has its layout.LAN.
const LANConfig = layout.LANConfig

// bootTimeout is how long a system may take until it answers, on a machine that is busy.
const bootTimeout = 5 * time.Minute

// Options describe one system.
type Options struct {
	// Services are units of systemd that are started at boot, as NetworkManager.service.
	Services []string
	// Files are texts to be put on the disk at each boot, by path.
	Files map[string]string
	// Programs are programs of this machine to be put on the disk at each boot, by path in the guest.
	Programs map[string]string
	// Kubelet puts kubelet, containerd and runc on the disk, with units of systemd that are started where Services names
	// them. They take more memory, and are compiled first if the cache has them not.
	Kubelet bool
	// Dir has the disk and the log of the console.
	Dir string
	// Log is told what takes long.
	Log io.Writer
}

// A System is a guest with Debian on it.
type System struct {
	options Options
	kernel  guest.Kernel
	init    string

	mu     sync.Mutex
	cancel context.CancelCauseFunc
	ended  chan struct{}
	died   error
	client *guestrpc.Client
}

// Start makes a system and boots it, and returns when it answers. ctx bounds the start only.
func Start(ctx context.Context, o Options) (*System, error) {
	root, err := suite.Root()
	if err != nil {
		return nil, err
	}
	cache, err := binaries.CacheDir()
	if err != nil {
		return nil, err
	}
	s := &System{options: o, init: filepath.Join(o.Dir, "diskinit")}
	if s.kernel, err = guest.FetchKernel(
		ctx, guest.KernelSource{Cache: filepath.Join(cache, "kernel"), Log: o.Log},
	); err != nil {
		return nil, err
	}
	content, err := contentOf(ctx, o)
	if err != nil {
		return nil, err
	}
	base, err := disk(ctx, cache, content, o.Log)
	if err != nil {
		return nil, err
	}
	if err := overlay(ctx, base, s.path("disk")); err != nil {
		return nil, err
	}
	programs := map[string]string{
		"./e2e/systems/diskinit": s.init,
		"./e2e/systems/guestd":   s.path("guestd"),
		"./e2e/systems/applier":  s.path("applier"),
		"./cmd/bridgehead-agent": s.path("bridgehead-agent"),
	}
	for pkg, to := range programs {
		if err := Build(ctx, root, pkg, to); err != nil {
			return nil, err
		}
	}
	return s, s.Boot(ctx)
}

// Build compiles a program of the repository for a guest.
func Build(ctx context.Context, root, pkg, to string) error {
	_, err := run(
		ctx, root, "env", "CGO_ENABLED=0", "GOOS=linux", "go", "build", "-trimpath", "-ldflags=-s -w", "-o", to, pkg,
	)
	if err != nil {
		return fmt.Errorf("build %s: %w", pkg, err)
	}
	return nil
}

// kernelModules returns what Debian and the tests need of the kernel; what these depend on comes along.
func kernelModules() []string {
	return []string{
		"virtio_pci", "virtio_blk", "ext4", "virtio_net", "virtio_console", "ipv6", "af_packet", "bridge", "8021q", "veth",
		"bonding", "autofs4", "vxlan", "overlay",
	}
}

// archive returns the initramfs: init, modules, and what is put on the disk.
func (s *System) archive(ctx context.Context) (*guest.Archive, error) {
	files := &guest.Archive{}
	programs := map[string]string{"/init": s.init}
	for _, name := range []string{"guestd", "applier", "bridgehead-agent"} {
		programs[layout.Files+"/usr/bin/"+name] = s.path(name)
	}
	for path, program := range s.options.Programs {
		programs[layout.Files+path] = program
	}
	for path, program := range programs {
		if err := files.AddFile(path, program); err != nil {
			return nil, err
		}
	}
	for path, text := range s.options.Files {
		perm := os.FileMode(0o644)
		if strings.HasSuffix(path, ".nmconnection") {
			perm = 0o600 // NetworkManager reads no others
		}
		files.AddBytes(layout.Files+path, []byte(text), perm)
	}
	modules, err := s.kernel.Modules(ctx, kernelModules()...)
	if err != nil {
		return nil, err
	}
	for i, module := range modules {
		files.AddBytes(fmt.Sprintf("%s/%03d-%s", layout.Modules, i, module.Name), module.Content, 0o644)
	}
	return files, nil
}

// Boot starts a system that was ended, and returns when it answers. Files are put on the disk again.
func (s *System) Boot(ctx context.Context) error {
	files, err := s.archive(ctx)
	if err != nil {
		return err
	}
	if err := files.WriteFile(s.path("initrd")); err != nil {
		return err
	}
	for _, socket := range []string{s.path("port"), s.path("qmp")} {
		_ = os.Remove(socket) // left by the guest before
	}
	args := "net.ifnames=0 systemd.show_status=0 rw"
	for _, service := range s.options.Services {
		args += " systemd.wants=" + service
	}
	const lan = "hubport,hubid=7"
	machine := guest.Machine{
		Kernel:     s.kernel.Image(),
		Initrd:     s.path("initrd"),
		KernelArgs: args,
		Memory:     s.memory(),
		Console: s.path(
			"console",
		),
		Output:  s.path("output"),
		Answer:  s.path("answer"),
		Port:    s.path("port"),
		Control: s.path("qmp"),
		Disks:   []guest.Disk{{Path: s.path("disk"), Format: "qcow2", Volatile: true}},
		NICs: []guest.NIC{
			{MAC: "52:55:00:d1:55:00", Netdev: "user"}, {MAC: "52:55:00:d1:56:00", Netdev: lan},
			{MAC: "52:55:00:d1:57:00", Netdev: lan}, {MAC: "52:55:00:d1:58:00", Netdev: "user"},
		},
	}
	running, cancel := context.WithCancelCause(context.Background())
	s.mu.Lock()
	s.cancel, s.ended, s.died = cancel, make(chan struct{}), nil
	s.mu.Unlock()
	go func() {
		complaint, err := machine.Run(running, io.Discard)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.died = errors.Join(err, fmt.Errorf("qemu ended: %s", complaint))
		close(s.ended)
	}()
	return s.connect(ctx)
}

// memory is that of the guest, in MiB.
func (s *System) memory() int {
	if s.options.Kubelet {
		return 1280
	}
	return 640
}

// connect reaches the guest through its port and waits until it answers.
func (s *System) connect(ctx context.Context) error {
	client, err := guestrpc.Dial(ctx, s.path("port"), s.ended, s.deathCause)
	if err != nil {
		return fmt.Errorf("start the system: %w", err)
	}
	s.mu.Lock()
	s.client = client
	s.mu.Unlock()
	ctx, cancel := context.WithTimeoutCause(ctx, bootTimeout, errors.New("it does not answer"))
	defer cancel()
	if _, err := client.Exec(ctx, "", "true"); err != nil {
		return fmt.Errorf("boot the system: %w; its console:\n%s", err, s.Console())
	}
	return nil
}

// deathCause returns why the guest is gone; nil while it runs.
func (s *System) deathCause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.ended:
		return fmt.Errorf("the guest has ended: %w", s.died)
	default:
		return nil
	}
}

func (s *System) path(name string) string { return filepath.Join(s.options.Dir, name) }

// Console returns what the kernel and init have said, over all boots.
func (s *System) Console() string {
	text, err := os.ReadFile(s.path("console"))
	if err != nil {
		return err.Error()
	}
	return strings.ReplaceAll(string(text), "\r", "")
}
