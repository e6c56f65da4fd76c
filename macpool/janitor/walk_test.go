// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// TestWalks checks that no creations, changes and deletions of VMs through several replicas, whatever fails meanwhile,
// give one address to two, refuse one for good that could be given, or leave a ledger that is not what the VMs say.
func TestWalks(t *testing.T) {
	var stored, refused atomic.Int64
	t.Run("of", func(t *testing.T) {
		for seed := range uint64(24) {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				tell(t, func(w *world) {
					k := newWalk(w, randomBytes(seed))
					k.run()
					stored.Add(int64(len(k.vms)))
					refused.Add(int64(k.refusals))
				})
			})
		}
	})
	assert.Greater(t, stored.Load(), int64(100), "the walks test too little")
	assert.Greater(t, refused.Load(), int64(100), "the walks test too little")
}

// FuzzWalk looks for a walk that TestWalks does not take.
func FuzzWalk(f *testing.F) {
	f.Add(randomBytes(24))
	f.Add(randomBytes(95)) // blocks that somebody deletes while the watches of them are stalled
	f.Add(randomBytes(1119))
	f.Fuzz(func(t *testing.T, data []byte) {
		tell(t, func(w *world) { newWalk(w, data[:min(len(data), walkLength)]).run() })
	})
}

// walkLength is how many bytes choose a walk; more would only take longer.
const walkLength = 600

func randomBytes(seed uint64) []byte {
	random := rand.New(rand.NewPCG(seed, 1))
	data := make([]byte, walkLength)
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	return data
}

// A walk is a story that bytes choose. It knows what each VM has and what is on its way to it.
type walk struct {
	*world
	choices  []byte
	size     int // of the pool, which begins at mac(1)
	vms      map[string][]macpool.MAC
	answered map[string]answer // to the API server, which has not stored them, by the VM
	refused  []order           // to be made again
	refusals int               // so far
	asked    int
	amiss    string // what fails now, if anything
	mend     func() // ends that
	said     []string
}

// An order is what one admission asks for.
type order struct {
	holder macpool.Object
	kept   []macpool.MAC
	asks   []macpool.Ask
	left   []macpool.MAC
}

// vm is the name that the object has once it is stored.
func (o order) vm() string { return o.holder.Name + o.holder.GenerateName }

func (o order) String() string {
	text := o.vm() + " asks for"
	for _, a := range o.asks {
		text += " " + a.MAC.String()
	}
	return text
}

// An answer is what an order was given, and when.
type answer struct {
	order
	macs []macpool.MAC
	at   time.Time
}

func newWalk(w *world, data []byte) *walk {
	return &walk{world: w, choices: data, vms: map[string][]macpool.MAC{}, answered: map[string]answer{}}
}

// below chooses a number.
func (k *walk) below(n int) int {
	if len(k.choices) == 0 {
		return 0
	}
	first := k.choices[0]
	k.choices = k.choices[1:]
	return int(first) % n
}

func (k *walk) say(format string, args ...any) {
	k.said = append(k.said, time.Now().Format("04:05.000 ")+fmt.Sprintf(format, args...))
}

// wrong ends the walk.
func (k *walk) wrong(format string, args ...any) {
	k.t.Helper()
	k.t.Fatalf("%s, after\n%s", fmt.Sprintf(format, args...), strings.Join(k.said[max(0, len(k.said)-40):], "\n"))
}

func (k *walk) run() {
	k.size = []int{1, 2, 4, 8, 16}[k.below(5)]
	pool := k.pool()
	pool.Spec.Ranges = []v1alpha1.MACRange{{Start: mac(1).String(), End: mac(byte(k.size)).String()}}
	require.NoError(k.t, k.client.Update(k.ctx, pool))
	k.startJanitor()
	for i := range k.below(3) {
		k.start(fmt.Sprint("r", i+2))
	}
	for len(k.choices) > 0 {
		k.step()
	}
	k.heal()
	k.wait(time.Minute)
	for _, o := range k.refused {
		k.insist(o)
	}
	k.store(func(answer) bool { return true })
}

