// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
	"github.com/bridgehead-dev/bridgehead/webhooks/corpus"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/cluster"
)

// A corpusRun is a cluster in which the cases of the corpus are reviewed, each in namespaces of its own.
type corpusRun struct {
	t     *testing.T
	suite *suite.Suite
	store cluster.KubeStore
	http  *http.Client
	stamp time.Time
}

// An answer is what the client of the API server, or the API server itself, is told.
type answer struct {
	allowed  bool
	status   metav1.Status // of a refusal
	warnings string
	object   unstructured.Unstructured // as it is after admission
}

func TestReviewsOfTheCorpusThroughTheAPIServer(t *testing.T) {
	t.Parallel()
	root, err := suite.Root()
	require.NoError(t, err)
	cases, err := corpus.Read(filepath.Join(root, filepath.FromSlash(corpus.Dir)))
	require.NoError(t, err)
	s := suite.StartForTest(t, suite.Options{Replicas: 1})
	run := corpusRun{
		t:     t,
		suite: s,
		store: cluster.KubeStore{Client: s.Client},
		stamp: time.Now().UTC().Truncate(time.Microsecond),
	}
	run.http, err = rest.HTTPClientFor(s.Config)
	require.NoError(t, err)
	for name, c := range cases {
		if c.Unit == "" {
			run.prepare(name, c)
		}
	}
	run.optInAll(cases)
	reviewed := 0
	for name, c := range cases {
		if c.Unit != "" {
			continue // a running replica cannot be brought to this; the same case is put to the webhook in memory
		}
		reviewed++
		t.Run(name, func(t *testing.T) {
			run := run
			run.t = t
			run.review(c)
		})
	}
	assert.Greater(t, reviewed, 100)
}

// prepare brings about what a case wants to be there, past admission: its namespaces have not opted in yet.
func (r corpusRun) prepare(name string, c corpus.Case) {
	for _, namespace := range []string{c.Home, c.Other} {
		require.NoError(
			r.t, r.suite.Client.Create(r.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}),
		)
	}
	if c.Pool != nil && !c.Pool.None {
		require.NoError(
			r.t, r.suite.Client.Create(r.t.Context(), poolFor(c.PoolName(), c.Home, c.Pool.Enforcement, c.Pool.Ranges...)), name,
		)
	}
	if c.Operation == admissionv1.Update && c.Raw == "" {
		response := r.send(http.MethodPost, c.Home, "", c.OldObject)
		require.True(r.t, response.allowed, "%s: store the old object: %s", name, response.status.Message)
	}
	for _, h := range c.Ledger {
		r.hold(h.MAC, h.Holder, h.Interface)
		namespace, vm, _ := strings.Cut(h.Holder, "/")
		if h.Gone != "" || strings.HasSuffix(vm, "*") ||
			c.Operation == admissionv1.Update && namespace == c.Home && vm == c.Name() {
			continue
		}
		m, err := macpool.ParseMAC(h.MAC)
		require.NoError(r.t, err)
		require.NoError(
			r.t,
			client.IgnoreAlreadyExists(
				r.suite.Client.Create(r.t.Context(), inNamespace(namespace, vmWith(vm, []macpool.MAC{m}))),
			),
			name,
		)
	}
}

func poolFor(name, namespace string, enforcement v1alpha1.Enforcement, ranges ...v1alpha1.MACRange) *v1alpha1.MACPool {
	return &v1alpha1.MACPool{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.MACPoolSpec{
			Ranges: ranges, Enforcement: enforcement,
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}},
		},
	}
}

