// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/bridgehead-dev/bridgehead/e2e/controlplane"
)

// readyTimeout is how long a replica may take to be ready on a busy machine, with a lease to wait for that another one
// left behind.
const readyTimeout = 5 * time.Minute

// A Replica is one process of the program.
type Replica struct {
	// Name is the pod name it was given.
	Name string
	// Address is where it serves webhooks.
	Address string
	// Metrics is where it serves metrics.
	Metrics string

	probes  string
	log     string
	process *exec.Cmd
	ended   chan struct{}
	// unrouted is guarded by the suite's mutex.
	unrouted bool
}

func (r *Replica) start(program, kubeconfig string, flags []string, skew time.Duration) error {
	addresses, err := FreeAddresses(3)
	if err != nil {
		return err
	}
	r.Address, r.probes, r.Metrics = addresses[0], addresses[1], addresses[2]
	log, err := os.Create(r.log)
	if err != nil {
		return fmt.Errorf("make log: %w", err)
	}
	defer log.Close()
	r.process = exec.Command(program, append([]string{
		"--kubeconfig", kubeconfig, "--pod-name", r.Name, "--webhook-address", r.Address, "--probe-address", r.probes,
		"--metrics-address", r.Metrics,
	}, flags...)...)
	r.process.Stdout, r.process.Stderr = log, log
	if skew != 0 {
		ahead := strconv.FormatInt(int64(skew/time.Second), 10)
		r.process.Env = append(os.Environ(), skewVariable+"="+ahead)
	}
	// The kernel ends it with us, however we end.
	r.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.process.Start(); err != nil {
		return fmt.Errorf("start %s: %w", r.Name, err)
	}
	r.ended = make(chan struct{})
	go func() {
		_ = r.process.Wait() // how it ended is in its log
		close(r.ended)
	}()
	return nil
}

// WaitReady blocks until the replica says it is ready.
func (r *Replica) WaitReady(ctx context.Context) error {
	var last string
	err := wait.PollUntilContextTimeout(
		ctx,
		20*time.Millisecond,
		readyTimeout,
		true,
		func(ctx context.Context) (bool, error) {
			select {
			case <-r.ended:
				return false, errors.New("it has ended")
			default:
			}
			var ready bool
			ready, last = r.Probe(ctx)
			return ready, nil
		},
	)
	if err != nil {
		return fmt.Errorf("wait for %s to be ready: %w: %s", r.Name, err, last)
	}
	return nil
}

// Probe asks the replica once whether it is ready, and what it says.
func (r *Replica) Probe(ctx context.Context) (ready bool, said string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.probes+"/readyz", nil)
	if err != nil {
		return false, err.Error()
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false, err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return false, err.Error()
	}
	return response.StatusCode == http.StatusOK, string(body)
}

// PID returns the replica's process.
func (r *Replica) PID() int { return r.process.Process.Pid }

// Signal sends the process a signal.
func (r *Replica) Signal(s syscall.Signal) error { return r.process.Process.Signal(s) }

// Terminate asks the process to end.
func (r *Replica) Terminate() error { return r.Signal(syscall.SIGTERM) }

// Kill ends the process at once and waits until it is gone.
func (r *Replica) Kill() error {
	if err := r.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", r.Name, err)
	}
	<-r.ended
	return nil
}

// WaitEnded waits until the process is gone, for whatever reason.
func (r *Replica) WaitEnded(ctx context.Context) error {
	select {
	case <-r.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for %s to end: %w", r.Name, ctx.Err())
	}
}

// Log returns everything the replica has logged.
func (r *Replica) Log() string {
	text, err := os.ReadFile(r.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Tail returns the last lines of the log.
func (r *Replica) Tail(lines int) string {
	all := strings.Split(strings.TrimSpace(r.Log()), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// RSS returns the resident memory of the replica in bytes.
func (r *Replica) RSS() (int64, error) {
	process, err := procfs.NewProc(r.PID())
	if err != nil {
		return 0, fmt.Errorf("read memory of %s: %w", r.Name, err)
	}
	status, err := process.NewStatus()
	if err != nil {
		return 0, fmt.Errorf("read memory of %s: %w", r.Name, err)
	}
	return int64(status.VmRSS), nil
}

// FreeAddresses returns addresses of this machine, with ports that nobody listens at.
func FreeAddresses(n int) ([]string, error) {
	ports, err := controlplane.FreePorts(n)
	if err != nil {
		return nil, err
	}
	var addresses []string
	for _, port := range ports {
		addresses = append(addresses, net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	}
	return addresses, nil
}
