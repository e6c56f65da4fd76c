// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/cluster"
)

// maxLooks is in how many namespaces a sweep looks for objects that were created by generateName.
const maxLooks = 32

// repeat does something now and then until ctx is done.
func (j *Janitor) repeat(ctx context.Context, every time.Duration, what string, do func(context.Context) error) {
	ticker := j.Clock.NewTicker(every)
	defer ticker.Stop()
	for {
		if err := safely(ctx, do); err != nil && ctx.Err() == nil {
			j.Log.Error(err, what+" failed, retrying")
		}
		select {
		case <-ticker.C():
		case <-ctx.Done():
			return
		}
	}
}

func safely(ctx context.Context, do func(context.Context) error) (err error) {
	defer recovered(&err)
	return do(ctx)
}

// sweep looks for what no event tells of: holds without an object, reservations of dead replicas, empty blocks. One
// that cannot be seen to, as a block that cannot be written, keeps it from none of the others.
func (j *Janitor) sweep(ctx context.Context) error {
	blocks := j.Ledger.Blocks()
	all, unlisted := j.cached().all(ctx)
	var doubtful error
	if unlisted == nil {
		doubtful = j.queueDoubtful(ctx, blocks, all)
	}
	err := errors.Join(unlisted, doubtful, j.endReservationsOfDead(ctx, blocks))
	j.dropEmpty(ctx, blocks)
	if unlisted == nil {
		j.lookForCollisions(ctx, blocks, all)
	}
	return err
}

// queueDoubtful queues the holders of addresses that nobody has been seen to have for as long as an admission takes,
// and the objects whose addresses the ledger lost: somebody deleted a block, or the store is older than it was.
func (j *Janitor) queueDoubtful(ctx context.Context, blocks []*macpool.Block, all *finding) error {
	for o := range unheld(blocks, all.has) {
		who := subjectOf(o)
		if adopts, err := j.adopts(ctx, who); err == nil && adopts { // an error is seen again by who looks at the subject
			j.queue.Add(who)
		}
	}
	var nameless []stray
	for _, stray := range strays(blocks, all.has, all.unseen, j.Clock.Now(), j.Ledger.Grace) {
		if stray.hold.Name == "" {
			nameless = append(nameless, stray)
		} else {
			j.queue.Add(subjectOf(stray.hold.Object))
		}
	}
	return j.releaseNameless(ctx, nameless)
}

// releaseNameless frees addresses that were given to objects created by generateName which never came into being. Only
// their namespaces are read, and only so many of them in a sweep.
func (j *Janitor) releaseNameless(ctx context.Context, nameless []stray) error {
	if len(nameless) == 0 {
		return nil
	}
	macs := make([]macpool.MAC, 0, len(nameless))
	for _, stray := range nameless {
		macs = append(macs, stray.mac)
	}
	found, looked := newFinding(macs), map[macpool.Object]error{}
	var edits []edit
	for _, stray := range nameless {
		where := macpool.Object{Kind: stray.hold.Kind, Namespace: stray.hold.Namespace}
		err, done := looked[where]
		if !done {
			if len(looked) == maxLooks {
				continue // the next sweep sees to it
			}
			err = j.live().listLike(ctx, found, where)
			looked[where] = err
		}
		if err != nil || found.unseen[stray.hold.Kind] {
			continue
		}
		j.Log.Info("Address freed", "mac", stray.mac.String(), "holder", stray.hold.Object.String())
		for _, holder := range found.has[stray.mac] {
			edits = append(edits, edit{mac: stray.mac, adopt: holder})
		}
		edits = append(edits, edit{mac: stray.mac, release: stray.hold})
	}
	failures := slices.Collect(maps.Values(looked))
	for prefix, edits := range byBlock(edits) {
		failures = append(failures, j.Ledger.Edit(ctx, prefix, func(b *macpool.Block) { j.applyAll(edits, b) }))
	}
	return errors.Join(failures...)
}

