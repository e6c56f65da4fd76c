// SPDX-License-Identifier: Apache-2.0

package macpool

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrNotReady says that this replica may not lend an address now: its Lease has not been renewed in time, or the
// addresses in use are still being imported. Whatever was asked for has not been given.
var ErrNotReady = errors.New(
	"this replica cannot assign addresses now: it has just started, or cannot reach the API server")

// A NotReadyError is ErrNotReady for another reason, which passes by itself.
type NotReadyError struct{ Why string }

func (e *NotReadyError) Error() string { return e.Why + ": try again in a moment" }

// Is reports whether target is ErrNotReady.
func (e *NotReadyError) Is(target error) bool { return target == ErrNotReady }

// ErrStaleClaim says that what asks again by a claim has nothing by it: it is another creation. Nothing was given.
var ErrStaleClaim = errors.New("nothing is held by this claim any more")

// ErrConflict is returned by a Store for a change that was decided on an older version of the block.
var ErrConflict = errors.New("the block has changed")

// ErrTooLarge is returned by a Store for a block that it has no room for: trying the same again is of no use.
var ErrTooLarge = errors.New("the block is too large to be stored")

// A TakenError refuses an address because somebody else has it.
type TakenError struct {
	MAC    MAC
	Holder Holder
	// Asker is who was refused. It is told the holder's name only if that lives in its own namespace.
	Asker Object
	// Several is true where the holder is not the only one: two may share an address, and a third may not.
	Several bool
	// Unseen is true where the holder was looked for and has not got the address, and may be about to.
	Unseen bool
}

func (e *TakenError) Error() string {
	text := fmt.Sprintf("%s is held by %s", e.MAC, e.Holder.NameFor(e.Asker))
	if e.Holder.Interface != "" && e.Holder.Namespace == e.Asker.Namespace {
		text += " for its interface " + e.Holder.Interface
	}
	if e.Unseen {
		text += ", which does not have it now"
	}
	return text
}

// A BusyError refuses an address for now: whether it is free is not settled yet. Asking again helps.
type BusyError struct {
	MAC MAC
	// After is when it is worth asking again.
	After time.Duration
	// Why completes the sentence "the address ...".
	Why string
	// Holder is the object that may be about to have the address; zero where it waits for something else.
	Holder Object
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("%s %s: try again in %s", e.MAC, e.Why, e.wait())
}

// Later says the same to who is refused something else for good: the same request need not be made again.
func (e *BusyError) Later() string {
	return fmt.Sprintf("%s %s: it may be free in %s", e.MAC, e.Why, e.wait())
}

// wait returns After in whole seconds, at least one.
func (e *BusyError) wait() time.Duration {
	return max(time.Second, (e.After + time.Second - 1).Truncate(time.Second))
}

// An ExhaustedError says that a pool has no address to lend.
type ExhaustedError struct {
	Pool string
	Usage
	// Unreadable are the blocks that those of Unread are in, ascending, where they are known.
	Unreadable []Prefix
	// Young is how many of those used were given out so recently that their holders may never come to exist.
	Young uint64
	// After is when the first of those may be free.
	After time.Duration
	// Left is how many of those used are known to be had by nobody any more: they are about to be free. There may be more.
	Left uint64
	// Unseen is how many of those used were not looked for since the one who asks did so first: they may be free.
	Unseen uint64
	// Needed is how many addresses were asked for at once.
	Needed uint64
}

// Passing reports whether asking again may help: as many addresses as are needed may come back.
func (e *ExhaustedError) Passing() bool {
	return e.Needed <= e.Total && (e.Left > 0 || max(e.Needed, 1) <= e.Free()+e.Reserved+e.Young+e.Unseen)
}

// Wait returns how long it takes until asking again may help; zero where that cannot be told.
func (e *ExhaustedError) Wait() time.Duration {
	if e.Left > 0 || max(e.Needed, 1) <= e.Free()+e.Reserved+e.Unseen {
		return 0
	}
	return e.After
}

func (e *ExhaustedError) Error() string {
	text := fmt.Sprintf("MACPool %s is exhausted: %d of its %d addresses are used", e.Pool, e.Used, e.Total)
	if e.Reserved > 0 {
		text += fmt.Sprintf(", %d are reserved by replicas of the webhook", e.Reserved)
	}
	if e.Unread > 0 {
		text += fmt.Sprintf(", %d have a row in %s that cannot be read", e.Unread, blocksOf(e.Unreadable))
	}
	if e.Young > 0 {
		text += fmt.Sprintf(
			", %d were given out less than a minute or so ago, perhaps to objects that were not created after all", e.Young,
		)
	}
	if e.Left > 0 {
		text += fmt.Sprintf(", %d or more of those used were given up just now", e.Left)
	}
	if e.Unseen > 0 && e.Left == 0 {
		text += fmt.Sprintf(", of %d of those used it is not known yet whether they still are", e.Unseen)
	}
	if e.Needed > 1 {
		text += fmt.Sprintf(", and %d are asked for at once", e.Needed)
	}
	switch {
	case e.Passing():
		return text + ": try again in a moment, or add a range to its spec.ranges"
	case e.Used > 0 && e.Needed <= e.Total:
		return text + "; " + e.mend() + "add a range to its spec.ranges, or delete VMs or pods that are not needed"
	}
	return text + "; " + e.mend() + "add a range to its spec.ranges"
}

// mend returns what there is to do about addresses whose rows cannot be read, where that helps.
func (e *ExhaustedError) mend() string {
	if e.Unread == 0 || e.Needed > e.Total {
		return ""
	}
	return "correct or remove those rows, or "
}

// maxNamed is how many blocks an error names.
const maxNamed = 3

// blocksOf names the blocks that some addresses are in.
func blocksOf(prefixes []Prefix) string {
	if len(prefixes) == 0 {
		return "a MACBlock"
	}
	var names []string
	for _, p := range prefixes[:min(maxNamed, len(prefixes))] {
		names = append(names, p.String())
	}
	if more := len(prefixes) - maxNamed; more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return "MACBlock " + strings.Join(names, ", ")
}

// A NoPoolError says that no pool serves a namespace.
type NoPoolError struct {
	Namespace string
	// None says that there is no pool at all, or none is known yet. One is made then: asking again helps.
	None bool
}

func (e *NoPoolError) Error() string {
	if e.None {
		return "there is no MACPool now, or none is known yet; one is made where there is none: try again in a moment"
	}
	return fmt.Sprintf(
		"no MACPool serves namespace %s: create one without spec.namespaceSelector, or one whose selector matches the namespace",
		e.Namespace,
	)
}

// A ReservedError says that an address is in the window of another replica.
type ReservedError struct {
	MAC     MAC
	Replica string
}

func (e *ReservedError) Error() string {
	return fmt.Sprintf("%s is reserved by replica %s", e.MAC, e.Replica)
}
