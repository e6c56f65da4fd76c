// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A process is one program with fixed arguments, which may be killed and started again.
type process struct {
	name string
	path string
	args []string
	log  string // appended to at every start

	mu     sync.Mutex
	cmd    *exec.Cmd     // nil before the first start
	exited chan struct{} // closed when cmd is gone
}

// start runs the program, unless it runs.
func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.runs() {
		return nil
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", p.name, err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(p.path, p.args...)
	cmd.Stdout, cmd.Stderr = log, log
	// A group of its own, so that an interrupt at the terminal reaches us first; and dead when we are.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}

	exited := make(chan struct{})
	started := make(chan error)
	go func() {
		// The kernel ties Pdeathsig to the thread that started the child, not to the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(exited)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in the log
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.cmd, p.exited = cmd, exited
	return nil
}

// runs reports whether the program was started and has not exited. The caller holds the mutex.
func (p *process) runs() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// signal sends the program a signal, which must run.
func (p *process) signal(s syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.runs() {
		return fmt.Errorf("signal %s: it does not run", p.name)
	}
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("signal %s: %w", p.name, err)
	}
	return nil
}

// kill ends the program at once and waits until it is gone. To kill what does not run is fine.
func (p *process) kill() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.runs() {
		return nil
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	<-p.exited
	return nil
}

// waitHealthy waits until a URL of the program answers 200, it exits, or ctx ends.
func (p *process) waitHealthy(ctx context.Context, client *http.Client, url string) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := probe(ctx, client, url)
		if err == nil {
			return nil
		}
		select {
		case <-p.exited:
			return fmt.Errorf("%s exited before it was ready: %s", p.name, p.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("wait for %s to be ready: %w (%w)", p.name, context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
}

// probe asks a URL once, and returns nil for the answer 200.
func probe(ctx context.Context, client *http.Client, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("make a probe: %w", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("probe: %s", response.Status)
	}
	return nil
}

// PIDs are the process ids of the programs that run, by their names.
func (c *ControlPlane) PIDs() map[string]int {
	running := map[string]int{}
	for _, p := range c.processes {
		p.mu.Lock()
		if p.runs() {
			running[p.name] = p.cmd.Process.Pid
		}
		p.mu.Unlock()
	}
	return running
}

// logTails shows the last lines of the log of every program.
func (c *ControlPlane) logTails() string {
	var out strings.Builder
	for _, p := range c.processes {
		fmt.Fprintf(&out, "\n--- the end of %s:\n%s", p.log, p.tail(25))
	}
	return out.String()
}

// tail returns the last lines of the log.
func (p *process) tail(lines int) string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	all := bytes.Split(bytes.TrimRight(data, "\n"), []byte("\n"))
	return string(bytes.Join(all[max(0, len(all)-lines):], []byte("\n")))
}
