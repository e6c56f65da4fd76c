// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"maps"
	"slices"
	"sync"

	toolscache "k8s.io/client-go/tools/cache"

	v1 "github.com/bridgehead-dev/bridgehead/api/nmstate/v1"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
)

// deleted are policies as they were when they were deleted: who annotates a policy and deletes it at once means both,
// and the agent may have had no time to look between the two.
type deleted struct {
	mu       sync.Mutex // guards policies
	policies map[string]Policy
}

// note remembers what a watch told of a deletion, if it is of a policy.
func (d *deleted) note(last any) {
	if missed, ok := last.(toolscache.DeletedFinalStateUnknown); ok {
		last = missed.Obj
	}
	o, ok := last.(*v1.NodeNetworkConfigurationPolicy)
	if !ok {
		return
	}
	p := readPolicy(o, nil)
	p.Selected = false
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.policies == nil {
		d.policies = map[string]Policy{}
	}
	d.policies[p.key()] = p
}

// list returns them.
func (d *deleted) list() []Policy {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Values(d.policies))
}

// drop forgets those of which the records, by key, say the same, or that have none.
func (d *deleted) drop(records map[string]journal.Record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.DeleteFunc(d.policies, func(key string, p Policy) bool {
		r, held := records[key]
		return !held || r.Orphan || r.Revert == p.Revert
	})
}
