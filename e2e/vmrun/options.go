// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bridgehead-dev/bridgehead/e2e/vmrun/guest"
)

// Options are the settings of one run.
type Options struct {
	// Cache is the cache folder of the whole project; kernels lie below it.
	// Empty means "bridgehead" in the user's cache folder.
	Cache string
	// Accel is qemu's accelerator, tcg when empty. KVM is never chosen by
	// itself: there are machines on which /dev/kvm exists and hangs.
	Accel string
	// Package is the Debian package of the kernel.
	Package string
	// Timeout ends the run. 0 means the test's own -test.timeout plus bootGrace.
	Timeout time.Duration
	// Memory of the guest in MiB.
	Memory int
	// NICs are the MACs of the guest's cards. None means four, defaultNICs.
	NICs listFlag
	// Programs and Files of the host are put at the same path of the guest,
	// programs with their shared libraries.
	Programs listFlag
	// PassEnv names environment variables the guest gets besides the Go ones.
	PassEnv listFlag
	// Append are words for the kernel's command line.
	Append listFlag
	// Prepare fetches the kernel and prints its version, and runs nothing.
	Prepare bool

	// Environ is the caller's environment.
	Environ []string
	// Stdout gets the program's output, Stderr what vmrun itself has to say.
	Stdout, Stderr io.Writer
}

// defaultNICs returns the cards of a guest nobody chose cards for: the node of the
// user guide, whose second card carries the VMs' network, and two to spare.
func defaultNICs() []string {
	return []string{"52:55:00:D1:55:00", "52:55:00:D1:56:00", "52:55:00:D1:57:00", "52:55:00:D1:58:00"}
}

// addFlags declares the command line.
func (o *Options) addFlags(flags *flag.FlagSet) {
	flags.StringVar(&o.Cache, "cache", o.Cache, "cache `folder` (environment: BRIDGEHEAD_CACHE)")
	flags.StringVar(&o.Accel, "accel", o.Accel,
		"qemu `accelerator`, tcg or kvm (environment: BRIDGEHEAD_ACCEL; default tcg)")
	flags.StringVar(&o.Package, "kernel", guest.DefaultPackage, "Debian `package` of the kernel")
	flags.DurationVar(&o.Timeout, "timeout", 0, "kill the guest after this `time` (default: -test.timeout and a minute)")
	flags.IntVar(&o.Memory, "memory", 512, "the guest's memory in `MiB`")
	flags.Var(&o.NICs, "nic", "`MAC` of a network card, eth0 first; repeatable (default: four cards)")
	flags.Var(&o.Programs, "add",
		"`path` of a program or file to put into the guest, with its libraries, or the name of a program; repeatable")
	flags.Var(&o.PassEnv, "env", "`name` of an environment variable to pass on; repeatable")
	flags.Var(&o.Append, "append", "`word` for the kernel's command line, such as ipv6.disable=1; repeatable")
	flags.BoolVar(&o.Prepare, "prepare", false, "fetch the kernel, print its version and stop")
}

// kernelSource returns where the guest's kernel comes from.
func (o *Options) kernelSource() (guest.KernelSource, error) {
	cache, err := o.cache()
	return guest.KernelSource{Cache: filepath.Join(cache, "kernel"), Package: o.Package, Log: o.Stderr}, err
}

// cache returns the project's cache folder.
func (o *Options) cache() (string, error) {
	if o.Cache != "" {
		return filepath.Abs(o.Cache)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a cache folder (or set BRIDGEHEAD_CACHE): %w", err)
	}
	return filepath.Join(dir, "bridgehead"), nil
}

// environment returns what the guest's program sees: Go's own variables and those
// asked for, and no trace of the host's paths beyond that.
func (o *Options) environment() []string {
	env := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp", "TMPDIR=/tmp", "TERM=dumb"}
	passed := append([]string{"GODEBUG", "GOTRACEBACK", "GOMAXPROCS", "GOGC", "GOMEMLIMIT", "GOCOVERDIR", "GORACE"},
		o.PassEnv...)
	for _, variable := range o.Environ {
		name, _, _ := strings.Cut(variable, "=")
		for _, want := range passed {
			if name == want {
				env = append(env, variable)
			}
		}
	}
	return env
}

// A listFlag is a flag that may be given several times.
type listFlag []string

// String returns what the flag package prints as the default.
func (l *listFlag) String() string { return strings.Join(*l, ",") }

// Set adds one value.
func (l *listFlag) Set(value string) error {
	*l = append(*l, value)
	return nil
}
