// SPDX-License-Identifier: Apache-2.0

// Package node runs bare nodes as qemu guests: a real kernel with VLAN filtering, the node agent under a supervisor as
// kubelet would keep it, a disk that survives reboots and power cuts, and networks that can be cut. Nothing needs root
// or KVM. They boot in seconds and run no pods: for faults and figures. Nodes with kubelet are package cluster's.
package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/bridgehead-dev/bridgehead/e2e/guestrpc"
	"github.com/bridgehead-dev/bridgehead/e2e/vmrun/guest"
	"github.com/bridgehead-dev/bridgehead/e2e/vmrun/script"
)

// bootTimeout is how long a guest may take until it answers, on a machine that is busy.
const bootTimeout = 5 * time.Minute

// Options describe one node.
type Options struct {
	Name string
	// MAC is the address of eth1, the card on the segment.
	MAC string
	// Segment is what eth1 is plugged into.
	Segment *Segment
	// AgentFlags are further flags of the agent.
	AgentFlags []string
	// Dir has the disk, the console log and the log of the node.
	Dir string
}

// A Node is a guest that plays a Kubernetes node.
type Node struct {
	Options
	programs *programs
	gate     *gate
	access   []byte // kubeconfig

	mu     sync.Mutex
	cancel context.CancelCauseFunc
	ended  chan struct{}
	died   error
	client *guestrpc.Client
}

// start boots the guest and returns when it answers.
func (n *Node) start(ctx context.Context) error {
	config := guestrpc.Config{Name: n.Name, StateDir: stateDir, Agent: append([]string{
		agentProgram, "--node-name", n.Name, "--kubeconfig", kubeconfig, "--state-dir", stateDir,
	}, n.AgentFlags...)}
	files, err := n.programs.archive(config, n.access)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(n.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", n.Name, err)
	}
	for _, socket := range []string{n.path("port"), n.path("qmp")} {
		_ = os.Remove(socket) // left by the guest before
	}
	job := guest.Job{
		Kernel:  n.programs.kernel,
		Init:    n.programs.init,
		Modules: kernelModules(),
		Files:   files,
		Stdout:  log,
		Params:  map[string]string{"bonding": "max_bonds=0", "dummy": "numdummies=0"},
		Command: script.Command{
			Path: nodedProgram,
			Dir:  "/tmp",
			Env:  []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp"},
		},
		Machine: guest.Machine{
			Memory:  640,
			Console: n.path("console"),
			Port:    n.path("port"),
			Control: n.path("qmp"),
			Disks:   []guest.Disk{{Path: n.path("disk")}},
			NICs:    []guest.NIC{{MAC: primaryMAC(n.MAC), Netdev: "user"}, {MAC: n.MAC, Netdev: n.Segment.Netdev()}},
		},
	}
	running, cancel := context.WithCancelCause(context.Background())
	n.mu.Lock()
	n.cancel, n.ended, n.died = cancel, make(chan struct{}), nil
	n.mu.Unlock()
	go func() {
		defer log.Close()
		_, err := guest.Run(running, job)
		n.mu.Lock()
		defer n.mu.Unlock()
		n.died = err
		close(n.ended)
	}()
	return n.connect(ctx)
}

// primaryMAC returns the address of eth0, told from that of eth1 by its fifth octet.
func primaryMAC(eth1 string) string {
	octets := strings.Split(eth1, ":")
	octets[4] = "55"
	return strings.Join(octets, ":")
}

// path returns a file of the node.
func (n *Node) path(name string) string { return filepath.Join(n.Dir, n.Name+"."+name) }

// LogFile has what the agent logged, over all boots.
func (n *Node) LogFile() string { return n.path("log") }

// Log returns what the agent has logged.
func (n *Node) Log() string {
	text, err := os.ReadFile(n.LogFile())
	if err != nil {
		return err.Error()
	}
	return strings.ReplaceAll(string(text), "\r", "")
}

