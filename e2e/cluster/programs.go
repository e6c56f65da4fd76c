// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/bridgehead-dev/bridgehead/e2e/controlplane/binaries"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
	"github.com/bridgehead-dev/bridgehead/e2e/vmrun/guest"
	"github.com/bridgehead-dev/bridgehead/release/image"
)

// debianPackages returns the packages that are unpacked onto the disk of a node, with the libraries that their programs
// need: the container runtime, what kube-proxy and the API of AppArmor take, and what people look at networks with.
func debianPackages() []string {
	return []string{
		"containerd", "runc", "libseccomp2",
		"nftables", "libnftables1", "libnftnl11", "libgmp10", "libjansson4", "libedit2", "libtinfo6", "libxtables12",
		"iproute2", "libbpf1", "libelf1", "zlib1g", "libcap2", "libmnl0", "libbsd0", "libmd0",
		"apparmor", "busybox-static", "libc6",
	}
}

// kernelModules returns what a node needs of the kernel; what these depend on comes along.
func kernelModules() []string {
	return []string{
		"virtio_pci", "virtio_net", "virtio_blk", "virtio_console", "virtio_rng", "ext4", "overlay", "af_packet", "ipv6",
		"bridge", "8021q", "veth", "dummy", "bonding", "vxlan", "macvlan", "vrf", "tun",
		"nf_tables", "nf_conntrack_netlink", "nft_ct", "nft_nat", "nft_masq", "nft_chain_nat", "nft_numgen", "nft_hash",
		"nft_limit", "nft_log", "nft_fib_ipv4", "nft_fib_ipv6", "nft_reject_ipv4", "nft_reject_ipv6",
		"nft_queue", "nfnetlink_queue",
	}
}

// programs are what nodes are made of, by paths of this machine.
type programs struct {
	cache    string
	kernel   guest.Kernel
	packages []string // folders of unpacked packages
	node     string   // folder of kubelet and the others of binaries.Node
	enforcer string   // folder of what enforces NetworkPolicies
	init     string   // nodeinit
	images   []string // tar files
}

// provide builds and fetches everything. dir is for what is built again each time.
func provide(ctx context.Context, dir string, out io.Writer) (*programs, error) {
	cache, err := binaries.CacheDir()
	if err != nil {
		return nil, err
	}
	p := &programs{cache: cache, init: filepath.Join(dir, "nodeinit")}
	if p.kernel, err = guest.FetchKernel(
		ctx, guest.KernelSource{Cache: filepath.Join(cache, "kernel"), Log: out},
	); err != nil {
		return nil, err
	}
	if p.packages, err = guest.FetchPackages(ctx, filepath.Join(cache, "packages"), out, debianPackages()...); err != nil {
		return nil, err
	}
	if p.node, err = binaries.Ensure(ctx, binaries.Options{Set: binaries.Node, Out: out}); err != nil {
		return nil, fmt.Errorf("provide the programs of a node: %w", err)
	}
	if p.enforcer, err = binaries.Ensure(ctx, binaries.Options{Set: binaries.Enforcer, Out: out}); err != nil {
		return nil, fmt.Errorf("provide what enforces NetworkPolicies: %w", err)
	}
	if err := build(ctx, p.init, "./e2e/cluster/nodeinit"); err != nil {
		return nil, err
	}
	return p, p.makeImages(ctx, dir)
}

// The images of the tests, beside Bridgehead's own.
const (
	// Pause holds the namespaces of pods.
	Pause = "localhost/pause:e2e"
	// Workload is busybox, for pods that sleep and ping.
	Workload = "localhost/workload:e2e"
)

// makeImages makes the images that are imported into the disk. Their layers are not compressed, which the guests would
// pay for.
func (p *programs) makeImages(ctx context.Context, dir string) error {
	source, err := suite.Root()
	if err != nil {
		return err
	}
	platform := v1.Platform{OS: "linux", Architecture: "amd64"}
	bridgehead, err := image.Build(
		ctx, image.Options{Source: source, Version: "e2e", Commit: "e2e", Plain: true}, platform,
	)
	if err != nil {
		return err
	}
	if err := p.addImage(filepath.Join(dir, "bridgehead.tar"), Bridgehead, bridgehead.Image); err != nil {
		return err
	}
	pause := filepath.Join(dir, "pause")
	if err := build(ctx, pause, "./e2e/cluster/pause"); err != nil {
		return err
	}
	busybox := filepath.Join(p.cache, "packages", "busybox-static", "bin", "busybox")
	for _, i := range []struct {
		name, program string
		paths         []string // of the program in the image; the first is its entrypoint
	}{
		{Pause, pause, []string{"/bin/pause"}},
		{Workload, busybox, []string{"/bin/sh", "/bin/sleep", "/bin/ping", "/bin/ip", "/bin/nc"}},
	} {
		data, err := os.ReadFile(i.program)
		if err != nil {
			return fmt.Errorf("make image %s: %w", i.name, err)
		}
		spec := image.Spec{Platform: platform, Entrypoint: i.paths[:1], Plain: true}
		for _, path := range i.paths {
			spec.Files = append(spec.Files, image.File{Path: path, Mode: 0o755, Data: data})
		}
		made, err := image.New(spec)
		if err != nil {
			return fmt.Errorf("make image %s: %w", i.name, err)
		}
		if err := p.addImage(filepath.Join(dir, filepath.Base(i.program)+".tar"), i.name, made); err != nil {
			return err
		}
	}
	return nil
}

// addImage writes the archive that `ctr images import` reads.
func (p *programs) addImage(path, name string, made v1.Image) error {
	p.images = append(p.images, path)
	return image.WriteTarball(path, name, made)
}

// build compiles a program of ours.
func build(ctx context.Context, to, pkg string) error {
	root, err := suite.Root()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", to, pkg)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, text)
	}
	return nil
}
