// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/cluster/apimodel"
	"github.com/bridgehead-dev/bridgehead/nad"
)

func mac(n byte) macpool.MAC { return macpool.MAC{0x52, 0x54, 0, 0, 0, n} }

const (
	vma   = "VirtualMachine default/vma"
	alone = "VirtualMachineInstance default/alone"
	poda  = "Pod default/poda"
)

func TestImportStories(t *testing.T) {
	for name, story := range map[string]func(w *world){
		"what exists is in the ledger before the janitor says that it has imported": func(w *world) {
			w.create(newVM("vma", mac(1), mac(2)))
			w.create(newVMI("alone", "Running", false, mac(3)))
			w.startJanitor()
			assert.True(w.t, w.janitor.Imported())
			assert.Equal(w.t, vma, w.holderOf(mac(1)))
			assert.Equal(w.t, vma, w.holderOf(mac(2)))
			assert.Equal(w.t, alone, w.holderOf(mac(3)))
			assert.Equal(w.t, "r1", w.pool().Status.ImportedBy)
			assert.True(w.t, meta.IsStatusConditionTrue(w.pool().Status.Conditions, v1alpha1.ConditionImported))
		},
		"what is created past admission is taken in by watch": func(w *world) {
			w.startJanitor()
			w.create(newVM("vma", mac(1)))
			w.pass(2 * debounce)
			assert.Equal(w.t, vma, w.holderOf(mac(1)))
		},
		"an address that is added past admission is taken in": func(w *world) {
			w.create(newVM("vma", mac(1)))
			w.startJanitor()
			w.put(newVM("vma", mac(1), mac(2)))
			w.pass(2 * debounce)
			assert.Equal(w.t, vma, w.holderOf(mac(2)))
		},
		"pods count where their namespace opted in": func(w *world) {
			w.create(newPod("poda", "Running", mac(1)))
			w.startJanitor()
			assert.Empty(w.t, w.holderOf(mac(1)))
			w.optIn()
			w.pass(debounce + time.Second/10) // before a sweep sees it
			assert.Equal(w.t, poda, w.holderOf(mac(1)))
		},
		"interfaces that live on the address of their pod, or on one that OVN makes, do not count": func(w *world) {
			w.create(vmOn("vma", map[string]any{"pod": map[string]any{}}, "bridge", mac(1)))
			w.create(vmOn("vmb", map[string]any{"pod": map[string]any{}}, "bridge", mac(1)))
			w.create(vmOn("vmc", map[string]any{"pod": map[string]any{}}, "masquerade", mac(2)))
			udn := newVMI("alone", "Running", false, mac(3))
			udn.Object["status"] = map[string]any{"phase": "Running", "interfaces": []any{
				map[string]any{"name": "net0", "mac": "0a:58:0a:00:00:01"}, // OVN's
				map[string]any{"name": "net0", "mac": mac(4).String()},
				map[string]any{"name": "docker0", "mac": mac(5).String()}, // the guest's own affair
			}}
			w.create(udn)
			w.startJanitor()
			assert.Empty(w.t, w.holderOf(mac(1)))
			assert.Equal(w.t, "VirtualMachine default/vmc", w.holderOf(mac(2)))
			assert.Equal(w.t, alone, w.holderOf(mac(3)))
			assert.Equal(w.t, alone, w.holderOf(mac(4)))
			assert.Empty(w.t, w.holderOf(mac(5)))
			assert.Empty(w.t, w.holderOf(macpool.MAC{0x0a, 0x58, 0x0a, 0, 0, 1}))
		},
		"pods on a network that takes no address do not count": func(w *world) {
			w.alter = func(j *Janitor) { j.TakesMAC = func(i nad.Interface) bool { return i.Ref.Name != "l2" } }
			w.optIn()
			w.create(newPod("poda", "Running", mac(1)))
			w.startJanitor()
			assert.Empty(w.t, w.holderOf(mac(1)))
			w.remove(podKind(), "poda")
		},
		"pods count everywhere but where their namespace opted out, if that is wanted": func(w *world) {
			var err error
			w.podNamespaces, err = labels.Parse("mutatepods.kubemacpool.io!=ignore")
			require.NoError(w.t, err)
			w.create(newPod("poda", "Running", mac(1)))
			w.startJanitor()
			assert.Equal(w.t, poda, w.holderOf(mac(1)))
			w.namespace(map[string]string{"mutatepods.kubemacpool.io": "ignore"})
			w.create(newPod("podb", "Running", mac(2)))
			w.pass(2 * sweepInterval)
			assert.Empty(w.t, w.holderOf(mac(2)))
		},
		"an address of the primary interface counts where the pod asks for it": func(w *world) {
			w.alter = func(j *Janitor) {
				j.TakesMAC = func(i nad.Interface) bool { return i.Primary && i.Ref == nad.Ref{Namespace: "lan", Name: "l2"} }
			}
			w.optIn()
			p := newPod("poda", "Running", mac(1))
			p.SetAnnotations(map[string]string{
				nad.DefaultNetworkAnnotation: fmt.Sprintf(`[{"name":"l2","namespace":"lan","mac":%q}]`, mac(1)),
			})
			w.create(p)
			w.startJanitor()
			assert.Equal(w.t, poda, w.holderOf(mac(1)))
		},
		"a pod on the network of its node has no address, whatever its annotation says": func(w *world) {
			w.optIn()
			p := newPod("poda", "Running", mac(1))
			p.Object["spec"] = map[string]any{"hostNetwork": true}
			w.create(p)
			w.startJanitor()
			assert.Empty(w.t, w.holderOf(mac(1)))
			of := macpool.Object{Kind: macpool.KindPod, Namespace: "default", Name: "poda"}
			had, err := Objects{Reader: w.client}.Having(w.ctx, of, mac(1))
			require.NoError(w.t, err)
			assert.Empty(w.t, had)
		},
		"an address that a VM asks for its pod counts, where nothing takes its place": func(w *world) {
			w.alter = func(j *Janitor) { j.TakesMAC = func(i nad.Interface) bool { return i.Ref.Name != "udn" } }
			onPod := func(name string, m macpool.MAC) *unstructured.Unstructured {
				return vmOn(name, map[string]any{"pod": map[string]any{}}, "masquerade", m)
			}
			w.create(handsOn(onPod("vma", mac(1)), nad.DefaultNetworkAnnotation, "l2", mac(2)))
			w.create(handsOn(onPod("vma-more", mac(3)), nad.NetworksAnnotation, "l2", mac(4)))
			w.create(handsOn(onPod("vma-ovn", mac(5)), nad.DefaultNetworkAnnotation, "udn", mac(6)))
			w.create(handsOn(newVM("vmb", mac(7)), nad.NetworksAnnotation, "l2", mac(8)))
			w.create(handsOn(vmOn("vmb-first", map[string]any{
				"multus": map[string]any{"networkName": "l2", "default": true},
			}, "bridge", mac(9)), nad.DefaultNetworkAnnotation, "l2", mac(10)))
			instance := newVMI("alone", "Running", false, mac(11))
			instance.SetAnnotations(map[string]string{nad.DefaultNetworkAnnotation: asking("l2", mac(12))})
			w.create(instance)
			w.startJanitor()
			assert.Equal(w.t, vma, w.holderOf(mac(1)))
			assert.Equal(w.t, vma, w.holderOf(mac(2)))
			assert.Equal(w.t, vma+"-more", w.holderOf(mac(4)))
			assert.Empty(w.t, w.holderOf(mac(6)), "that network gives it")
			assert.Empty(w.t, w.holderOf(mac(8)), "the pod names the networks of the VM")
			assert.Empty(w.t, w.holderOf(mac(10)), "the pod names the default network of the VM")
			assert.Equal(w.t, alone, w.holderOf(mac(12)))
			had, err := Objects{Reader: w.client}.Having(w.ctx, vmNamed("vma"), mac(3), mac(2))
			require.NoError(w.t, err)
			assert.Equal(w.t, []macpool.MAC{mac(2)}, had, "its pod may ask for it")
			w.remove(vmKind(), "vma-ovn") // whom a look at everything that exists takes for a holder
		},
		"what has ended has no address": func(w *world) {
			w.optIn()
			w.create(newPod("poda", "Succeeded", mac(1)))
			w.create(newPod("podb", "Failed", mac(2)))
			w.create(newVMI("alone", "Succeeded", false, mac(3)))
			w.create(newVMI("other", "Failed", false, mac(4)))
			w.startJanitor()
			for n := range byte(4) {
				assert.Empty(w.t, w.holderOf(mac(n+1)))
			}
		},
		"the import waits for the API server, and says nothing before it is complete": func(w *world) {
			w.create(newVM("vma", mac(1)))
			w.start("r1")
			w.fail(func(r *http.Request) error {
				if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/macblocks") {
					return errors.New("connection refused")
				}
				return nil
			})
			w.startJanitor()
			w.pass(time.Minute)
			assert.False(w.t, w.janitor.Imported())
			assert.Contains(w.t, w.logged(), "Importing the addresses of 1 objects goes on, retrying")
			assert.Contains(w.t, w.logged(), "connection refused")
			assert.Empty(w.t, w.pool().Status.ImportedBy)
			w.fail(nil)
			w.pass(5 * time.Second)
			assert.True(w.t, w.janitor.Imported())
			assert.Equal(w.t, vma, w.holderOf(mac(1)))
		},
		"addresses that several VMs have are all imported, and nobody loses": func(w *world) {
			w.sharing[mac(1)] = true
			w.create(newVM("vma", mac(1)))
			w.create(newVM("vmb", mac(1)))
			w.startJanitor()
			assert.Equal(w.t, vma+", VirtualMachine default/vmb", w.holderOf(mac(1)))
		},
		"objects of another shape keep nobody from starting, and what can be read of them counts": func(w *world) {
			odd := newVM("odd", mac(1), mac(2))
			interfaces, _, err := unstructured.NestedSlice(
				odd.Object, "spec", "template", "spec", "domain", "devices", "interfaces",
			)
			require.NoError(w.t, err)
			interfaces[0].(map[string]any)["macAddress"] = int64(5)
			require.NoError(w.t, unstructured.SetNestedSlice(
				odd.Object, interfaces, "spec", "template", "spec", "domain", "devices", "interfaces",
			))
			w.create(odd)
			w.create(kubevirtObject(macpool.KindVM, "list", map[string]any{"template": []any{"x"}}, nil))
			w.create(kubevirtObject(
				macpool.KindVMI, "text", map[string]any{"domain": "x"}, map[string]any{"phase": "Running", "interfaces": "x"},
			))
			w.create(newVM("vma", mac(3)))
			w.startJanitor()
			assert.Equal(w.t, "VirtualMachine default/odd", w.holderOf(mac(2)))
			assert.Equal(w.t, vma, w.holderOf(mac(3)))
			w.pass(grown)
			assert.Equal(w.t, "VirtualMachine default/odd", w.holderOf(mac(2)), "a live read takes it as it is, too")
		},
		"names of interfaces that no block has room for keep no import from its end": func(w *world) {
			w.api.Validate = func(k apimodel.Kind, o map[string]any) error {
				text, err := json.Marshal(o)
				require.NoError(w.t, err)
				if k == blockKind() && len(text) > 64<<10 {
					return apierrors.NewRequestEntityTooLargeError("etcd takes no more")
				}
				return nil
			}
			w.optIn()
			name := strings.Repeat("x", 20<<10)
			for n := range byte(5) {
				p := newPod(fmt.Sprint("pod", n), "Running", mac(n))
				p.SetAnnotations(map[string]string{
					nad.StatusAnnotation: fmt.Sprintf(`[{"name":"default/l2","interface":%q,"mac":%q}]`, name, mac(n)),
				})
				w.create(p)
			}
			w.startJanitor()
			assert.True(w.t, w.janitor.Imported())
			assert.Equal(w.t, "Pod default/pod4", w.holderOf(mac(4)))
		},
		"a block that cannot be written keeps the import from its end, and nothing else from being done": func(w *world) {
			other := func(n byte) macpool.MAC { return macpool.MAC{0x52, 0x54, 0, 0, 1, n} }
			w.create(newVM("vma", mac(1)))
			w.create(newVM("vmb", other(1)))
			w.startJanitor()
			w.stop()
			w.create(newVM("vmc", mac(2)))
			w.create(newVM("vmd", other(2)))
			w.refuseWrites(mac(1).Prefix())
			w.startJanitor()
			assert.Equal(w.t, "VirtualMachine default/vmd", w.holderOf(other(2)))
			w.create(newVM("vme", other(3)))
			w.pass(grown)
			assert.Equal(w.t, "VirtualMachine default/vme", w.holderOf(other(3)))
			w.remove(vmKind(), "vmb")
			w.pass(2 * debounce)
			assert.Empty(w.t, w.holderOf(other(1)))
			assert.False(w.t, w.janitor.Imported())
			w.fail(nil)
			w.pass(2 * debounce)
			assert.True(w.t, w.janitor.Imported())
			assert.Equal(w.t, "VirtualMachine default/vmc", w.holderOf(mac(2)))
		},
		"a second janitor finds everything in place": func(w *world) {
			w.create(newVM("vma", mac(1)))
			w.startJanitor()
			w.stop()
			version := w.blocks()[0].Version
			w.startJanitor()
			assert.Equal(w.t, version, w.blocks()[0].Version, "nothing was written")
		},
	} {
		told(t, name, story)
	}
}

