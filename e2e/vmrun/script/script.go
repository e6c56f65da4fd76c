// SPDX-License-Identifier: Apache-2.0

// Package script holds what the host side of a guest and the guest's init
// agree on: where the script lies in the initramfs, what it may ask for, and
// how the answer comes back.
package script

// Path is where the script lies in the guest, as JSON. Nothing else has a file
// of this name, so its presence also tells a program that it runs in a guest.
const Path = "/etc/bridgehead-guest.json"

// The guest's serial ports. The kernel's console, the program's output and the
// answer never share one, so none can garble another.
const (
	// OutputPort carries the program's standard output and error, byte for byte.
	OutputPort = "/dev/ttyS1"
	// AnswerPort carries a tar stream: the entries below, and every file of
	// Script.Collect that exists once the program is gone.
	AnswerPort = "/dev/ttyS2"
)

// Entries of the answer that are not files of the guest.
const (
	// ReleaseEntry is the first entry: the kernel's release (uname -r).
	ReleaseEntry = "VMRELEASE"
	// ExitEntry is the last entry: the program's exit code in decimal. Without
	// it the guest died before its program did.
	ExitEntry = "VMEXIT"
)

// A Script is everything a guest does between its boot and its power-off.
type Script struct {
	// Modules are loaded first, in this order.
	Modules []Module `json:"modules,omitempty"`
	// Command is the one program the guest runs.
	Command Command `json:"command"`
	// Collect names files and directories, by absolute path, to bring back.
	// Their parent directories are made before the program starts; what does
	// not exist afterwards is left out.
	Collect []string `json:"collect,omitempty"`
}

// A Module is one kernel module of the initramfs.
type Module struct {
	Path string `json:"path"`
	// Params is handed to finit_module(2), for example "max_bonds=0".
	Params string `json:"params,omitempty"`
}

// A Command is a program, its arguments without the program's own name, its
// whole environment and its working directory.
type Command struct {
	Path string   `json:"path"`
	Args []string `json:"args,omitempty"`
	Env  []string `json:"env,omitempty"`
	Dir  string   `json:"dir,omitempty"`
}
