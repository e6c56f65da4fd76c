// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// A RewoundError says that the store is older than it was: etcd was restored. Nothing that a process remembers of the
// store, and nothing that it was told, is true any more, so the process has to restart.
type RewoundError struct {
	Prefix macpool.Prefix
	// Now is a version that the store has after Before.
	Now, Before string
}

func (e *RewoundError) Error() string {
	return fmt.Sprintf("MACBlock %s went back from resourceVersion %s to %s: etcd was restored to an older state; restarting",
		e.Prefix, e.Before, e.Now)
}

// Rewound returns a channel that is closed when the store turned out to be older than it was; Err says more then. The
// ledger lends nothing from then on. It is to be closed, and another one made.
func (l *Ledger) Rewound() <-chan struct{} { return l.rewound }

// Err returns nil, or the *RewoundError for which this ledger lends nothing any more.
func (l *Ledger) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// noteVersions takes in that the store had version now of a block after version before, and fails the ledger if that is
// older. Empty versions are of blocks that are not stored, and tell nothing.
func (l *Ledger) noteVersions(p macpool.Prefix, before, now string) {
	if !older(now, before) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return
	}
	l.failed = &RewoundError{Prefix: p, Now: now, Before: before}
	close(l.rewound)
}

// noteWatched takes in the version of a block that the watch tells of. What a watch tells of one block never goes back.
func (l *Ledger) noteWatched(p macpool.Prefix, version string) {
	l.mu.Lock()
	before := l.watched[p]
	if !older(version, before) {
		l.watched[p] = version
	}
	l.mu.Unlock()
	l.noteVersions(p, before, version)
}

// older reports whether resourceVersion a is earlier than b. One that cannot be compared is not.
func older(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order < 0
}