func (k *walk) step() {
	switch k.below(12) {
	case 0, 1, 2, 3:
		var orders []order
		for range 1 + k.below(3) {
			orders = append(orders, k.creation())
		}
		k.ask(orders...)
	case 4, 5:
		if name := k.idleVM(); name != "" {
			k.say("%s is deleted", name)
			k.remove(vmKind(), name)
			delete(k.vms, name)
		}
	case 6:
		if name := k.idleVM(); name != "" {
			k.change(name)
		}
	case 7:
		k.move()
	case 8, 9:
		if n := len(k.refused); n > 0 {
			o := k.refused[n-1]
			k.refused = k.refused[:n-1]
			k.ask(o)
		}
	case 10:
		k.fail()
	default:
		k.heal()
	}
	k.store(func(answer) bool { return k.below(2) == 0 })
	k.wait([]time.Duration{0, 50 * time.Millisecond, time.Second, 4 * time.Second, 20 * time.Second}[k.below(5)])
}

// creation is the order of a new VM.
func (k *walk) creation() order {
	k.asked++
	o := order{holder: vmNamed(fmt.Sprint("vm", k.asked))}
	if k.below(4) == 0 {
		o.holder.Name, o.holder.GenerateName, o.holder.Claim = "", o.holder.Name, o.holder.Name
	}
	for i := range 1 + k.below(2) {
		n := k.nic()
		if n.Interface = fmt.Sprint("net", i); i > 0 && n.MAC == o.asks[0].MAC {
			n.MAC = macpool.MAC{}
		}
		o.asks = append(o.asks, n)
	}
	return o
}

// change has a VM ask for one more interface, perhaps in the place of another.
func (k *walk) change(name string) {
	kept, left := k.vms[name], []macpool.MAC(nil)
	if len(kept) > 0 && k.below(2) == 0 {
		kept, left = kept[1:], kept[:1]
	}
	if n := k.nic(); !slices.Contains(kept, n.MAC) {
		k.ask(order{vmNamed(name), kept, []macpool.Ask{n}, left})
	}
}

// nic is an interface that asks for any address, or for one of the pool.
func (k *walk) nic() macpool.Ask {
	k.asked++
	a := macpool.Ask{Interface: fmt.Sprint("added", k.asked)}
	if k.below(4) == 0 {
		a.MAC = mac(byte(1 + k.below(k.size)))
	}
	return a
}

// replica chooses one.
func (k *walk) replica() string {
	names := slices.Sorted(maps.Keys(k.replicas))
	return names[k.below(len(names))]
}

// idleVM chooses a VM that no answer is on its way to; empty if there is none.
func (k *walk) idleVM() string {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(k.vms)), func(name string) bool {
		_, busy := k.answered[name]
		return busy
	})
	if len(names) == 0 {
		return ""
	}
	return names[k.below(len(names))]
}

// move has a VM give up an address, which another asks for.
func (k *walk) move() {
	from, to := k.idleVM(), k.idleVM()
	if from == to || len(k.vms[from]) == 0 {
		return
	}
	m := k.vms[from][0]
	k.say("%s gives up %s", from, m)
	k.vms[from] = k.vms[from][1:]
	k.put(newVM(from, k.vms[from]...))
	k.ask(order{vmNamed(to), k.vms[to], []macpool.Ask{{Interface: "moved", MAC: m}}, nil})
}