func TestKubeVirtIsLookedForUntilItIsThere(t *testing.T) {
	tellWithout(t, func(w *world) {
		w.startJanitor()
		assert.True(w.t, w.janitor.Imported(), "there is no VM to import")
		w.api.Serve(vmKind(), vmiKind())
		w.client = w.newClient()
		w.create(newVM("vma", mac(1)))
		w.pass(2 * kubevirtPoll)
		assert.Equal(w.t, vma, w.holderOf(mac(1)))
		w.pass(sweepInterval)
		w.create(newVM("vmb", mac(2)))
		w.pass(debounce + time.Second)
		assert.NotEmpty(w.t, w.holderOf(mac(2)), "from then on it is seen at once, and not by the next sweep")
		w.remove(vmKind(), "vma")
		w.pass(grown)
		assert.Empty(w.t, w.holderOf(mac(1)))
	})
}

func TestVMsAreImportedWhereInstancesAreNotKnownYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		newWorld(t, vmKind()).play(func(w *world) {
			w.create(newVM("vma", mac(1)))
			w.startJanitor()
			assert.True(w.t, w.janitor.Imported())
			assert.Equal(w.t, vma, w.holderOf(mac(1)))
			w.create(newVM("vmb", mac(2)))
			w.pass(debounce + time.Second)
			assert.NotEmpty(w.t, w.holderOf(mac(2)), "it is seen by watch")

			had, err := Objects{Reader: w.client}.Having(w.ctx, vmNamed("vma"), mac(1))
			require.NoError(w.t, err)
			assert.Len(w.t, had, 1)
			_, err = Objects{Reader: w.client}.Having(w.ctx, vmNamed("vma"), mac(1), mac(2))
			require.Error(w.t, err, "its instance may have the other")

			w.start("r2")
			w.admitted("r2", "vmc")
			w.pass(time.Second)
			name, _ := w.replicas["r2"].lease.Replica()
			w.replicas["r2"].kill()
			w.pass(dead + 2*sweepInterval)
			assert.Empty(w.t, w.reservedBy(name), "what a dead replica reserved is free again")

			w.api.Serve(vmiKind())
			w.client = w.newClient()
			w.create(newVMI("alone", "Running", false, mac(3)))
			w.pass(2 * kubevirtPoll)
			assert.Equal(w.t, alone, w.holderOf(mac(3)))
			assert.Equal(w.t, 1, strings.Count(w.logged(), "looking for the kinds that the API server does not know"))
		})
	})
}

