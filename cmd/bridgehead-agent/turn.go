// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// A lockFile is an advisory lock (flock(2)) in the folder of the journal. The kernel gives it back when the process
// ends, however that happens.
type lockFile struct{ file *os.File }

func openLock(dir, name string) (lockFile, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return lockFile{}, fmt.Errorf("open a lock: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return lockFile{}, fmt.Errorf("open a lock: %w", err)
	}
	return lockFile{f}, nil
}

// try takes the lock, and reports whether it could.
func (l lockFile) try() (bool, error) {
	err := unix.Flock(int(l.file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("lock %s: %w", l.file.Name(), err)
	}
	return true, nil
}

// drop gives the lock back and keeps the file open.
func (l lockFile) drop() error { return unix.Flock(int(l.file.Fd()), unix.LOCK_UN) }

// lockInterval is how often a lock that others hold is tried.
const lockInterval = 200 * time.Millisecond

// await takes the lock when whoever holds it lets go.
func (l lockFile) await(ctx context.Context) error {
	ticker := time.NewTicker(lockInterval)
	defer ticker.Stop()
	for {
		if taken, err := l.try(); err != nil || taken {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// A turn is what one process at a time has: the network of the node and the journal. Two locks make it up: who has the
// first has the turn; who has the second waits for it.
type turn struct{ has, wants lockFile }

// openTurn opens both in the folder of the journal. Where that cannot be written to, as on a disk that was mounted
// read-only for its errors, nothing could be noted, undone or handed over, so nothing is to be begun.
func openTurn(dir string) (*turn, error) {
	has, err := openLock(dir, "agent.lock")
	if err != nil {
		return nil, fmt.Errorf("the node's network is not changed, because no record of it can be kept: %w", err)
	}
	wants, err := openLock(dir, "agent.wanted")
	if err != nil {
		return nil, errors.Join(err, has.file.Close())
	}
	return &turn{has: has, wants: wants}, nil
}

// take waits for the turn, and says so to who has it.
func (t *turn) take(ctx context.Context) error {
	if err := t.wants.await(ctx); err != nil {
		return fmt.Errorf("wait for another process to leave the node's network to this one: %w", err)
	}
	if err := t.has.await(ctx); err != nil {
		return fmt.Errorf("wait for another process to leave the node's network to this one: %w", err)
	}
	return t.wants.drop()
}

// wanted returns when somebody waits for the turn, or ctx is done, and calls meanwhile every few seconds.
func (t *turn) wanted(ctx context.Context, meanwhile func()) error {
	const often = 25
	ticker := time.NewTicker(lockInterval)
	defer ticker.Stop()
	for n := 1; ; n++ {
		if n%often == 0 {
			meanwhile()
		}
		free, err := t.wants.try()
		if err != nil || !free {
			return err
		}
		if err := t.wants.drop(); err != nil {
			return fmt.Errorf("drop a lock: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// close gives the turn back.
func (t *turn) close() error { return errors.Join(t.has.file.Close(), t.wants.file.Close()) }