// hold writes that a VM holds an address into the ledger, past all replicas.
func (r corpusRun) hold(mac, holder, iface string) {
	m, err := macpool.ParseMAC(mac)
	require.NoError(r.t, err)
	namespace, name, _ := strings.Cut(holder, "/")
	object := macpool.Object{Kind: macpool.KindVM, Namespace: namespace, Name: name}
	if generated, ok := strings.CutSuffix(name, "*"); ok {
		object.Name, object.GenerateName, object.Claim = "", generated, "another"
	}
	claim := macpool.Claim{
		MAC:        m,
		Holder:     macpool.Holder{Object: object, Interface: iface},
		Since:      r.stamp,
		Regardless: true,
	}
	require.NoError(
		r.t,
		wait.PollUntilContextTimeout(
			r.t.Context(),
			10*time.Millisecond,
			within,
			true,
			func(ctx context.Context) (bool, error) {
				b, err := r.store.Get(ctx, m.Prefix())
				if err != nil {
					return false, err
				}
				if err := b.Claim(claim); err != nil {
					return false, err
				}
				_, err = r.store.Put(ctx, b)
				return err == nil, nil // the janitor writes too
			},
		),
	)
}

// optInAll has all namespaces opt in, and returns when the API server and the replica know what has been prepared: the
// last of it is a witness that watches, which tell things in order, have come so far.
func (r corpusRun) optInAll(cases map[string]corpus.Case) {
	const namespace, mac = "witness", "0e:ff:ff:00:00:07"
	require.NoError(
		r.t, r.suite.Client.Create(r.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}),
	)
	require.NoError(
		r.t,
		r.suite.Client.Create(
			r.t.Context(),
			poolFor(namespace, namespace, "", v1alpha1.MACRange{Start: "0e:ff:ff:00:01:00", End: "0e:ff:ff:00:01:ff"}),
		),
	)
	r.hold(mac, namespace+"/vm", "nic0")
	others := []string{namespace}
	for _, c := range cases {
		if c.Pool != nil {
			others = append(others, c.Home)
		}
		if c.Unit == "" {
			r.optIn(c.Home)
		}
	}
	r.keepDefaultPoolFrom(others)
	r.optIn(namespace)
	vm, err := json.Marshal(inNamespace(namespace, vmWith("vm", make([]macpool.MAC, 2))))
	require.NoError(r.t, err)
	waitUntil(r.t, func() bool {
		response := r.send(http.MethodPost, namespace, "?dryRun=All", vm)
		macs := macsOf(r.t, &response.object)
		return len(macs) == 2 && macs[0] == mac && strings.HasPrefix(macs[1], "0e:ff:ff:00:01:")
	})
}

func (r corpusRun) optIn(name string) {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	label := `{"metadata":{"labels":{"mutatevirtualmachines.kubemacpool.io":"allocate"}}}`
	require.NoError(
		r.t, r.suite.Client.Patch(r.t.Context(), namespace, client.RawPatch(types.MergePatchType, []byte(label))),
	)
}

// keepDefaultPoolFrom has the default pool serve all namespaces but these.
func (r corpusRun) keepDefaultPoolFrom(namespaces []string) {
	pool := &v1alpha1.MACPool{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.DefaultPool}}
	require.NoError(r.t, r.suite.Client.Get(r.t.Context(), client.ObjectKeyFromObject(pool), pool))
	before := pool.DeepCopy()
	pool.Spec.NamespaceSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
		{Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpNotIn, Values: namespaces},
	}}
	require.NoError(r.t, r.suite.Client.Patch(r.t.Context(), pool, client.MergeFrom(before)))
}

// review puts one case to the API server, or to the replica if the API server cannot be made to send it, and checks the
// answer and what the ledger says afterwards.
func (r corpusRun) review(c corpus.Case) {
	want := c.Want
	var got answer
	switch {
	case c.Raw != "":
		got = r.post(c)
	case c.Operation == admissionv1.Update:
		got = r.update(c)
	default:
		got = r.send(http.MethodPost, c.Home, dryRun(c), c.Object)
	}
	if want.Server != nil {
		want.Allowed, want.Code, want.Message, want.Fields = want.Server.Allowed, want.Server.Code, want.Server.Message, nil
	}
	require.Equal(r.t, want.Allowed, got.allowed, got.status.Message)
	r.checkRefusal(want, got)
	for _, fragment := range want.Warnings {
		assert.Contains(r.t, got.warnings, fragment)
	}
	for _, note := range want.Notes {
		assert.Contains(r.t, r.suite.Running()[0].Log(), note)
	}
	if c.Raw != "" {
		return
	}
	holds := map[string][]string{}
	for _, h := range c.Ledger {
		holds[h.MAC] = append(holds[h.MAC], h.Holder)
	}
	if got.allowed {
		r.checkPatched(c, got, holds)
	}
	r.checkHolds(c, holds)
}

