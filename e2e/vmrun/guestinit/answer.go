// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/e2e/vmrun/script"
)

// openPort opens a serial port that carries bytes as they are: no newline
// translation, no echo, no waiting for a modem.
func openPort(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	raw := unix.Termios{Cflag: unix.CS8 | unix.CREAD | unix.CLOCAL | unix.B115200, Ispeed: unix.B115200,
		Ospeed: unix.B115200}
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &raw); err != nil {
		return nil, errors.Join(fmt.Errorf("set up %s: %w", path, err), unix.Close(fd))
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		return nil, errors.Join(fmt.Errorf("set up %s: %w", path, err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), path), nil
}

// drain waits until everything written to a port has left it.
func drain(port *os.File) error {
	if err := unix.IoctlSetInt(int(port.Fd()), unix.TCSBRK, 1); err != nil {
		return fmt.Errorf("drain %s: %w", port.Name(), err)
	}
	return nil
}

// sendAnswer writes release, collected files and exit code, in this order, so
// that an answer with an exit code is a whole one.
func sendAnswer(code int, collect []string) error {
	port, err := openPort(script.AnswerPort)
	if err != nil {
		return err
	}
	defer port.Close()
	answer := tar.NewWriter(port)
	var uname unix.Utsname
	if err := unix.Uname(&uname); err != nil {
		return fmt.Errorf("uname: %w", err)
	}
	if err := sendEntry(answer, script.ReleaseEntry, []byte(unix.ByteSliceToString(uname.Release[:])), 0o644); err != nil {
		return err
	}
	for _, path := range collect {
		if err := sendTree(answer, path); err != nil {
			return err
		}
	}
	if err := sendEntry(answer, script.ExitEntry, []byte(strconv.Itoa(code)), 0o644); err != nil {
		return err
	}
	return errors.Join(answer.Close(), drain(port))
}

// sendTree sends a file, or a directory and all below it; nothing where there
// is nothing.
func sendTree(answer *tar.Writer, root string) error {
	if _, err := os.Stat(root); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return answer.WriteHeader(&tar.Header{Name: path + "/", Typeflag: tar.TypeDir, Mode: 0o755})
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return sendEntry(answer, path, content, 0o644)
	})
}

// sendEntry sends one file.
func sendEntry(answer *tar.Writer, name string, content []byte, mode int64) error {
	if err := answer.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(content))}); err != nil {
		return fmt.Errorf("send %s: %w", name, err)
	}
	if _, err := answer.Write(content); err != nil {
		return fmt.Errorf("send %s: %w", name, err)
	}
	return nil
}
