// SPDX-License-Identifier: Apache-2.0

// Package guestrpc holds what a test and the guest that plays a node say to each other: JSON-RPC over a virtio port,
// which works whatever becomes of the guest's networks.
package guestrpc

// ConfigPath is where the guest finds its Config, as JSON.
const ConfigPath = "/etc/bridgehead-node.json"

// A Config is what a guest must know to play a node.
type Config struct {
	// Name is the node's name and the guest's host name.
	Name string `json:"name"`
	// Agent is the command line of the node agent. It is started again whenever it ends, as kubelet would. Empty means
	// that there is none.
	Agent []string `json:"agent,omitempty"`
	// StateDir is where the disk is mounted.
	StateDir string `json:"stateDir"`
}

// Names of the procedures.
const (
	// Exec runs a program: ExecArgs to ExecReply.
	Exec = "Node.Exec"
	// Signal sends the agent a signal: SignalArgs to AgentReply.
	Signal = "Node.Signal"
	// Agent tells of the agent: Nothing to AgentReply.
	Agent = "Node.Agent"
	// Shutdown ends the node in order: Nothing to Nothing.
	Shutdown = "Node.Shutdown"
)

// Nothing is an argument or a result without content.
type Nothing struct{}

// ExecArgs is a program with its arguments and its input.
type ExecArgs struct {
	Argv  []string `json:"argv"`
	Stdin string   `json:"stdin,omitempty"`
	// Seconds bounds the run.
	Seconds int `json:"seconds"`
}

// ExecReply is how a program ended.
type ExecReply struct {
	Stdout string `json:"stdout"`
	Stderr string `json:"stderr"`
	// Code is the exit code; -1 if it was killed.
	Code int `json:"code"`
}

// SignalArgs is the number of a signal.
type SignalArgs struct {
	Signal int `json:"signal"`
}

// AgentReply tells of the agent: its process, 0 if it does not run, how often it was started since boot, and its
// resident memory and processor time.
type AgentReply struct {
	PID        int   `json:"pid"`
	Starts     int   `json:"starts"`
	RSS        int64 `json:"rss"`        // bytes
	CPUSeconds int64 `json:"cpuSeconds"` // in hundredths of a second
}