// endReservationsOfDead ends the reservations of replicas that have not renewed their Lease for so long that nothing
// they answered can still be on its way.
func (j *Janitor) endReservationsOfDead(ctx context.Context, blocks []*macpool.Block) error {
	reserving := map[string]bool{}
	for _, b := range blocks {
		for replica := range b.Replicas() {
			reserving[replica] = true
		}
	}
	// This is a consistent read: a replica that it shows silent has not renewed. One whose Lease lost its label lives on.
	var leases coordinationv1.LeaseList
	if err := j.Client.List(ctx, &leases, client.InNamespace(j.Namespace)); err != nil {
		return fmt.Errorf("list Leases of replicas: %w", err)
	}
	renewals := map[string]string{}
	for _, lease := range leases.Items {
		renewals[lease.Name] = renewal(lease)
		if _, marked := lease.Labels[cluster.ReplicaLabel]; marked {
			reserving[lease.Name] = true // a dead replica's Lease goes even if it has nothing reserved
		}
	}
	dead := j.monitor.dead(renewals, reserving, j.Clock.Now())
	if len(dead) == 0 {
		return nil
	}
	who, err := j.live().who(ctx, reservedByAny(dead, blocks))
	if err != nil {
		return err
	}
	if slices.ContainsFunc(who.unknown, j.knew) {
		return errors.New("VMs cannot be listed now: reservations of dead replicas stay until they can")
	}
	var failures []error
	for _, replica := range dead {
		failures = append(failures, j.endReplica(ctx, replica, blocks, who.has))
	}
	return errors.Join(failures...)
}

// knew reports whether the API server has known a kind of KubeVirt.
func (j *Janitor) knew(kind string) bool {
	_, watched := j.watched.Load(kind)
	return watched
}

// reservedByAny returns the addresses that some replicas have reserved.
func reservedByAny(replicas []string, blocks []*macpool.Block) []macpool.MAC {
	one := func(replica string) bool { return slices.Contains(replicas, replica) }
	var macs []macpool.MAC
	for _, b := range blocks {
		if !b.ReservedBy(one) {
			continue
		}
		for m, e := range b.Entries() {
			if one(e.Reservation.Replica) {
				macs = append(macs, m)
			}
		}
	}
	return macs
}

// renewal returns what changes in a Lease when it is renewed; empty if it never was.
func renewal(lease coordinationv1.Lease) string {
	if lease.Spec.RenewTime == nil {
		return ""
	}
	return lease.Spec.RenewTime.String()
}

// endReplica ends the reservations of one dead replica, and deletes its Lease once there are none left.
func (j *Janitor) endReplica(
	ctx context.Context, replica string, blocks []*macpool.Block, has map[macpool.MAC][]macpool.Holder,
) error {
	j.Log.Info("Replica is dead; releasing what it had reserved", "replica", replica)
	var failures []error
	for _, b := range blocks {
		if b.ReservedBy(func(other string) bool { return other == replica }) {
			failures = append(failures, j.Ledger.Edit(ctx, b.Prefix, func(b *macpool.Block) {
				b.EndReservations(replica, has, j.Ledger.Now())
			}))
		}
	}
	if err := errors.Join(failures...); err != nil {
		return err
	}
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: j.Namespace, Name: replica}}
	if err := j.Client.Delete(ctx, lease); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete Lease of dead replica %s: %w", replica, err)
	}
	return nil
}

// dropEmpty deletes blocks that have been empty and unchanged since the last sweep.
func (j *Janitor) dropEmpty(ctx context.Context, blocks []*macpool.Block) {
	empty := map[macpool.Prefix]string{}
	for _, b := range blocks {
		if held, reserved := b.Counts(); held+reserved > 0 {
			continue
		}
		empty[b.Prefix] = b.Version
		if j.empty[b.Prefix] != b.Version {
			continue
		}
		o := cluster.EncodeBlock(b)
		err := j.Client.Delete(ctx, o, client.Preconditions{ResourceVersion: &b.Version})
		if client.IgnoreNotFound(err) != nil {
			j.Log.V(1).Info("Empty block not deleted: it has changed", "block", o.Name, "error", err.Error())
		}
	}
	j.empty = empty
}
