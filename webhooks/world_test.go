// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"
	"github.com/bridgehead-dev/bridgehead/webhooks/corpus"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/cluster"
	"github.com/bridgehead-dev/bridgehead/macpool/ledger"
)

// A world is the webhook on a real ledger, in a cluster that has the VMs that exist says.
type world struct {
	t       testing.TB
	clock   *clocktesting.FakeClock
	store   *ledger.MemoryStore
	ledger  *ledger.Ledger
	pools   *cluster.Pools
	exists  map[macpool.Object]bool
	looks   int         // at what a VM has, for its pod
	away    atomic.Bool // whether the API server is
	log     strings.Builder
	handler Handler
}

// Replica implements ledger.ReplicaLease.
func (w *world) Replica() (string, bool) { return "replica", true }

// Having implements ledger.ObjectReader.
func (w *world) Having(_ context.Context, o macpool.Object, macs ...macpool.MAC) ([]macpool.MAC, error) {
	if !w.exists[o] {
		macs = nil
	}
	return macs, w.reach()
}

// Ended implements ledger.ObjectReader.
func (w *world) Ended(context.Context, macpool.Object, macpool.MAC) (bool, error) {
	return false, w.reach()
}

// reach fails while the API server is away.
func (w *world) reach() error {
	if w.away.Load() {
		return errors.New("connection refused")
	}
	return nil
}

func newWorld(t testing.TB) *world {
	w := &world{
		t: t, clock: clocktesting.NewFakeClock(time.Now()), store: &ledger.MemoryStore{},
		pools: &cluster.Pools{}, exists: map[macpool.Object]bool{},
	}
	w.store.Fail(func(string, macpool.Prefix) error { return w.reach() })
	w.ledger = ledger.New(t.Context(), ledger.Options{Store: w.store, Lease: w, Objects: w, Clock: w.clock})
	log := logr.Discard()
	if _, fuzzing := t.(*testing.F); !fuzzing {
		log = funcr.New(func(_, text string) { w.log.WriteString(text + "\n") }, funcr.Options{})
	}
	w.handler = Handler{Log: log, Reviewer: VMReviewer{Lending: w.lending(), MayShare: w.mayShare}}
	w.pool(v1alpha1.EnforcementDeny, v1alpha1.MACRange{Start: "02:4a:be:00:00:00", End: "02:4a:be:ff:ff:ff"})
	return w
}

// lending lends of the world's ledger.
func (w *world) lending() Lending {
	keys := &ClaimKeys{Clock: w.clock, keys: []claimKey{[]byte("a key")}, looked: w.clock.Now()}
	return Lending{Ledger: w.ledger, PoolFor: w.pools.For, Claims: keys}
}

// mayShare lets everybody but strangers share the addresses of every VM, and the VM host/consenting with the VM vm.
func (w *world) mayShare(
	_ context.Context, user authenticationv1.UserInfo, holder, newcomer macpool.Object,
) (bool, error) {
	return user.Username != corpus.Stranger || holder.Name == "consenting" && newcomer.Name == "vm", w.reach()
}

// pool makes the one pool that there is.
func (w *world) pool(e v1alpha1.Enforcement, ranges ...v1alpha1.MACRange) {
	w.t.Helper()
	rule, err := cluster.ReadPool(&v1alpha1.MACPool{
		ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.DefaultPool},
		Spec:       v1alpha1.MACPoolSpec{Ranges: ranges, Enforcement: e},
	})
	require.NoError(w.t, err)
	w.pools.SetPool(rule)
}

// object returns a VM by <namespace>/<name>, or by <namespace>/<generateName>*.
func object(name string) macpool.Object {
	namespace, name, _ := strings.Cut(name, "/")
	o := macpool.Object{Kind: macpool.KindVM, Namespace: namespace, Name: name}
	if generated, ok := strings.CutSuffix(name, "*"); ok {
		o.Name, o.GenerateName, o.Claim = "", generated, "another"
	}
	return o
}

// hold has a VM hold an address.
func (w *world) hold(mac, holder, iface string) {
	w.t.Helper()
	w.holdBy(mac, macpool.Holder{Object: object(holder), Interface: iface})
}

// holdBy has an object that is there hold an address.
func (w *world) holdBy(mac string, holder macpool.Holder) {
	w.t.Helper()
	m, err := macpool.ParseMAC(mac)
	require.NoError(w.t, err)
	b, err := w.store.Get(w.t.Context(), m.Prefix())
	require.NoError(w.t, err)
	require.NoError(w.t, b.Claim(macpool.Claim{MAC: m, Holder: holder, Since: w.clock.Now()}))
	written, err := w.store.Put(w.t.Context(), b)
	require.NoError(w.t, err)
	w.ledger.Observe(written)
	w.exists[holder.Object] = true
}

