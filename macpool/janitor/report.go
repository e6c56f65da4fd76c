// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/cluster"
)

// maxReported is how many collisions or blocks a condition of a pool names, and how many holders of each address.
const maxReported = 3

// reportPools writes the status of every pool that has changed.
func (j *Janitor) reportPools(ctx context.Context) error {
	if err := cluster.EnsureDefaultPool(ctx, j.Client, j.Log); err != nil { // somebody may have deleted it
		return err
	}
	var pools v1alpha1.MACPoolList
	if err := j.Client.List(ctx, &pools); err != nil {
		return fmt.Errorf("list MACPools: %w", err)
	}
	var served map[string]int
	if j.Serving != nil {
		served = j.Serving()
	}
	var failures []error
	for i := range pools.Items {
		pool := &pools.Items[i]
		before := pool.DeepCopy()
		j.describe(pool)
		if namespaces, known := served[pool.Name]; known {
			meta.SetStatusCondition(&pool.Status.Conditions, serving(pool, namespaces))
		} else { // it makes no sense, or was just created
			meta.RemoveStatusCondition(&pool.Status.Conditions, v1alpha1.ConditionServing)
		}
		if equality.Semantic.DeepEqual(before.Status, pool.Status) {
			continue
		}
		if err := j.Client.Status().Update(ctx, pool); client.IgnoreNotFound(err) != nil {
			failures = append(failures, fmt.Errorf("write status of MACPool %s: %w", pool.Name, err))
		}
	}
	return errors.Join(failures...)
}

func (j *Janitor) describe(pool *v1alpha1.MACPool) {
	valid := metav1.Condition{
		Type:               v1alpha1.ConditionValid,
		Status:             metav1.ConditionTrue,
		Reason:             "Valid",
		ObservedGeneration: pool.Generation,
	}
	rule, err := cluster.ReadPool(pool)
	if err != nil {
		valid.Status, valid.Reason, valid.Message = metav1.ConditionFalse, "Invalid", err.Error()
	}
	meta.SetStatusCondition(&pool.Status.Conditions, valid)
	var unreadable []string
	if j.Unreadable != nil {
		unreadable = j.Unreadable()
	}
	meta.SetStatusCondition(&pool.Status.Conditions, readable(unreadable, pool.Generation))
	lent := rule.Pool
	if j.Foreign != nil {
		lent.Set = macpool.NewSet(lent.Set.Ranges(), j.Foreign())
	}
	usage := j.Ledger.Usage(lent)
	pool.Status.Total = int64(usage.Total)
	pool.Status.Used, pool.Status.Reserved = int64(usage.Used), int64(usage.Reserved)
	pool.Status.Free = int64(usage.Free())
	pool.Status.Range = ""
	if ranges := rule.Set.Ranges(); len(ranges) > 0 {
		pool.Status.Range = ranges[0].String()
		if more := len(ranges) - 1; more > 0 {
			pool.Status.Range += fmt.Sprintf(" and %d more", more)
		}
	}
	if !j.Imported() {
		return
	}
	meta.SetStatusCondition(&pool.Status.Conditions, collided(rule.Pool, j.Collisions(), pool.Generation))
	pool.Status.ImportedBy, pool.Status.ImportTransitions = j.Term.Holder, &j.Term.Transitions
	meta.SetStatusCondition(&pool.Status.Conditions, metav1.Condition{
		Type:               v1alpha1.ConditionImported,
		Status:             metav1.ConditionTrue,
		Reason:             "Imported",
		ObservedGeneration: pool.Generation,
		Message:            "every address of a VM in the cluster is in the ledger",
	})
}

// readable returns the condition of a pool about the blocks that have rows which cannot be read, whichever pool they
// are of.
func readable(unreadable []string, generation int64) metav1.Condition {
	if len(unreadable) == 0 {
		return metav1.Condition{
			Type: v1alpha1.ConditionReadable, Status: metav1.ConditionTrue, Reason: "Readable",
			ObservedGeneration: generation,
		}
	}
	named := slices.Clone(unreadable[:min(maxReported, len(unreadable))])
	if more := len(unreadable) - maxReported; more > 0 {
		named = append(named, fmt.Sprintf("and %d more", more))
	}
	return metav1.Condition{
		Type: v1alpha1.ConditionReadable, Status: metav1.ConditionFalse, Reason: "RowsLeftOut",
		ObservedGeneration: generation,
		Message: "there are rows that cannot be read in MACBlock " + strings.Join(named, ", ") +
			", which the log of the manager names: correct or remove them; their addresses are not given out until it is known " +
			"who has them",
	}
}

// collided returns the condition of a pool about the collisions among its addresses.
func collided(pool macpool.Pool, all []macpool.Collision, generation int64) metav1.Condition {
	ours := slices.DeleteFunc(slices.Clone(all), func(c macpool.Collision) bool { return !pool.Set.Contains(c.MAC) })
	if len(ours) == 0 {
		return metav1.Condition{
			Type: v1alpha1.ConditionCollided, Status: metav1.ConditionFalse, Reason: "Unique", ObservedGeneration: generation,
			Message: "no address has several holders, except those shared on purpose",
		}
	}
	var texts []string
	for _, c := range ours[:min(maxReported, len(ours))] {
		texts = append(texts, short(c))
	}
	if more := len(ours) - maxReported; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return metav1.Condition{
		Type: v1alpha1.ConditionCollided, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonMACCollision,
		ObservedGeneration: generation, Message: strings.Join(texts, "; "),
	}
}

// serving returns the condition of a pool about the namespaces that it serves.
func serving(pool *v1alpha1.MACPool, namespaces int) metav1.Condition {
	c := metav1.Condition{
		Type: v1alpha1.ConditionServing, Status: metav1.ConditionTrue, Reason: "Serving",
		ObservedGeneration: pool.Generation,
	}
	if namespaces > 0 {
		return c
	}
	c.Status, c.Reason = metav1.ConditionFalse, "OtherPoolsServe"
	c.Message = "this pool lends no address: other pools come first in every namespace; give it a namespaceSelector, " +
		"and a name before theirs, for the namespaces that it is to serve"
	if pool.Spec.NamespaceSelector != nil {
		c.Reason = "NoNamespaceMatches"
		c.Message = "this pool lends no address: no namespace matches spec.namespaceSelector that a pool before it by name " +
			"does not serve; change the selector, the labels of namespaces, or the name of the pool"
	}
	return c
}
