// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	"sigs.k8s.io/yaml"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/webhooks/corpus"
)

func TestARefusalSaysHowToMoveAnAddressBetweenVMs(t *testing.T) {
	const mac = "52:54:00:00:00:01"
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
			refused := w.review(corpus.Case{
				Operation: admissionv1.Update, Object: vmWith(t, "name: to", mac), OldObject: vmWith(t, "name: to", ""),
			})
			require.False(t, refused.Allowed)
			assert.NotContains(t, refused.Result.Message, OnTakenAnnotation, "it does nothing to a VM that exists")
			if c.says {
				assert.Contains(t, refused.Result.Message, "give VirtualMachine from another one first, as it keeps this one "+
					"where its manifest names none (apply that VM before this one, or apply both again), and restart that VM if it "+
					"runs, as it has the address until then; two that swap ")
			} else {
				assert.NotContains(t, refused.Result.Message, "from")
			}
			w.flush()
		})
	}
}

func TestEachAddressThatIsTakenHasAdviceOfItsOwn(t *testing.T) {
	const first, second, private = "52:54:00:00:00:01", "52:54:00:00:00:02", "52:54:00:00:00:03"
	w := newWorld(t)
	w.hold(first, "home/first", "net")
	w.hold(second, "home/second", "net")
	w.hold(private, "other/private", "net")
	refused := w.review(corpus.Case{Operation: admissionv1.Create, Object: vmWith(t, "name: to", first, second, private)})
	require.False(t, refused.Allowed)
	causes := refused.Result.Details.Causes
	require.Len(t, causes, 3)
	for i, from := range []string{"first", "second"} {
		assert.Contains(t, causes[i].Message, "give VirtualMachine "+from+" another one first")
	}
	assert.NotContains(t, causes[2].Message, "to move it here")
	w.flush()
}

func TestNoRefusalAdvisesToShareWithWhatIsNoVM(t *testing.T) {
	const mac = "52:54:00:00:00:01"
	for name, c := range map[string]struct {
		holder    macpool.Object
		metadata  string // of the VM beside its name
		operation admissionv1.Operation
		shares    bool
	}{
		"a VM":         {holder: object("home/first"), shares: true},
		"a pod":        {holder: macpool.Object{Kind: macpool.KindPod, Namespace: "home", Name: "first"}},
		"an instance":  {holder: macpool.Object{Kind: macpool.KindVMI, Namespace: "home", Name: "first"}},
		"a hidden pod": {holder: macpool.Object{Kind: macpool.KindPod, Namespace: "other", Name: "first"}},
		"a hidden pod, which the VM names": {
			holder:   macpool.Object{Kind: macpool.KindPod, Namespace: "other", Name: "first"},
			metadata: ", annotations: {bridgehead.dev/share-mac: other/first}",
		},
		"a hidden instance, which is told as a VM": {
			holder: macpool.Object{Kind: macpool.KindVMI, Namespace: "other", Name: "first"}, shares: true,
		},
		"a pod, of a VM that is there": {
			holder: macpool.Object{Kind: macpool.KindPod, Namespace: "home", Name: "first"}, operation: admissionv1.Update,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.holdBy(mac, macpool.Holder{Object: c.holder, Interface: "net"})
			asks := corpus.Case{
				Operation: admissionv1.Create, User: corpus.Stranger, Object: vmWith(t, "name: to"+c.metadata, mac),
			}
			if c.operation == admissionv1.Update {
				asks.Operation, asks.OldObject = c.operation, vmWith(t, "name: to", "")
			}
			refused := w.review(asks)
			require.False(t, refused.Allowed)
			assert.Equal(t, c.shares, strings.Contains(refused.Result.Message, "share"), refused.Result.Message)
			assert.Equal(t, asks.Operation == admissionv1.Create, strings.Contains(refused.Result.Message, OnTakenAnnotation))
			w.flush()
		})
	}
}

func TestARefusalSaysWhatItTakesToShareAnAddress(t *testing.T) {
	const mac = "52:54:00:00:00:01"
	const shares = ", annotations: {bridgehead.dev/share-mac: "
	const generic = "bridgehead.dev/share-mac: <namespace>/<vm> shares one with a VM that you may change"
	const consent = "; to share it with VirtualMachine %s on purpose you must be allowed to update that VM, or it must have "
	const third = "two have it already and a third may not share it"
	for name, c := range map[string]struct {
		holder, second string // by <namespace>/<name>
		metadata, user string
		says, saysNot  string
	}{
		"a VM that names nobody": {
			holder: "home/first", metadata: "name: vm", says: generic, saysNot: third,
		},
		"one that may not": {
			holder: "other/first", metadata: "name: vm" + shares + "other/first}", user: corpus.Stranger,
			says: fmt.Sprintf(consent, "other/first") + "annotation bridgehead.dev/share-mac: home/vm", saysNot: generic,
		},
		"one that nobody can name yet": {
			holder: "other/first", metadata: "generateName: vm-" + shares + "other/first}", user: corpus.Stranger,
			says: fmt.Sprintf(consent[:len(consent)-1], "other/first") + ", once you set metadata.name of this one, annotation " +
				"bridgehead.dev/share-mac: home/<that name>", saysNot: generic,
		},
		"one that names another than has it": {
			holder: "home/first", metadata: "name: vm" + shares + "other/else}", user: corpus.Stranger,
			says: generic, saysNot: "other/else",
		},
		"one that names another, where who has it is private": {
			holder: "other/first", metadata: "name: vm" + shares + "other/else}", user: corpus.Stranger,
			says: fmt.Sprintf(consent, "other/else"), saysNot: "first",
		},
		"a third, whichever of the two it names": {
			holder: "home/first", second: "second", metadata: "name: vm" + shares + "home/second}", says: third, saysNot: "shares one",
		},
		"a third that names nobody": {
			holder: "home/first", second: "second", metadata: "name: vm", says: third, saysNot: "shares one",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.hold(mac, c.holder, "net")
			if c.second != "" {
				shared := w.review(corpus.Case{
					Operation: admissionv1.Create, Object: vmWith(t, "name: "+c.second+shares+c.holder+"}", mac),
				})
				require.True(t, shared.Allowed, "%v", shared.Result)
				w.exists[object("home/"+c.second)] = true
			}
			refused := w.review(corpus.Case{Operation: admissionv1.Create, User: c.user, Object: vmWith(t, c.metadata, mac)})
			require.False(t, refused.Allowed)
			assert.Contains(t, refused.Result.Message, c.says)
			assert.NotContains(t, refused.Result.Message, c.saysNot)
			w.flush()
		})
	}
}

// vmWith returns a VM in namespace home with interfaces net0, net1, ... that have these addresses; empty for none.
func vmWith(t testing.TB, metadata string, macs ...string) json.RawMessage {
	t.Helper()
	var interfaces, networks []string
	for i, mac := range macs {
		interfaces = append(interfaces, fmt.Sprintf(`{name: net%d, bridge: {}, macAddress: %q}`, i, mac))
		networks = append(networks, fmt.Sprintf(`{name: net%d, multus: {networkName: l2}}`, i))
	}
	raw, err := yaml.YAMLToJSON(fmt.Appendf(nil,
		`{metadata: {namespace: home, %s}, spec: {template: {spec: {domain: {devices: {interfaces: [%s]}}, networks: [%s]}}}}`,
		metadata, strings.Join(interfaces, ", "), strings.Join(networks, ", ")))
	require.NoError(t, err)
	return raw
}
