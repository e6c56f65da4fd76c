// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/bridgehead-dev/bridgehead/e2e/guestrpc"
)

// restartDelay is how long a dead agent stays dead, as under kubelet at first.
const restartDelay = 500 * time.Millisecond

// A node serves the procedures of package guestrpc.
type node struct {
	config guestrpc.Config
	over   chan struct{} // closed by Shutdown

	mu      sync.Mutex
	agent   *exec.Cmd // nil while it does not run
	starts  int
	ends    bool // no agent is started any more
	changed *sync.Cond
}

func newNode(config guestrpc.Config) *node {
	n := &node{config: config, over: make(chan struct{})}
	n.changed = sync.NewCond(&n.mu)
	return n
}

// keepAgent runs the agent again and again, until Shutdown.
func (n *node) keepAgent() {
	for len(n.config.Agent) > 0 {
		n.mu.Lock()
		if n.ends {
			n.mu.Unlock()
			return
		}
		cmd := exec.Command(n.config.Agent[0], n.config.Agent[1:]...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		err := cmd.Start()
		n.starts++
		if err == nil {
			n.agent = cmd
		}
		n.mu.Unlock()
		if err == nil {
			err = cmd.Wait()
		}
		fmt.Println("noded: the agent ended:", err)
		n.mu.Lock()
		n.agent = nil
		n.changed.Broadcast()
		n.mu.Unlock()
		<-time.After(restartDelay)
	}
}

// Exec implements guestrpc.Exec.
func (n *node) Exec(args guestrpc.ExecArgs, reply *guestrpc.ExecReply) error {
	var err error
	*reply, err = guestrpc.Run(args)
	return err
}

// Signal implements guestrpc.Signal.
func (n *node) Signal(args guestrpc.SignalArgs, reply *guestrpc.AgentReply) error {
	n.mu.Lock()
	agent := n.agent
	n.mu.Unlock()
	if agent == nil {
		return n.Agent(guestrpc.Nothing{}, reply)
	}
	if err := agent.Process.Signal(syscall.Signal(args.Signal)); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return n.Agent(guestrpc.Nothing{}, reply)
}

// Agent implements guestrpc.Agent.
func (n *node) Agent(_ guestrpc.Nothing, reply *guestrpc.AgentReply) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	reply.Starts = n.starts
	if n.agent == nil {
		return nil
	}
	reply.PID = n.agent.Process.Pid
	reply.RSS, reply.CPUSeconds = usage(reply.PID)
	return nil
}

// usage reads the resident memory in bytes and the processor time in hundredths of a second; zeros if the process is
// gone.
func usage(pid int) (rss, cpu int64) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0
	}
	// Fields count from the state, behind the name in parentheses (proc(5)): 11 and 12 are utime and stime, 21 is rss.
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 22 {
		return 0, 0
	}
	number := func(i int) int64 {
		v, _ := strconv.ParseInt(fields[i], 10, 64)
		return v
	}
	return number(21) * int64(os.Getpagesize()), number(11) + number(12)
}

// Shutdown implements guestrpc.Shutdown: the agent ends as a rollout ends it, then the guest.
func (n *node) Shutdown(_ guestrpc.Nothing, _ *guestrpc.Nothing) error {
	n.mu.Lock()
	n.ends = true
	n.mu.Unlock()
	var reply guestrpc.AgentReply
	if err := n.Signal(guestrpc.SignalArgs{Signal: int(syscall.SIGTERM)}, &reply); err != nil {
		return err
	}
	n.mu.Lock()
	for n.agent != nil {
		n.changed.Wait()
	}
	n.mu.Unlock()
	close(n.over)
	return nil
}
