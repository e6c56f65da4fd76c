// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"errors"
	"net/http"
	"strings"

	"github.com/stretchr/testify/require"
)

const unwritable = "blocks cannot be written"

// fail has one thing fail, until it is healed. Blocks may be deleted while something else is amiss.
func (k *walk) fail() {
	if k.amiss != "" {
		if k.below(2) == 0 && k.amiss != unwritable {
			k.deleteBlocks()
		}
		return
	}
	name := k.replica()
	r := k.replicas[name]
	switch k.below(7) {
	case 0:
		k.amiss, k.mend = name+" is cut off", func() { r.lost.Store(false) }
		r.lost.Store(true)
	case 1:
		k.amiss, k.mend = name+" hears no answers", func() { r.deaf.Store(false) }
		r.deaf.Store(true)
	case 2:
		k.amiss, k.mend = "watches of blocks are stalled", func() { k.api.Stall(blockKind(), false) }
		k.api.Stall(blockKind(), true)
	case 3:
		k.amiss, k.mend = "watches of VMs are stalled", func() { k.api.Stall(vmKind(), false) }
		k.api.Stall(vmKind(), true)
	case 4:
		k.amiss, k.mend = unwritable, func() { k.world.fail(nil) }
		k.world.fail(func(r *http.Request) error {
			if r.Method != http.MethodGet && strings.Contains(r.URL.Path, "/macblocks") {
				return errors.New("connection refused")
			}
			return nil
		})
	case 5:
		k.deleteBlocks()
		return
	default:
		k.kill(name)
		return
	}
	k.say("%s", k.amiss)
}

// deleteBlocks has somebody delete all blocks by hand.
func (k *walk) deleteBlocks() {
	k.say("the blocks are deleted")
	for _, b := range k.blocks() {
		require.NoError(k.t, k.client.Delete(k.ctx, k.block(b.Prefix)))
	}
}

// kill has a replica die and another come.
func (k *walk) kill(name string) {
	k.say("%s dies", name)
	if name == "r1" {
		k.stop()
	}
	k.replicas[name].kill()
	delete(k.replicas, name)
	if name == "r1" {
		k.startJanitor()
		return
	}
	k.start(name)
}

func (k *walk) heal() {
	if k.amiss != "" {
		k.say("no more: %s", k.amiss)
		k.mend()
		k.amiss = ""
	}
}
