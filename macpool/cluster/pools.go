// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// neverLent returns addresses that something else has wherever there is a network.
func neverLent() []v1alpha1.MACRange {
	return []v1alpha1.MACRange{
		// The bridge in front of every guest on a masquerade network has it: a guest with it, too, would reach nothing
		// (KubeVirt).
		{Start: "02:00:00:00:00:00", End: "02:00:00:00:00:00"},
		// Virtual routers have them, of IPv4 and of IPv6 (RFC 9568, section 7.3).
		{Start: "00:00:5e:00:01:00", End: "00:00:5e:00:02:ff"},
	}
}

// A PoolRule is a MACPool read: the pool, which namespaces it serves, and what it does about collisions.
type PoolRule struct {
	macpool.Pool
	// Selector is nil for a pool that serves every namespace no other pool does.
	Selector    labels.Selector
	Enforcement v1alpha1.Enforcement
}

// ReadPool reads a MACPool.
func ReadPool(o *v1alpha1.MACPool) (PoolRule, error) {
	include, err := readRanges("spec.ranges", o.Spec.Ranges)
	if err != nil {
		return PoolRule{}, err
	}
	exclude, err := readRanges("spec.exclude", o.Spec.Exclude)
	if err != nil {
		return PoolRule{}, err
	}
	never, err := readRanges("never lent", neverLent())
	if err != nil {
		return PoolRule{}, err
	}
	exclude = append(exclude, never...)
	rule := PoolRule{
		Pool:        macpool.Pool{Name: o.Name, Set: macpool.NewSet(include, exclude)},
		Enforcement: cmp.Or(o.Spec.Enforcement, v1alpha1.EnforcementDeny),
	}
	rule.Tolerate = rule.Enforcement != v1alpha1.EnforcementDeny
	if o.Spec.NamespaceSelector != nil {
		rule.Selector, err = metav1.LabelSelectorAsSelector(o.Spec.NamespaceSelector.LabelSelector())
	}
	if err != nil {
		return PoolRule{}, fmt.Errorf("spec.namespaceSelector: %w", err)
	}
	return rule, nil
}

func readRanges(path string, in []v1alpha1.MACRange) ([]macpool.Range, error) {
	var ranges []macpool.Range
	var problems []error
	for i, r := range in {
		parsed, err := macpool.ParseRange(r.Start, r.End)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s[%d]: %w", path, i, err))
			continue
		}
		ranges = append(ranges, parsed)
	}
	return ranges, errors.Join(problems...)
}

// choosePool returns the pool that serves a namespace with these labels: the first whose selector matches, else the
// first without a selector. The pools are in the order of their names.
func choosePool(byName []PoolRule, namespace labels.Set) (PoolRule, bool) {
	i := slices.IndexFunc(byName, func(r PoolRule) bool { return r.Selector != nil && r.Selector.Matches(namespace) })
	if i < 0 {
		i = slices.IndexFunc(byName, func(r PoolRule) bool { return r.Selector == nil })
	}
	if i < 0 {
		return PoolRule{}, false
	}
	return byName[i], true
}

// Pools are the pools and the labels of namespaces, kept up by watch events. The zero Pools knows none.
type Pools struct {
	mu         sync.RWMutex        // guards what follows
	rules      map[string]PoolRule // as they are written
	unreadable map[string]bool     // those that cannot be read
	lending    []PoolRule          // the same without what is foreign, in the order of their names
	foreign    []macpool.Range
	namespaces map[string]labels.Set
}

// For returns the pool that serves a namespace, or a *NoPoolError. Of a namespace that is so new that its labels are
// not known, where they matter, it returns a *macpool.NotReadyError.
func (p *Pools) For(namespace string) (PoolRule, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	has, known := p.namespaces[namespace]
	if !known && slices.ContainsFunc(p.lending, func(r PoolRule) bool { return r.Selector != nil }) {
		return PoolRule{}, &macpool.NotReadyError{Why: "the labels of namespace " + namespace + " are not known yet"}
	}
	rule, ok := choosePool(p.lending, has)
	if !ok {
		return PoolRule{}, &macpool.NoPoolError{Namespace: namespace, None: len(p.rules)+len(p.unreadable) == 0}
	}
	return rule, nil
}

// Serving returns how many namespaces every pool serves, by its name. One that is not in it is not known.
func (p *Pools) Serving() map[string]int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	serving := make(map[string]int, len(p.lending))
	for _, r := range p.lending {
		serving[r.Name] = 0
	}
	for _, l := range p.namespaces {
		if rule, ok := choosePool(p.lending, l); ok {
			serving[rule.Name]++
		}
	}
	return serving
}

// All returns the pools known now, without the addresses that are foreign, in the order of their names.
func (p *Pools) All() []PoolRule {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return slices.Clone(p.lending)
}

// SetPool takes in a pool.
func (p *Pools) SetPool(rule PoolRule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rules == nil {
		p.rules = map[string]PoolRule{}
	}
	delete(p.unreadable, rule.Name)
	p.rules[rule.Name] = rule
	i, known := p.findLocked(rule.Name)
	if !known {
		p.lending = slices.Insert(p.lending, i, PoolRule{})
	}
	p.lending[i] = p.withoutForeignLocked(rule)
}

// findLocked returns the place of a pool among those that lend, and whether it is there.
func (p *Pools) findLocked(name string) (int, bool) {
	return slices.BinarySearchFunc(p.lending, name, func(r PoolRule, name string) int { return cmp.Compare(r.Name, name) })
}

// SetForeign takes in the addresses that others have who are no holders, such as the NICs of nodes: no pool lends them.
func (p *Pools) SetForeign(macs []macpool.MAC) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.foreign = nil
	for _, m := range macs {
		p.foreign = append(p.foreign, macpool.Range{First: m, Last: m})
	}
	for i, rule := range p.lending {
		p.lending[i] = p.withoutForeignLocked(p.rules[rule.Name])
	}
}

// Foreign returns the addresses that SetForeign was told of, which are not to be changed.
func (p *Pools) Foreign() []macpool.Range {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.foreign
}

func (p *Pools) withoutForeignLocked(rule PoolRule) PoolRule {
	rule.Set = macpool.NewSet(rule.Set.Ranges(), p.foreign)
	return rule
}

// DropPool takes in that a pool is gone.
func (p *Pools) DropPool(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropLocked(name)
}

// SpoilPool takes in that a pool is there and cannot be read. It lends nothing.
func (p *Pools) SpoilPool(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropLocked(name)
	if p.unreadable == nil {
		p.unreadable = map[string]bool{}
	}
	p.unreadable[name] = true
}

func (p *Pools) dropLocked(name string) {
	delete(p.rules, name)
	delete(p.unreadable, name)
	if i, known := p.findLocked(name); known {
		p.lending = slices.Delete(p.lending, i, i+1)
	}
}

// SetNamespace takes in the labels of a namespace; nil if it is gone.
func (p *Pools) SetNamespace(name string, l labels.Set) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.namespaces == nil {
		p.namespaces = map[string]labels.Set{}
	}
	if l == nil {
		delete(p.namespaces, name)
		return
	}
	p.namespaces[name] = l
}