func dryRun(c corpus.Case) string {
	if c.DryRun {
		return "?dryRun=All"
	}
	return ""
}

func (r corpusRun) checkRefusal(want corpus.Want, got answer) {
	if want.Allowed {
		return
	}
	assert.Equal(r.t, want.Code, got.status.Code, got.status.Message)
	for _, fragment := range want.Message {
		assert.Contains(r.t, got.status.Message, fragment)
	}
	var fields []string
	if got.status.Details != nil {
		for _, cause := range got.status.Details.Causes {
			fields = append(fields, cause.Field)
		}
	}
	for _, field := range want.Fields {
		assert.Contains(r.t, fields, field)
	}
}

// checkPatched checks the fields that the webhook sets, and adds who holds the addresses among them to holds.
func (r corpusRun) checkPatched(c corpus.Case, got answer, holds map[string][]string) {
	for pointer, want := range c.Want.Patch {
		value := at(got.object.Object, pointer)
		require.NotNil(r.t, value, pointer)
		if want != corpus.Any {
			assert.Equal(r.t, want, value, pointer)
		}
		if text, ok := value.(string); ok && strings.HasSuffix(pointer, "/macAddress") && !c.DryRun &&
			(want == corpus.Any || c.Operation == admissionv1.Create) {
			holds[text] = []string{c.Home + "/" + c.Name()}
		}
	}
	if !c.DryRun {
		for mac, holders := range c.Want.Holds {
			holds[mac] = holders
		}
	}
}

// checkHolds waits until the ledger has every address as it is to be, and nobody holds an address in vain.
func (r corpusRun) checkHolds(c corpus.Case, want map[string][]string) {
	for _, mac := range macsIn(c.Object) {
		if _, ok := want[mac]; !ok && !slices.Contains(macsIn(c.OldObject), mac) {
			want[mac] = nil
		}
	}
	var differences []string
	err := wait.PollUntilContextTimeout(
		r.t.Context(),
		20*time.Millisecond,
		within,
		true,
		func(ctx context.Context) (bool, error) {
			differences = nil
			for mac, holders := range want {
				m, err := macpool.ParseMAC(mac)
				if err != nil {
					return false, err
				}
				b, err := r.store.Get(ctx, m.Prefix())
				if err != nil {
					return false, err
				}
				if has := namesOf(b.Entry(m), holders); !slices.Equal(has, slices.Sorted(slices.Values(holders))) {
					differences = append(differences, fmt.Sprintf("%s is held by %v, want %v", mac, has, holders))
				}
			}
			return len(differences) == 0, nil
		},
	)
	assert.NoError(r.t, err, "%s", strings.Join(differences, "\n"))
}

