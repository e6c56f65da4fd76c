// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/ledger"
)

// blockWrites has the writes of blocks counted.
func (w *world) blockWrites() *atomic.Int64 {
	var writes atomic.Int64
	w.fail(func(r *http.Request) error {
		if strings.Contains(r.URL.Path, "/macblocks") && r.Method != http.MethodGet {
			writes.Add(1)
		}
		return nil
	})
	return &writes
}

func TestManyVMsShareTheWritesOfTheJanitor(t *testing.T) {
	const vms = 400
	address := func(n int) macpool.MAC { return macpool.MAC{0x52, 0x54, 0, 0, byte(n >> 8), byte(n)} }
	tell(t, func(w *world) {
		name := func(i int) string { return fmt.Sprint("vm", i) }
		for i := range vms {
			w.create(newVM(name(i), address(2*i), address(2*i+1)))
		}
		w.start("r1")
		writes := w.blockWrites()
		w.startJanitor()
		assert.True(t, w.janitor.Imported())
		assert.EqualValues(t, 4, writes.Swap(0), "800 addresses are in 4 blocks")
		assert.Equal(t, "VirtualMachine default/vm399", w.holderOf(address(799)))

		w.pass(2 * ledger.MaxAdmission)
		for i := range vms {
			w.remove(vmKind(), name(i))
		}
		w.pass(15 * time.Second)
		assert.Empty(t, w.holderOf(address(0)))
		assert.Empty(t, w.holderOf(address(799)))
		assert.LessOrEqual(t, writes.Load(), int64(12), "twice half a block, and the deletion of those that are empty")
	})
}

func TestASubjectIsNotDecidedOnAgainWhileItsEditsAreNotWritten(t *testing.T) {
	tell(t, func(w *world) {
		w.create(newVM("vma", mac(1)))
		w.startJanitor()
		w.pass(2 * ledger.MaxAdmission)
		w.fail(func(r *http.Request) error {
			if strings.Contains(r.URL.Path, "/macblocks") && r.Method != http.MethodGet {
				return http.ErrServerClosed
			}
			return nil
		})
		w.remove(vmKind(), "vma")
		w.pass(2 * time.Minute)
		assert.Equal(t, 1, strings.Count(w.logged(), "Address freed"))
		w.fail(nil)
		w.pass(15 * time.Second)
		assert.Empty(t, w.holderOf(mac(1)))
	})
}

// A sweep works on what it has read, while others go on.
func TestABlockThatFilledUpSinceItWasSeenEmptyIsNotDeleted(t *testing.T) {
	tell(t, func(w *world) {
		w.startJanitor()
		j := w.janitor
		w.stop()
		m, holder := mac(1), macpool.Holder{Object: vmNamed("vma"), Interface: "net"}
		edit := func(alter func(*macpool.Block)) { require.NoError(w.t, j.Ledger.Edit(w.ctx, m.Prefix(), alter)) }
		edit(func(b *macpool.Block) { b.Adopt(m, holder, j.Ledger.Now()) })
		edit(func(b *macpool.Block) {
			hold, _ := b.Entry(m).HoldOf(holder.Object)
			b.Release(m, hold)
		})
		seen := j.Ledger.Blocks()
		require.Len(w.t, seen, 1)
		j.dropEmpty(w.ctx, seen)
		w.create(newVM("vma", m))
		edit(func(b *macpool.Block) { b.Adopt(m, holder, j.Ledger.Now()) })
		j.dropEmpty(w.ctx, seen)
		w.pass(time.Second)
		assert.Equal(w.t, vma, w.holderOf(m))
		assert.Equal(w.t, seen[0].ID, j.Ledger.Blocks()[0].ID, "it is the same one, not one that was written again")
	})
}

func TestAnAddressIsPassedOnInABlockThatRecordsNoMoreHolders(t *testing.T) {
	now, shared, passed := time.Now(), macpool.MAC{2}, macpool.MAC{2, 0, 0, 0, 0, 1}
	holder := func(kind, name string) macpool.Holder {
		return macpool.Holder{Object: macpool.Object{Kind: kind, Namespace: "default", Name: name}, Interface: "net"}
	}
	b := macpool.NewBlock(shared.Prefix())
	for i := range 1100 {
		b.Adopt(shared, holder(macpool.KindVM, fmt.Sprint("vm", i)), now)
	}
	b.Adopt(passed, holder(macpool.KindVM, "vma"), now)
	vma, _ := b.Entry(passed).HoldOf(holder(macpool.KindVM, "vma").Object)
	edit{mac: passed, release: vma, adopt: holder(macpool.KindVMI, "vma")}.apply(b, now)
	_, held := b.Entry(passed).HoldOf(holder(macpool.KindVMI, "vma").Object)
	assert.True(t, held)
}
