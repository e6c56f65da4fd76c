// SPDX-License-Identifier: Apache-2.0

package sample

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestPass(t *testing.T) {
	if Double(2) != 4 {
		t.Error("arithmetic is broken")
	}
}

func TestFail(t *testing.T) { t.Error("meant to fail") }

func TestPanic(t *testing.T) { panic("meant to panic") }

func TestExit(t *testing.T) {
	fmt.Println("leaving")
	os.Exit(3)
}

func TestKilled(t *testing.T) { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) }

// TestHang waits in the kernel: of goroutines that all wait for each other the runtime would make a panic.
func TestHang(t *testing.T) {
	for {
		_ = syscall.Pause()
	}
}

// TestBytes prints lines of every byte but the newline, and then many long ones.
func TestBytes(t *testing.T) {
	all := make([]byte, 0, 256)
	for b := range 256 {
		if b != '\n' {
			all = append(all, byte(b))
		}
	}
	os.Stdout.Write(append(all, '\n'))
	for n := range 2000 {
		fmt.Printf("%d %s\n", n, strings.Repeat("x", 500))
	}
}

func TestTestdata(t *testing.T) {
	text, err := os.ReadFile("testdata/greeting")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("greeting: %s\n", text)
}

// TestKernelPanic takes the guest's kernel down.
func TestKernelPanic(t *testing.T) {
	if err := os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0); err != nil {
		t.Fatal(err)
	}
	select {}
}

func BenchmarkDouble(b *testing.B) {
	for b.Loop() {
		Double(3)
	}
}