// namesOf returns the holders of an entry as the corpus spells them. One that was created by generateName may have got
// its name by now.
func namesOf(e macpool.Entry, spelled []string) []string {
	var names []string
	for _, h := range e.Holds {
		name := strings.TrimPrefix(h.Object.String(), macpool.KindVM+" ")
		for _, want := range spelled {
			if prefix, generated := strings.CutSuffix(want, "*"); generated && strings.HasPrefix(name, prefix) {
				name = want
			}
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// send sends a request about a VM to the API server.
func (r corpusRun) send(method, namespace, rest string, body []byte) answer {
	url := r.suite.Config.Host + "/apis/kubevirt.io/v1/namespaces/" + namespace + "/virtualmachines" + rest
	request, err := http.NewRequestWithContext(r.t.Context(), method, url, bytes.NewReader(body))
	require.NoError(r.t, err)
	request.Header.Set("Content-Type", "application/json")
	response, err := r.http.Do(request)
	require.NoError(r.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(r.t, err)
	got := answer{allowed: response.StatusCode < 300, warnings: strings.Join(response.Header.Values("Warning"), "\n")}
	if !got.allowed {
		require.NoError(r.t, json.Unmarshal(text, &got.status), "%s", text)
		return got
	}
	require.NoError(r.t, json.Unmarshal(text, &got.object.Object))
	return got
}

// update replaces the stored VM by the object of the case.
func (r corpusRun) update(c corpus.Case) answer {
	stored := r.send(http.MethodGet, c.Home, "/"+c.Name(), nil)
	require.True(r.t, stored.allowed, stored.status.Message)
	var object map[string]any
	require.NoError(r.t, json.Unmarshal(c.Object, &object))
	require.NoError(
		r.t, unstructured.SetNestedField(object, stored.object.GetResourceVersion(), "metadata", "resourceVersion"),
	)
	body, err := json.Marshal(object)
	require.NoError(r.t, err)
	return r.send(http.MethodPut, c.Home, "/"+c.Name()+dryRun(c), body)
}

// post sends the review of a case to the replica, as the API server would.
func (r corpusRun) post(c corpus.Case) answer {
	body, err := c.Review("uid")
	require.NoError(r.t, err)
	authorities := x509.NewCertPool()
	require.True(r.t, authorities.AppendCertsFromPEM(caBundle(r.t, r.suite)))
	service, namespace, _ := strings.Cut(suite.Service, "/")
	transport := &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: authorities, ServerName: namespace + "." + service + ".svc", MinVersion: tls.VersionTLS13,
	}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost,
		"https://"+r.suite.Running()[0].Address+"/mutate-virtualmachines", bytes.NewReader(body))
	require.NoError(r.t, err)
	response, err := transport.RoundTrip(request)
	require.NoError(r.t, err)
	defer response.Body.Close()
	var review admissionv1.AdmissionReview
	require.NoError(r.t, json.NewDecoder(response.Body).Decode(&review))
	require.NotNil(r.t, review.Response)
	got := answer{allowed: review.Response.Allowed, warnings: strings.Join(review.Response.Warnings, "\n")}
	if review.Response.Result != nil {
		got.status = *review.Response.Result
	}
	return got
}

// at returns the value at a JSON pointer, nil if there is none.
func at(value any, pointer string) any {
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		key := strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		switch container := value.(type) {
		case map[string]any:
			value = container[key]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(container) {
				return nil
			}
			value = container[i]
		default:
			return nil
		}
	}
	return value
}

// macsIn returns the addresses of the interfaces in the text of a VM, which may be odd, in their usual spelling.
func macsIn(text []byte) []string {
	var object map[string]any
	if json.Unmarshal(text, &object) != nil {
		return nil
	}
	interfaces, _ := at(object, "/spec/template/spec/domain/devices/interfaces").([]any)
	var macs []string
	for _, entry := range interfaces {
		text, _ := at(entry, "/macAddress").(string)
		if m, err := macpool.ParseInterfaceMAC(text); err == nil {
			macs = append(macs, m.String())
		}
	}
	return macs
}

// macsOf returns the addresses of a VM's interfaces, empty where there is none.
func macsOf(t *testing.T, vm *unstructured.Unstructured) []string {
	interfaces, _, err := unstructured.NestedSlice(
		vm.Object, "spec", "template", "spec", "domain", "devices", "interfaces",
	)
	require.NoError(t, err)
	var macs []string
	for _, entry := range interfaces {
		text, _ := at(entry, "/macAddress").(string)
		macs = append(macs, text)
	}
	return macs
}
