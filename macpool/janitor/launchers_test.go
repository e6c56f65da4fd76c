// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/ledger"
	"github.com/bridgehead-dev/bridgehead/nad"
)

// newLauncher is the pod of a VM of a name, as KubeVirt makes it.
func newLauncher(machine, phase string, m macpool.MAC) *unstructured.Unstructured {
	o := newPod("virt-launcher-"+machine+"-x1y2z", phase, m)
	o.SetLabels(map[string]string{nad.LauncherLabel: nad.Launcher})
	_ = unstructured.SetNestedSlice(o.Object, []any{map[string]any{
		"apiVersion": "kubevirt.io/v1", "kind": macpool.KindVMI, "name": machine, "controller": true,
	}}, "metadata", "ownerReferences")
	return o
}

func TestAnAddressIsNotFreeWhileThePodOfItsVMHasIt(t *testing.T) {
	orphan := newLauncher("vma", "Running", mac(1))
	orphan.SetOwnerReferences(nil)
	annotations := orphan.GetAnnotations()
	annotations[domainAnnotation] = "vma"
	orphan.SetAnnotations(annotations)
	for name, c := range map[string]struct {
		pod  *unstructured.Unstructured
		held bool
	}{
		"as the instance was taken from it":   {pod: newLauncher("vma", "Running", mac(1)), held: true},
		"as its node does not answer":         {pod: newLauncher("vma", "Unknown", mac(1)), held: true},
		"as its owner was taken from it, too": {pod: orphan, held: true},
		"unless it has ended":                 {pod: newLauncher("vma", "Failed", mac(1))},
		"unless it has another address":       {pod: newLauncher("vma", "Running", mac(2))},
		"unless it is another's":              {pod: newLauncher("other", "Running", mac(1))},
	} {
		told(t, name, func(w *world) {
			w.create(newVM("vma", mac(1)))
			w.create(newVMI("vma", "Running", true, mac(1)))
			w.create(c.pod.DeepCopy())
			w.startJanitor()
			w.pass(ledger.MaxAdmission + sweepInterval)
			w.remove(vmiKind(), "vma")
			w.remove(vmKind(), "vma")
			w.pass(grown)
			if !c.held {
				assert.Empty(w.t, w.holderOf(mac(1)))
				return
			}
			assert.Equal(w.t, vma, w.holderOf(mac(1)))
			_, err := w.assign("r1", vmNamed("vmb"), mac(1))
			var taken *macpool.TakenError
			require.ErrorAs(w.t, err, &taken, "the ledger asks as well")
			w.remove(podKind(), c.pod.GetName())
			w.pass(sweepInterval)
			assert.Empty(w.t, w.holderOf(mac(1)))
		})
	}
}
