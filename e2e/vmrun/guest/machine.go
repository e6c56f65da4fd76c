// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// ErrNoQEMU says that this host has no qemu.
var ErrNoQEMU = errors.New("qemu-system-x86_64 is not installed; on Debian: apt-get install qemu-system-x86")

// A Machine describes a guest's hardware. All paths are the host's.
type Machine struct {
	// Kernel and Initrd are what boots.
	Kernel, Initrd string
	// KernelArgs are added to the kernel's command line.
	KernelArgs string
	// Accel is qemu's accelerator: "tcg" needs nothing of the host, "kvm" is
	// faster where it works. Empty means tcg.
	Accel string
	// CPU is the processor that qemu plays. Empty means max: all that the
	// accelerator can do. Without an accelerator an older one is faster, for
	// programs then use no instructions that are slow to emulate.
	CPU string
	// Cores is the number of processors; 0 means 1.
	Cores int
	// Memory is in MiB; 0 means 512.
	Memory int
	// NICs are the guest's network cards, eth0 first.
	NICs []NIC
	// Console, Output and Answer are the files that the guest's three serial
	// ports write: kernel log, program output, and the answer of its init. An
	// empty Output is qemu's own standard output. Files are appended to.
	Console, Output, Answer string
	// Disks are the guest's, the first of them /dev/vda.
	Disks []Disk
	// Port is a Unix socket that qemu listens on: what is behind it talks to the
	// guest's /dev/vport*, whatever becomes of the guest's networks. qemu boots
	// once somebody has connected. Empty means there is none.
	Port string
	// Control is a Unix socket for qemu's machine protocol (QMP). Empty means
	// there is none.
	Control string
}

// A Disk is one virtio disk.
type Disk struct {
	// Path is its image on the host.
	Path string
	// Format is that of the image: "raw", which empty means, or "qcow2".
	Format string
	// Volatile trades safety for speed: what the guest has flushed survives the
	// end of qemu, but not that of the host. Otherwise it survives both.
	Volatile bool
	// ReadOnly disks may be shared by guests.
	ReadOnly bool
}

// A NIC is one virtio network card.
type NIC struct {
	// MAC is its permanent address.
	MAC string
	// Netdev is qemu's back end without its id, such as "user" or
	// "socket,listen=127.0.0.1:4000". Empty is a hub with nothing else on it: the
	// card has a carrier and talks to nobody.
	Netdev string
}

// Command prepares qemu, not started. It dies with the thread that starts it,
// so that no guest outlives its runner, however that one ends.
func (m Machine) Command() (*exec.Cmd, error) {
	program, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		return nil, ErrNoQEMU
	}
	cmd := exec.Command(program, m.args()...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd, nil
}

// kernelArgs are for every guest. On a busy machine the kernel takes the timer of an emulated one for broken if it
// looks.
const kernelArgs = "console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off rcupdate.rcu_expedited=1 no_timer_check"

// args returns qemu's command line. The pc machine boots in half the time of q35;
// microvm hangs. panic=-1 with -no-reboot turns a guest's panic into an exit.
func (m Machine) args() []string {
	args := []string{
		"-M",
		"pc",
		"-accel",
		orDefault(m.Accel, "tcg"),
		"-cpu",
		orDefault(m.CPU, "max"),
		"-smp",
		strconv.Itoa(max(1, m.Cores)),
		"-m",
		strconv.Itoa(m.memory()),
		"-nodefaults",
		"-no-user-config",
		"-display",
		"none",
		"-no-reboot",
		"-kernel",
		m.Kernel,
		"-initrd",
		m.Initrd,
		"-append",
		strings.TrimSpace(kernelArgs + " " + m.KernelArgs),
	}
	args = append(args, serial("console", m.Console)...)
	args = append(args, serial("output", m.Output)...)
	args = append(args, serial("answer", m.Answer)...)
	for i, nic := range m.NICs {
		args = append(args, nic.args(i)...)
	}
	for _, disk := range m.Disks {
		args = append(args, "-drive", disk.arg())
	}
	if m.Port != "" {
		args = append(args, "-chardev", "socket,id=port,server=on,wait=on,path="+m.Port,
			"-device", "virtio-serial-pci", "-device", "virtserialport,chardev=port")
	}
	if m.Control != "" {
		args = append(args, "-qmp", "unix:"+m.Control+",server=on,wait=off")
	}
	return args
}

// arg returns the argument of -drive.
func (d Disk) arg() string {
	arg := "if=virtio,format=" + orDefault(d.Format, "raw") + ",cache="
	if d.Volatile {
		arg += "unsafe"
	} else {
		arg += "writeback"
	}
	if d.ReadOnly {
		arg += ",readonly=on"
	}
	return arg + ",file=" + d.Path
}

// args returns the part of the command line that makes the i-th card. It does not
// filter VLANs: the driver would tell it of each of 4,094 VLANs of a trunk by
// itself, which takes seconds without KVM.
func (n NIC) args(i int) []string {
	id := fmt.Sprintf("net%d", i)
	backend := orDefault(n.Netdev, fmt.Sprintf("hubport,hubid=%d", i))
	return []string{
		"-netdev", backend + ",id=" + id,
		"-device", fmt.Sprintf("virtio-net-pci,netdev=%s,mac=%s,romfile=,ctrl_vlan=off", id, n.MAC),
	}
}

// serial connects the next serial port to a file, or to standard output.
func serial(id, file string) []string {
	backend := "file,append=on,id=" + id + ",path=" + file
	if file == "" {
		backend = "stdio,signal=off,id=" + id
	}
	return []string{"-chardev", backend, "-serial", "chardev:" + id}
}

// memory returns the size in MiB.
func (m Machine) memory() int {
	if m.Memory == 0 {
		return 512
	}
	return m.Memory
}

// orDefault returns s, or fallback when s is empty.
func orDefault(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}
