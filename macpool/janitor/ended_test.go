// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/nad"
)

// createNext has the next pod of a Job ask r2 for an address, zero for any, and run where it is given mac(1).
func (w *world) createNext(m macpool.MAC) error {
	next := macpool.Object{Kind: macpool.KindPod, Namespace: "default", GenerateName: "job-", Claim: "b"}
	if _, err := w.assign("r2", next, m); err != nil {
		return err
	}
	w.create(newPod("job-y", "Running", mac(1)))
	w.pass(grown)
	assert.Equal(w.t, "Pod default/job-y", w.holderOf(mac(1)))
	return nil
}

func TestWhatAPodHadThatEndedSoonAfterItsStart(t *testing.T) {
	for name, tc := range map[string]struct {
		generated  bool // the API server made the name of the pod
		has        macpool.MAC
		phase      string
		free, kept bool
	}{
		"is free at once, when it is done":                     {generated: true, has: mac(1), phase: "Succeeded", free: true},
		"is free at once, when it was evicted":                 {generated: true, has: mac(1), phase: "Failed", free: true},
		"is not while it runs":                                 {generated: true, has: mac(1), phase: "Running", kept: true},
		"is not where another of its name may be on its way":   {has: mac(1), phase: "Succeeded"},
		"is not where it was not had by the pod that is there": {generated: true, has: mac(2), phase: "Succeeded"},
	} {
		told(t, name, func(w *world) {
			w.optIn()
			w.startJanitor()
			w.start("r2")
			o := podObject(client.ObjectKey{Namespace: "default", Name: "job-xxxxx"})
			pod := newPod("job-xxxxx", "Running", mac(1))
			if tc.generated {
				o = macpool.Object{Kind: macpool.KindPod, Namespace: "default", GenerateName: "job-", Claim: "a"}
				pod.SetGenerateName("job-")
			}
			_, err := w.assign("r1", o, mac(1))
			require.NoError(w.t, err)
			w.create(pod)
			w.pass(2 * debounce)
			require.Equal(w.t, "Pod default/job-xxxxx", w.holderOf(mac(1)))
			ended := newPod("job-xxxxx", tc.phase, tc.has)
			ended.SetGenerateName(pod.GetGenerateName())
			w.put(ended)
			err = w.createNext(mac(1))
			if tc.free {
				require.NoError(w.t, err)
				return
			}
			var taken *macpool.TakenError
			var busy *macpool.BusyError
			if tc.kept {
				require.ErrorAs(w.t, err, &taken)
			} else {
				require.ErrorAs(w.t, err, &busy)
			}
		})
	}
}

func TestWhatAPodHadThatEndedBeforeTheJanitorSawIt(t *testing.T) {
	for name, tc := range map[string]struct {
		claim, phase string
		has          macpool.MAC
		second, free bool
	}{
		"is free at once, when it is done":                          {claim: "key.a.signature", has: mac(1), phase: "Succeeded", free: true},
		"is free at once, when it was evicted":                      {claim: "key.a.signature", has: mac(1), phase: "Failed", free: true},
		"is free at once, where claims are not signed":              {claim: "a", has: mac(1), phase: "Failed", free: true},
		"is not where it is another's, whose claim is none of this": {claim: "key.c.signature", has: mac(1), phase: "Succeeded"},
		"is not where nobody knows whose claim it is":               {has: mac(1), phase: "Succeeded"},
		"is not where it was not had by the pod that is there":      {claim: "key.a.signature", has: mac(2), phase: "Succeeded"},
		"is not where the claim was used again":                     {claim: "key.a.signature", has: mac(1), phase: "Succeeded", second: true},
	} {
		told(t, name, func(w *world) {
			w.optIn()
			w.startJanitor()
			w.start("r2")
			o := macpool.Object{Kind: macpool.KindPod, Namespace: "default", GenerateName: "job-", Claim: "a"}
			_, err := w.assign("r1", o, mac(1))
			require.NoError(w.t, err)
			ended := newPod("job-xxxxx", tc.phase, tc.has)
			ended.SetGenerateName("job-")
			ended.SetAnnotations(map[string]string{
				nad.NetworksAnnotation: ended.GetAnnotations()[nad.NetworksAnnotation], macpool.ClaimAnnotation: tc.claim,
			})
			w.create(ended)
			if tc.second {
				_, err := w.replicas["r1"].ledger.Assign(w.ctx, macpool.Request{
					Holder: o, Again: true, Asks: []macpool.Ask{{Interface: "net", MAC: mac(1)}},
				})
				require.NoError(w.t, err)
			}
			err = w.createNext(mac(1))
			if tc.free {
				require.NoError(w.t, err)
				return
			}
			var busy *macpool.BusyError
			require.ErrorAs(w.t, err, &busy)
		})
	}
}

func TestWhatAPodHadThatEndedIsLentThoughThePoolIsFull(t *testing.T) {
	for name, tc := range map[string]struct {
		generated bool
		phase     string
	}{
		"when it is done":     {generated: true, phase: "Succeeded"},
		"when it was evicted": {generated: true, phase: "Failed"},
		"but not where another of its name may be coming": {phase: "Succeeded"},
	} {
		told(t, name, func(w *world) {
			pool := w.pool()
			pool.Spec.Ranges = []v1alpha1.MACRange{{Start: mac(1).String(), End: mac(1).String()}}
			require.NoError(w.t, w.client.Update(w.ctx, pool))
			w.optIn()
			w.startJanitor()
			w.start("r2")
			o := podObject(client.ObjectKey{Namespace: "default", Name: "job-xxxxx"})
			if tc.generated {
				o = macpool.Object{Kind: macpool.KindPod, Namespace: "default", GenerateName: "job-", Claim: "a"}
			}
			_, err := w.assign("r1", o, macpool.MAC{})
			require.NoError(w.t, err)
			for _, phase := range []string{"Running", tc.phase} {
				pod := newPod("job-xxxxx", phase, mac(1))
				if tc.generated {
					pod.SetGenerateName("job-")
				}
				w.put(pod)
				w.pass(2 * debounce)
			}
			err = w.createNext(macpool.MAC{})
			if tc.generated {
				require.NoError(w.t, err)
				return
			}
			var exhausted *macpool.ExhaustedError
			require.ErrorAs(w.t, err, &exhausted)
			assert.True(w.t, exhausted.Passing())
		})
	}
}

// The controller of StatefulSets sets generateName as well as the name, and makes a pod anew once it has failed.
func TestAPodOfAStatefulSetThatIsMadeAnewKeepsItsAddress(t *testing.T) {
	told(t, "which the kubelet rejected", func(w *world) {
		w.optIn()
		w.startJanitor()
		w.start("r2")
		o := podObject(client.ObjectKey{Namespace: "default", Name: "web-0"})
		create := func(phase string) macpool.MAC {
			m, err := w.assign("r1", o, macpool.MAC{})
			require.NoError(w.t, err)
			pod := newPod("web-0", phase, m)
			pod.SetGenerateName("web-")
			w.put(pod)
			return m
		}
		m := create("Pending")
		w.pass(time.Second)
		failed := newPod("web-0", "Failed", m)
		failed.SetGenerateName("web-")
		w.put(failed)
		w.pass(20 * time.Millisecond)
		w.remove(podKind(), "web-0")
		require.Equal(w.t, m, create("Pending"))
		w.pass(time.Second)
		assert.Equal(w.t, "Pod default/web-0", w.holderOf(m))
		_, err := w.assign("r2", vmNamed("vmb"), m)
		require.Error(w.t, err)
	})
}
