// SPDX-License-Identifier: Apache-2.0

// Command guestinit is process 1 of a guest: it mounts the kernel's file
// systems, loads modules, runs the script's one program, sends back the answer
// and powers off. It prints its own troubles on the console.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/e2e/vmrun/script"
)

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "guestinit is the init of a test guest and runs nowhere else; see e2e/vmrun")
		os.Exit(2)
	}
	if err := run(); err != nil {
		fmt.Printf("guestinit: %v\n", err)
	}
	unix.Sync()
	fmt.Printf("guestinit: %v\n", unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF))
}

// run is the guest's whole life between boot and power-off.
func run() error {
	if err := prepare(); err != nil {
		return err
	}
	text, err := os.ReadFile(script.Path)
	if err != nil {
		return err
	}
	var s script.Script
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("read %s: %w", script.Path, err)
	}
	for _, module := range s.Modules {
		if err := loadModule(module); err != nil {
			return err
		}
	}
	if err := makeParents(s.Collect); err != nil {
		return err
	}
	code, err := runProgram(s.Command)
	if err != nil {
		return err
	}
	return sendAnswer(code, s.Collect)
}

// loadModule hands one module to the kernel.
func loadModule(m script.Module) error {
	f, err := os.Open(m.Path)
	if err != nil {
		return fmt.Errorf("load module: %w", err)
	}
	defer f.Close()
	err = unix.FinitModule(int(f.Fd()), m.Params, 0)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("load module %s %s: %w", m.Path, m.Params, err)
	}
	return nil
}

// runProgram runs the script's program on the output port and returns its exit
// code. A program that cannot be started counts as 127, like in a shell.
func runProgram(c script.Command) (int, error) {
	out, err := openPort(script.OutputPort)
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Dir, cmd.Env = c.Dir, c.Env
	cmd.Stdout, cmd.Stderr = out, out
	code := 0
	if err := cmd.Run(); err != nil {
		code = exitCode(err, out)
	}
	return code, errors.Join(drain(out), out.Close())
}

// exitCode turns the end of a program into a code and says what a code cannot.
func exitCode(err error, out *os.File) int {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		fmt.Fprintf(out, "guestinit: %v\n", err)
		return 127
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		fmt.Fprintf(out, "signal: %v\n", status.Signal())
		return 128 + int(status.Signal())
	}
	return exit.ExitCode()
}
