// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"

	"github.com/bridgehead-dev/bridgehead/macpool/ledger"
)

const (
	// gateInterval is how often a gate that is shut looks whether it may open.
	gateInterval = 250 * time.Millisecond
	// gateTimeout bounds one look.
	gateTimeout = 3 * time.Second
)

// A Term is one uninterrupted time for which a replica holds the lease of the janitor.
type Term struct {
	// Holder is the replica; empty if the lease is nobody's.
	Holder string
	// Transitions is how often the lease had changed hands by then: a replica that gets it again has another term.
	Transitions int32
}

// A Leadership is what the lease of the janitor says at one moment.
type Leadership struct {
	Term
	// Renewal is another one each time the lease is renewed. It is compared for equality only: clocks differ.
	Renewal string
}

// ReadLeadership returns what a lease says.
func ReadLeadership(lease *coordinationv1.Lease) Leadership {
	l := Leadership{Term: Term{
		Holder: ptr.Deref(lease.Spec.HolderIdentity, ""), Transitions: ptr.Deref(lease.Spec.LeaseTransitions, 0),
	}}
	if lease.Spec.RenewTime != nil {
		l.Renewal = lease.Spec.RenewTime.String()
	}
	return l
}

// An Import is the record, in the status of a pool, of whose janitor imported the addresses in use.
type Import struct {
	By string
	// Transitions are those of the term it was done in; nil if a release before this one did it, which names only the
	// holder.
	Transitions *int32
}

// in reports whether the import was done in a term.
func (i Import) in(t Term) bool {
	return i.By == t.Holder && (i.Transitions == nil || *i.Transitions == t.Transitions)
}

// checkImport decides whether the addresses in use are in the ledger: whoever holds the lease of the janitor is alive,
// since it is this process or was seen to renew, and has imported them in this term. first is the earliest that this
// process saw of the term, now is what the lease says. The error says what is being waited for.
func checkImport(first, now Leadership, self string, imports []Import) error {
	switch {
	case now.Holder == "":
		return errors.New("no replica has begun to import the addresses of existing VMs")
	case now.Holder != self && (first.Term != now.Term || first.Renewal == now.Renewal):
		return fmt.Errorf("replica %s, which imports the addresses of existing VMs, has not renewed its lease yet", now.Holder)
	}
	for _, i := range imports {
		if i.in(now.Term) {
			return nil
		}
	}
	return fmt.Errorf("the addresses of existing VMs are being imported by replica %s", now.Holder)
}

// A Gate is a replica's right to lend, held back after its start until the addresses in use are in the ledger. Once
// open it stays so: a later janitor takes over from one that had imported them.
type Gate struct {
	// Lease is the right that is held back.
	Lease ledger.ReplicaLease
	// Reader must not be a cache.
	Reader client.Reader
	// Janitor is the lease that the replica holds whose janitor is at work.
	Janitor types.NamespacedName
	// Self is the name by which this process holds it.
	Self string
	// Unread says what else addresses are lent by and was not read yet; nil once it was. It is not asked any more then.
	Unread func() error
	Clock  clock.WithTicker

	mu      sync.Mutex // guards what follows
	first   Leadership // the earliest that was seen of the term now
	open    bool
	waiting error
}

var _ ledger.ReplicaLease = (*Gate)(nil)

// Replica implements ledger.ReplicaLease.
func (g *Gate) Replica() (string, bool) {
	name, ok := g.Lease.Replica()
	return name, ok && g.Check() == nil
}

// Check fails while the gate is shut, and says why.
func (g *Gate) Check() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.open:
		return nil
	case g.waiting == nil:
		return errors.New("not checked yet whether the addresses of existing VMs are imported")
	}
	return g.waiting
}

// Run returns when the gate is open, or when ctx is done.
func (g *Gate) Run(ctx context.Context) {
	ticker := g.Clock.NewTicker(gateInterval)
	defer ticker.Stop()
	for !g.look(ctx) {
		select {
		case <-ticker.C():
		case <-ctx.Done():
			return
		}
	}
}

// look opens the gate if that is due, and reports whether it is open.
func (g *Gate) look(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, gateTimeout)
	defer cancel()
	now, imports, err := g.read(ctx)
	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil {
		if g.first.Term != now.Term {
			g.first = now
		}
		err = checkImport(g.first, now, g.Self, imports)
	}
	if err == nil && g.Unread != nil {
		err = g.Unread()
	}
	g.open, g.waiting = err == nil, err
	return g.open
}

func (g *Gate) read(ctx context.Context) (Leadership, []Import, error) {
	var lease coordinationv1.Lease
	if err := g.Reader.Get(ctx, g.Janitor, &lease); client.IgnoreNotFound(err) != nil {
		return Leadership{}, nil, fmt.Errorf("look who imports: %w", err)
	}
	var pools v1alpha1.MACPoolList
	if err := g.Reader.List(ctx, &pools); err != nil {
		return Leadership{}, nil, fmt.Errorf("look for pools: %w", err)
	}
	var imports []Import
	for _, pool := range pools.Items {
		imports = append(imports, Import{By: pool.Status.ImportedBy, Transitions: pool.Status.ImportTransitions})
	}
	return ReadLeadership(&lease), imports, nil
}