// ask has replicas answer orders at the same time.
func (k *walk) ask(orders ...order) {
	macs, errs := make([][]macpool.MAC, len(orders)), make([]error, len(orders))
	var all sync.WaitGroup
	for i, o := range orders {
		name := k.replica()
		k.say("%s: %s", name, o)
		all.Go(func() {
			r := k.replicas[name]
			ctx, cancel := context.WithTimeout(k.ctx, 5*time.Second)
			defer cancel()
			rule, err := r.pools.For("default")
			if err != nil {
				errs[i] = macpool.ErrNotReady
				return
			}
			var grant macpool.Grant
			grant, errs[i] = r.ledger.Assign(
				ctx, macpool.Request{Holder: o.holder, Pool: rule.Pool, Asks: o.asks, Kept: o.kept, Left: o.left},
			)
			macs[i] = grant.MACs
		})
	}
	all.Wait()
	for i, o := range orders {
		if errs[i] == nil {
			k.say("%s and gets %v", o, macs[i])
			k.judge(o, macs[i])
			k.answered[o.vm()] = answer{o, macs[i], time.Now()}
		}
	}
	for i, o := range orders { // what the others got may be why
		if errs[i] == nil {
			continue
		}
		k.refusals++
		k.say("%s and is refused: %v", o, errs[i])
		if !k.final(o, errs[i]) && k.vms[o.vm()] == nil {
			k.refused = append(k.refused, o)
		}
	}
}

// judge checks that nothing that an order was given is or is about to be another's, or is had twice.
func (k *walk) judge(o order, macs []macpool.MAC) {
	k.t.Helper()
	for i, m := range macs {
		if vm := k.userOf(m); vm != "" && vm != o.vm() {
			k.wrong("%s is given to %s and is that of %s", m, o.vm(), vm)
		}
		if slices.Contains(o.kept, m) || slices.Contains(macs[:i], m) {
			k.wrong("%s is given to %s twice", m, o.vm())
		}
	}
}

// userOf is the VM that has an address or is about to have it.
func (k *walk) userOf(m macpool.MAC) string {
	for name, macs := range k.vms {
		if slices.Contains(macs, m) {
			return name
		}
	}
	for name, a := range k.answered {
		if slices.Contains(a.macs, m) {
			return name
		}
	}
	return ""
}

// final reports whether an order was refused for good, and checks that there is a reason.
func (k *walk) final(o order, err error) (is bool) {
	k.t.Helper()
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	for _, err := range all {
		var taken *macpool.TakenError
		var exhausted *macpool.ExhaustedError
		switch {
		case errors.As(err, &taken):
			if is = true; k.userOf(taken.MAC) == "" {
				k.wrong("%s, but has it not", err)
			}
		case errors.As(err, &exhausted) && !exhausted.Passing():
			if is = true; k.used()+len(o.asks)-len(o.left) <= k.size {
				k.wrong("%s for %s, but %d are used", err, o, k.used())
			}
		}
	}
	return is
}

// used is the number of addresses of the pool that VMs have or are about to have.
func (k *walk) used() (n int) {
	for i := range k.size {
		if k.userOf(mac(byte(i+1))) != "" {
			n++
		}
	}
	return n
}

// insist asks until an order is answered for good.
func (k *walk) insist(o order) {
	k.t.Helper()
	for range 120 {
		k.refused = nil
		if k.ask(o); len(k.refused) == 0 {
			return
		}
		k.store(func(answer) bool { return true })
		k.wait(2 * time.Second)
	}
	k.wrong("%s for minutes, in vain; %d of %d are used", o, k.used(), k.size)
}

// store has what the API server waits with stored, or rejected by others.
func (k *walk) store(now func(answer) bool) {
	for _, name := range slices.Sorted(maps.Keys(k.answered)) {
		a := k.answered[name]
		if !now(a) {
			continue
		}
		delete(k.answered, name)
		_, there := k.vms[name]
		if update := a.holder.Name != "" && len(a.kept) > 0; update && !there || k.below(8) == 1 {
			k.say("%s is rejected", name)
			continue
		}
		k.vms[name] = slices.Concat(a.kept, a.macs)
		k.say("%s is stored with %v", name, k.vms[name])
		k.put(newVM(name, k.vms[name]...))
	}
}

// wait lets time go by, in which no answer becomes older than the API server waits.
func (k *walk) wait(d time.Duration) {
	k.store(func(a answer) bool { return time.Since(a.at)+d > 30*time.Second })
	k.pass(d)
}
