// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

func TestAnInterfaceThatIsRenamedHasTheAddressOfBeforeWhereThePoolIsFull(t *testing.T) {
	for name, then := range map[string]func(w *world){
		"if the change comes to be": func(w *world) { w.put(newVM("vm0", mac(1))) },
		"if it is refused after us": func(*world) {},
		"if the VM is deleted beside it": func(w *world) {
			w.remove(vmKind(), "vm0")
			w.pass(grown)
			assert.Equal(w.t, mac(1), w.admitted("r2", "next"))
		},
	} {
		told(t, name, func(w *world) {
			w.startFull(2)
			grants := map[string]macpool.MAC{}
			for _, replica := range []string{"r1", "r2"} {
				r := w.replicas[replica]
				rule, err := r.pools.For("default")
				require.NoError(w.t, err, replica)
				grant, err := r.ledger.Assign(w.ctx, macpool.Request{
					Holder: vmNamed("vm0"), Pool: rule.Pool, Asks: []macpool.Ask{{Interface: "renamed"}},
					Left: []macpool.MAC{mac(1)},
				})
				require.NoError(w.t, err, replica)
				grants[replica] = grant.MACs[0]
			}
			assert.Equal(w.t, map[string]macpool.MAC{"r1": mac(1), "r2": mac(1)}, grants)
			for _, m := range []macpool.MAC{{}, mac(1)} {
				_, err := w.assign("r2", vmNamed("next"), m)
				require.Error(w.t, err)
			}
			then(w)
		})
	}
}