// Console returns what the kernel has said, over all boots.
func (n *Node) Console() string {
	text, err := os.ReadFile(n.path("console"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// connect reaches the guest through its port and waits until it answers.
func (n *Node) connect(ctx context.Context) error {
	n.mu.Lock()
	ended := n.ended
	n.mu.Unlock()
	client, err := guestrpc.Dial(ctx, n.path("port"), ended, n.deathCause)
	if err != nil {
		return fmt.Errorf("start %s: %w", n.Name, err)
	}
	n.mu.Lock()
	n.client = client
	n.mu.Unlock()
	ctx, cancel := context.WithTimeoutCause(ctx, bootTimeout, errors.New("it does not answer"))
	defer cancel()
	if _, err := n.Agent(ctx); err != nil {
		return fmt.Errorf("boot %s: %w; the end of its console:\n%s", n.Name, err, lastLines(n.Console(), 20))
	}
	return nil
}

// deathCause returns why the guest is gone; nil while it runs.
func (n *Node) deathCause() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case <-n.ended:
		return fmt.Errorf("the guest of %s has ended: %w", n.Name, n.died)
	default:
		return nil
	}
}

// call runs a procedure of the guest.
func (n *Node) call(ctx context.Context, procedure string, args, reply any) error {
	n.mu.Lock()
	client := n.client
	n.mu.Unlock()
	return client.Call(ctx, procedure, args, reply)
}

// Exec runs a program in the guest and returns its output. A program that fails is an error with what it complained of.
func (n *Node) Exec(ctx context.Context, argv ...string) (string, error) {
	return n.ExecInput(ctx, "", argv...)
}

// ExecInput is Exec with an input.
func (n *Node) ExecInput(ctx context.Context, stdin string, argv ...string) (string, error) {
	n.mu.Lock()
	client := n.client
	n.mu.Unlock()
	out, err := client.Exec(ctx, stdin, argv...)
	if err != nil {
		return out, fmt.Errorf("%s: %w", n.Name, err)
	}
	return out, nil
}

// Agent tells of the agent.
func (n *Node) Agent(ctx context.Context) (guestrpc.AgentReply, error) {
	var reply guestrpc.AgentReply
	return reply, n.call(ctx, guestrpc.Agent, guestrpc.Nothing{}, &reply)
}

// SignalAgent sends the agent a signal. The supervisor starts it again if it dies of it.
func (n *Node) SignalAgent(ctx context.Context, s syscall.Signal) error {
	var reply guestrpc.AgentReply
	return n.call(ctx, guestrpc.Signal, guestrpc.SignalArgs{Signal: int(s)}, &reply)
}

// Partition cuts the node off from the API server, and only that: its links stay up.
func (n *Node) Partition(cut bool) { n.gate.setShut(cut) }

// PowerCut ends the guest as a power failure does. Boot starts it again with the same disk.
func (n *Node) PowerCut() {
	n.cancel(errors.New("power cut"))
	<-n.ended
}

// Boot starts a guest that was ended.
func (n *Node) Boot(ctx context.Context) error { return n.start(ctx) }

// Reboot ends the guest in order and starts it again.
func (n *Node) Reboot(ctx context.Context) error {
	// The answer may be lost as the guest goes.
	if err := n.call(ctx, guestrpc.Shutdown, guestrpc.Nothing{}, &guestrpc.Nothing{}); err != nil && ctx.Err() != nil {
		return fmt.Errorf("shut %s down: %w", n.Name, err)
	}
	select {
	case <-n.ended:
	case <-ctx.Done():
		return fmt.Errorf("shut %s down: %w", n.Name, ctx.Err())
	}
	return n.start(ctx)
}

// stop ends the guest at once.
func (n *Node) stop() error {
	if n.cancel != nil {
		n.PowerCut()
	}
	if n.gate == nil {
		return nil
	}
	return n.gate.close()
}

// lastLines returns the last lines of a text.
func lastLines(text string, n int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-n):], "\n")
}
