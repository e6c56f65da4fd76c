// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/bridgehead-dev/bridgehead/webhooks/corpus"
)

func TestARefusalSaysHowToMoveAnAddressBetweenVMs(t *testing.T) {
	const mac = "52:54:00:00:00:01"
	vm := func(macs string) json.RawMessage {
		return json.RawMessage(`{"metadata": {"namespace": "home", "name": "to"}, "spec": {"template": {"spec": {
			"domain": {"devices": {"interfaces": [{"name": "net", "bridge": {}` + macs + `}]}},
			"networks": [{"name": "net", "multus": {"networkName": "l2"}}]}}}}`)
	}
	update := corpus.Case{
		Operation: admissionv1.Update, Object: vm(`,"macAddress":"` + mac + `"`), OldObject: vm(""), Home: "home",
	}
	for name, c := range map[string]struct {
		holder string
		says   bool
	}{
		"one in the same namespace":                  {holder: "home/from", says: true},
		"one in another namespace, which is private": {holder: "other/from"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.hold(mac, c.holder, "net")
			body, err := update.Review("uid")
			require.NoError(t, err)
			refused := w.post(body)
			require.False(t, refused.Allowed)
			assert.NotContains(t, refused.Result.Message, OnTakenAnnotation, "it does nothing to a VM that exists")
			if c.says {
				assert.Contains(t, refused.Result.Message, "remove it from VirtualMachine from first (apply that VM before "+
					"this one, or apply both again), and restart that VM if it runs, as it has the address until then; two that swap ")
			} else {
				assert.NotContains(t, refused.Result.Message, "from")
			}
			w.flush()
		})
	}
}