func TestInstancesAreImportedWhereVMsAreNotKnownYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		newWorld(t, vmiKind()).play(func(w *world) {
			w.create(newVMI("alone", "Running", false, mac(3)))
			w.startJanitor()
			assert.Equal(w.t, alone, w.holderOf(mac(3)))
			w.api.Serve(vmKind())
			w.client = w.newClient()
			w.create(newVM("vma", mac(1)))
			w.pass(2 * kubevirtPoll)
			assert.Equal(w.t, vma, w.holderOf(mac(1)))
		})
	})
}

// A countingCache counts how often handlers for what happens to objects are asked to be registered.
type countingCache struct {
	cache.Cache
	asked int
}

func (c *countingCache) GetInformer(
	ctx context.Context, o client.Object, opts ...cache.InformerGetOption,
) (cache.Informer, error) {
	c.asked++
	return c.Cache.GetInformer(ctx, o, opts...)
}

func TestAnImportThatIsTriedAgainRegistersNoHandlerAgain(t *testing.T) {
	tell(t, func(w *world) {
		counting := &countingCache{}
		w.alter = func(j *Janitor) { counting.Cache, j.VMs = j.VMs, counting }
		w.startJanitor()
		before := counting.asked
		require.NotZero(t, before)
		w.create(newVM("vma", mac(1)))
		w.pass(0)
		finish, unknown, err := w.janitor.importVMs(w.ctx, &vm{}, &vmi{})
		require.NoError(t, err)
		require.NoError(t, finish())
		assert.Empty(t, unknown)
		assert.Equal(t, before, counting.asked)
		assert.Equal(t, vma, w.holderOf(mac(1)), "it is imported all the same")
	})
}
