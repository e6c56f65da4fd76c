// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"fmt"
	"runtime"

	"github.com/vishvananda/netns"
)

// A namespace is the network namespace that a Kernel works in. A handle that is not open is the one of
// the process.
type namespace struct{ handle netns.NsHandle }

// run calls f on a thread that is in the namespace. It is the one place that locks a thread. A thread
// that cannot be brought back stays locked, so that the runtime ends it together with its goroutine.
func (n namespace) run(f func() error) error {
	if !n.handle.IsOpen() {
		return f()
	}
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("find the thread's network namespace: %w", err)
	}
	defer func() { _ = home.Close() }()
	if err := netns.Set(n.handle); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter the network namespace: %w", err)
	}
	failed := f()
	if err := netns.Set(home); err != nil {
		return fmt.Errorf("leave the network namespace: %w", err)
	}
	runtime.UnlockOSThread()
	return failed
}

// close gives back the handle.
func (n namespace) close() error {
	if !n.handle.IsOpen() {
		return nil
	}
	return n.handle.Close()
}
