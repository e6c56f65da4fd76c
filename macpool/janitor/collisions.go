// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// lookForCollisions finds the addresses that several objects have, and tells each of those objects once, by an event.
// One counts that was there the sweep before as well: at the end of a live migration source and target may both be seen
// to run.
func (j *Janitor) lookForCollisions(ctx context.Context, blocks []*macpool.Block, all *finding) {
	now := func(o macpool.Object) macpool.Condition { return j.conditionOf(ctx, o) }
	has := func(m macpool.MAC, o macpool.Object) bool { return all.shows(m, o) || j.hasUncached(ctx, m, o) }
	seen := macpool.Collisions(blocks, has, now)
	var found []macpool.Collision
	suspected := map[string]bool{}
	for _, c := range seen {
		suspected[c.String()] = true
		if j.suspected[c.String()] {
			found = append(found, c)
		}
	}
	j.suspected = suspected
	told := map[string]bool{}
	for _, c := range found {
		told[c.String()] = true
		if !j.reported[c.String()] {
			j.Log.Info("MAC address has several holders", "mac", c.MAC.String(), "holders", short(c))
			j.report(c)
		}
	}
	j.reported = told
	j.collisions.Store(&found)
}

// hasUncached reports whether a pod that has an address says by now that it is of a VM: the cache has no such pods.
func (j *Janitor) hasUncached(ctx context.Context, m macpool.MAC, o macpool.Object) bool {
	if o.Kind != macpool.KindPod || o.Name == "" {
		return false
	}
	had, err := j.live().Having(ctx, o, m)
	return err == nil && len(had) > 0
}

// Collisions returns those that were found last.
func (j *Janitor) Collisions() []macpool.Collision {
	if found := j.collisions.Load(); found != nil {
		return *found
	}
	return nil
}

// conditionOf returns how an object stands now: with whom a VM shares addresses on purpose, and whether it runs. One
// that is not there shares with nobody, and does not run.
func (j *Janitor) conditionOf(ctx context.Context, o macpool.Object) macpool.Condition {
	var c macpool.Condition
	key := types.NamespacedName{Namespace: o.Namespace, Name: o.Name}
	if o.Kind == macpool.KindPod {
		return macpool.Condition{Running: true}
	}
	var v vm
	if o.Kind == macpool.KindVM && j.VMs.Get(ctx, key, &v) == nil {
		c.Sharing, _ = macpool.ReadSharing(v.Spec.RunStrategy, v.Annotations) // an annotation that names no VM says nothing
	}
	var i vmi
	if j.VMs.Get(ctx, key, &i) == nil && i.holder() == o {
		c.Running = i.Status.Phase == phaseRunning
		c.Migrating = i.migrates()
	}
	return c
}

// report tells every holder of one of the others. It learns the names of those in its own namespace only.
func (j *Janitor) report(c macpool.Collision) {
	if j.Events == nil {
		return
	}
	for i, h := range c.Holders {
		other := c.Holders[(i+1)%len(c.Holders)]
		version := kubevirtVersion()
		if h.Kind == macpool.KindPod {
			version = corev1.SchemeGroupVersion
		}
		about := &corev1.ObjectReference{APIVersion: version.String(), Kind: h.Kind, Namespace: h.Namespace, Name: h.Name}
		taken := &macpool.TakenError{MAC: c.MAC, Holder: other, Asker: h.Object}
		j.Events.Eventf(about, nil, corev1.EventTypeWarning, v1alpha1.ReasonMACCollision, "Report", "%s", taken.Error())
	}
}

// short names the first of those who have an address: a condition has no room for hundreds of them.
func short(c macpool.Collision) string {
	more := len(c.Holders) - maxReported
	if more <= 0 {
		return c.String()
	}
	c.Holders = c.Holders[:maxReported]
	return fmt.Sprintf("%s and of %d more", c, more)
}
