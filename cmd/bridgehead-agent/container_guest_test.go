// SPDX-License-Identifier: Apache-2.0

//go:build guest

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// A container is what a runtime makes of the agent's pod, but for seccomp and SELinux: its mounts, its capabilities,
// and its arguments. The guest is the host.
type container struct {
	// Root is an empty folder of the host that becomes the container's root.
	Root   string
	Mounts []mount
	// ReadOnlyRoot says that the container cannot write outside of mounts.
	ReadOnlyRoot bool
	// Capabilities are the only ones there are, by their bits.
	Capabilities []int
	// Program is this binary, and Args are the arguments of the agent.
	Program string
	Args    []string
	// Job is what to do inside.
	Job string
}

// A mount is one of the host's folders in the container.
type mount struct {
	From, To string
	ReadOnly bool
}

// jobVariable has the container that a process is to become, and then the job that it is to do in it.
const (
	becomeVariable = "BRIDGEHEAD_TEST_BECOME"
	insideVariable = "BRIDGEHEAD_TEST_INSIDE"
)

// TestMain is also the entry of containers, which run this very binary.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(becomeVariable) != "":
		fmt.Fprintln(os.Stderr, "become a container:", become(os.Getenv(becomeVariable)))
		os.Exit(1)
	case os.Getenv(insideVariable) != "":
		os.Exit(inside(os.Getenv(insideVariable), os.Args[1:]))
	}
	os.Exit(m.Run())
}

// containerOf returns the container that a DaemonSet describes.
func containerOf(t *testing.T, set *appsv1.DaemonSet, job string) container {
	t.Helper()
	pod := set.Spec.Template.Spec
	require.True(t, pod.HostNetwork, "the network is the host's")
	require.Len(t, pod.Containers, 1)
	c := pod.Containers[0]
	security := c.SecurityContext
	require.Equal(t, []corev1.Capability{"ALL"}, security.Capabilities.Drop)
	require.Nil(t, security.Privileged)
	made := container{Root: t.TempDir(), ReadOnlyRoot: *security.ReadOnlyRootFilesystem, Args: c.Args, Job: job}
	bits := map[corev1.Capability]int{
		"NET_ADMIN": unix.CAP_NET_ADMIN, "NET_RAW": unix.CAP_NET_RAW, "NET_BIND_SERVICE": unix.CAP_NET_BIND_SERVICE,
	}
	for _, name := range security.Capabilities.Add {
		bit, known := bits[name]
		require.True(t, known, "capability %s: say in this test why the agent needs it", name)
		made.Capabilities = append(made.Capabilities, bit)
	}
	for _, m := range c.VolumeMounts {
		at := slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
		require.GreaterOrEqual(t, at, 0, "volume %s", m.Name)
		require.NotNil(t, pod.Volumes[at].HostPath, "volume %s", m.Name)
		made.Mounts = append(made.Mounts, mount{From: pod.Volumes[at].HostPath.Path, To: m.MountPath, ReadOnly: m.ReadOnly})
	}
	return made
}

// run does the job in the container and returns what it printed.
func (c container) run(t *testing.T) (output string, failed error) {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	c.Program = program
	text, err := json.Marshal(c)
	require.NoError(t, err)
	process := exec.CommandContext(t.Context(), c.Program)
	process.Env = []string{becomeVariable + "=" + string(text)}
	process.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID}
	out, err := process.CombinedOutput()
	return string(out), err
}

// become makes the process one of a container, and runs the job there. It returns only if that fails.
func become(text string) error {
	var c container
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	runtime.LockOSThread()
	if err := c.mount(); err != nil {
		return err
	}
	// The guest's root is an initramfs, which cannot be pivoted away from.
	if err := unix.Chdir(c.Root); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move the root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	for bit := range unix.CAP_LAST_CAP + 1 {
		if slices.Contains(c.Capabilities, bit) {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(bit), 0, 0, 0); err != nil {
			return fmt.Errorf("drop capability %d: %w", bit, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	return unix.Exec("/agent", append([]string{"agent"}, c.Args...), []string{insideVariable + "=" + c.Job})
}

// mount lays out the root as a runtime does for a pod in the host's network.
func (c container) mount() error {
	const quiet = unix.MS_NOSUID | unix.MS_NODEV
	type step struct {
		from, to, kind string
		flags          uintptr
	}
	steps := []step{
		{"none", "/", "", unix.MS_REC | unix.MS_PRIVATE},
		{"tmpfs", c.Root, "tmpfs", quiet},
		{"proc", filepath.Join(c.Root, "proc"), "proc", quiet},
		{"/dev", filepath.Join(c.Root, "dev"), "", unix.MS_BIND | unix.MS_REC},
		{"/sys", filepath.Join(c.Root, "sys"), "", unix.MS_BIND | unix.MS_REC},
		{"", filepath.Join(c.Root, "sys"), "", unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY},
		{filepath.Join(c.Root, "proc/sys"), filepath.Join(c.Root, "proc/sys"), "", unix.MS_BIND | unix.MS_REC},
		{"", filepath.Join(c.Root, "proc/sys"), "", unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY},
	}
	for _, m := range c.Mounts {
		to := filepath.Join(c.Root, m.To)
		steps = append(steps, step{m.From, to, "", unix.MS_BIND | unix.MS_REC})
		if m.ReadOnly {
			steps = append(steps, step{"", to, "", unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY})
		}
	}
	for _, s := range steps {
		if strings.HasPrefix(s.from, "/") {
			_ = os.MkdirAll(s.from, 0o755) // as the runtime does for a hostPath
		}
		_ = os.MkdirAll(s.to, 0o755) // what could not be made cannot be mounted on
		if err := unix.Mount(s.from, s.to, s.kind, s.flags, ""); err != nil {
			return fmt.Errorf("mount %s at %s: %w", s.from, s.to, err)
		}
	}
	return c.addProgram()
}

// addProgram puts this binary into the root, and closes it.
func (c container) addProgram() error {
	program := filepath.Join(c.Root, "agent")
	if err := os.WriteFile(program, nil, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(c.Program, program, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount the program: %w", err)
	}
	if !c.ReadOnlyRoot {
		return nil
	}
	return unix.Mount("", c.Root, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
}