// holds has the holders of every address, as <namespace>/<name>.
func (w *world) holds() map[string][]string {
	all := map[string][]string{}
	for _, b := range w.store.Blocks() {
		for m, e := range b.Entries() {
			for _, h := range e.Holds {
				all[m.String()] = append(all[m.String()], strings.TrimPrefix(h.Object.String(), macpool.KindVM+" "))
			}
			slices.Sort(all[m.String()])
		}
	}
	for m, holders := range all {
		if len(holders) == 0 {
			delete(all, m) // only reserved
		}
	}
	return all
}

// flush waits until the ledger has written what it answered. It lends nothing after.
func (w *world) flush() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	require.NoError(w.t, w.ledger.Close(ctx))
}

// of brings about what a case wants to be there.
func (w *world) of(c corpus.Case) {
	w.t.Helper()
	switch {
	case c.Pool == nil:
	case c.Pool.None: // it is there, and serves nobody: one that is not there is made
		w.pools.SpoilPool(v1alpha1.DefaultPool)
	default:
		w.pools.DropPool(v1alpha1.DefaultPool)
		rule, err := cluster.ReadPool(&v1alpha1.MACPool{
			ObjectMeta: metav1.ObjectMeta{Name: c.PoolName()},
			Spec:       v1alpha1.MACPoolSpec{Ranges: c.Pool.Ranges, Enforcement: c.Pool.Enforcement},
		})
		require.NoError(w.t, err)
		w.pools.SetPool(rule)
	}
	for _, h := range c.Ledger {
		w.hold(h.MAC, h.Holder, h.Interface)
		w.exists[object(h.Holder)] = h.Gone == ""
	}
	if slices.ContainsFunc(c.Ledger, func(h corpus.Held) bool { return h.Gone == corpus.LongAgo }) {
		w.clock.Step(2 * ledger.MaxAdmission)
	}
	if c.StoreFails {
		w.away.Store(true)
	}
}

// post sends a body to the webhook and returns the response in its answer, which must be an AdmissionReview.
func (w *world) post(body []byte) *admissionv1.AdmissionResponse {
	w.t.Helper()
	return post(w.t, w.handler, body)
}

// review has the webhook answer a case in namespace home.
func (w *world) review(c corpus.Case) *admissionv1.AdmissionResponse {
	w.t.Helper()
	c.Home = "home"
	body, err := c.Review("uid")
	require.NoError(w.t, err)
	return w.post(body)
}

func post(t testing.TB, handler http.Handler, body []byte) *admissionv1.AdmissionResponse {
	t.Helper()
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, "/mutate-virtualmachines", bytes.NewReader(body)))
	require.Equal(t, http.StatusOK, recorder.Code)
	require.Equal(t, "application/json", recorder.Header().Get("Content-Type"))
	var review admissionv1.AdmissionReview
	require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &review))
	require.Equal(t, "admission.k8s.io/v1, Kind=AdmissionReview", review.GroupVersionKind().String())
	require.NotNil(t, review.Response)
	require.Nil(t, review.Request)
	if !review.Response.Allowed {
		require.NotNil(t, review.Response.Result, "a refusal without a reason")
		require.Empty(t, review.Response.Patch, "a patch of what is refused")
	}
	return review.Response
}

// patched returns the object of a review with the patch of the response applied.
func patched(t testing.TB, original []byte, response *admissionv1.AdmissionResponse) []byte {
	t.Helper()
	if len(response.Patch) == 0 {
		require.Nil(t, response.PatchType)
		return original
	}
	require.Equal(t, admissionv1.PatchTypeJSONPatch, *response.PatchType)
	result, err := applyPatch(original, response.Patch)
	require.NoError(t, err, "patch %s", response.Patch)
	return result
}

// changes returns the values that a patch sets, by JSON pointer; nil for what it removes.
func changes(t testing.TB, patch []byte) map[string]any {
	t.Helper()
	set := map[string]any{}
	if len(patch) == 0 {
		return set
	}
	var operations []struct {
		Op, Path string
		Value    any
	}
	require.NoError(t, json.Unmarshal(patch, &operations))
	for _, o := range operations {
		require.Contains(t, []string{"add", "remove"}, o.Op)
		require.Equal(t, o.Op == "remove", o.Value == nil)
		require.NotContains(t, set, o.Path, "a field is set twice")
		set[o.Path] = o.Value
	}
	return set
}
