// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/bridgehead-dev/bridgehead/e2e/vmrun/guest"
	"github.com/bridgehead-dev/bridgehead/e2e/vmrun/script"
)

// initPackage is the program that becomes process 1 of the guest.
const initPackage = "github.com/bridgehead-dev/bridgehead/e2e/vmrun/guestinit"

// modules returns what the tests of this project need of the kernel; what these
// depend on comes along.
func modules() []string {
	return []string{
		"virtio_pci", "virtio_net", "bridge", "8021q", "veth", "dummy", "bonding", "vxlan",
		"macvlan", "macvtap", "vrf", "tun", "tap", "stp", "llc", "ipv6", "af_packet",
	}
}

// moduleParams keeps drivers from making links nobody asked for.
func moduleParams() map[string]string {
	return map[string]string{"bonding": "max_bonds=0", "dummy": "numdummies=0"}
}

// run runs a test binary in a guest and returns its exit code. An error means
// that the binary's own result is unknown.
func run(ctx context.Context, o Options, args []string) (int, error) {
	source, err := o.kernelSource()
	if err != nil {
		return 0, err
	}
	kernel, err := guest.FetchKernel(ctx, source)
	if err != nil {
		return 0, err
	}
	if o.Prepare {
		fmt.Fprintf(o.Stdout, "guest kernel %s\n", kernel.Version)
		return 0, nil
	}
	if len(args) == 0 {
		return 0, errors.New("no test binary named; usage: go test -exec vmrun <packages>")
	}
	job, err := o.job(ctx, kernel, args)
	if err != nil {
		return 0, err
	}
	limit := o.Timeout
	if limit == 0 {
		limit = testTimeout(args[1:])
	}
	if limit != 0 {
		cause := fmt.Errorf("its time of %s was up", limit)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, cause)
		defer cancel()
	}
	fmt.Fprintf(o.Stderr, "guest kernel %s\n", kernel.Version)
	began := time.Now()
	result, err := guest.Run(ctx, job)
	if err != nil {
		return 0, fmt.Errorf("after %s: %w", time.Since(began).Round(100*time.Millisecond), err)
	}
	if result.Release != kernel.Version {
		return 0, fmt.Errorf("the guest runs kernel %s, not %s", result.Release, kernel.Version)
	}
	return result.Code, nil
}

// job describes the guest for one test binary: the same paths as on the host,
// the working directory with its testdata, and the files the test will write.
func (o *Options) job(ctx context.Context, kernel guest.Kernel, args []string) (guest.Job, error) {
	cwd, err := os.Getwd()
	if err != nil {
		return guest.Job{}, err
	}
	initProgram, err := o.buildInit(ctx)
	if err != nil {
		return guest.Job{}, err
	}
	binary := absolute(args[0], cwd)
	results := resultFiles(args[1:], cwd)
	files, err := o.files(binary, cwd, results)
	if err != nil {
		return guest.Job{}, err
	}
	macs := []string(o.NICs)
	if len(macs) == 0 {
		macs = defaultNICs()
	}
	machine := guest.Machine{Accel: o.Accel, Memory: o.Memory, KernelArgs: strings.Join(o.Append, " ")}
	for _, mac := range macs {
		machine.NICs = append(machine.NICs, guest.NIC{MAC: mac})
	}
	return guest.Job{
		Kernel: kernel, Init: initProgram, Modules: modules(), Params: moduleParams(), Files: files,
		Command: script.Command{Path: binary, Args: args[1:], Env: o.environment(), Dir: cwd},
		Collect: results, Machine: machine, Stdout: o.Stdout,
	}, nil
}

// files returns the guest's file system: the binary, its testdata, what the user
// added, and the directories among the results as they are now (the fuzzer's
// corpus, the place for coverage).
func (o *Options) files(binary, cwd string, results []string) (*guest.Archive, error) {
	files := &guest.Archive{}
	files.AddBytes("/etc/hosts", []byte("127.0.0.1 localhost\n::1 localhost\n"), 0o644)
	files.AddBytes("/etc/passwd", []byte("root:x:0:0:root:/tmp:/bin/sh\n"), 0o644)
	if err := files.AddProgram(binary, binary); err != nil {
		return nil, err
	}
	trees := []string{filepath.Join(cwd, "testdata")}
	for _, result := range results {
		if info, err := os.Stat(result); err == nil && info.IsDir() {
			trees = append(trees, result)
		}
	}
	for _, tree := range trees {
		if err := files.AddTree(tree, tree); err != nil {
			return nil, err
		}
	}
	for _, program := range o.Programs {
		program, err := locate(program, cwd)
		if err != nil {
			return nil, err
		}
		if err := files.AddProgram(program, program); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// locate finds a program or file: a plain name on the search path, else relative to a directory.
func locate(program, cwd string) (string, error) {
	if strings.Contains(program, "/") {
		return absolute(program, cwd), nil
	}
	found, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("add to the guest: %w", err)
	}
	return filepath.Abs(found)
}

// buildInit builds the guest's init into the cache and returns its path. The
// go tool rebuilds it only when its sources changed.
func (o *Options) buildInit(ctx context.Context) (string, error) {
	cache, err := o.cache()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "vmrun")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the cache: %w", err)
	}
	program := filepath.Join(dir, "guestinit")
	unlock, err := guest.Lock(filepath.Join(dir, ".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", program, initPackage)
	cmd.Env = append(o.Environ, "CGO_ENABLED=0", "GOOS=linux", "GOFLAGS=-buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the guest's init: %w\n%s", err, out)
	}
	return program, nil
}
