// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	netv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/bridgehead-dev/bridgehead/nad"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// home is the namespace of the pods and networks of the cases.
const home = "home"

// A podCase is a file of testdata/pods: a pod that is created in the namespace home, and the answer that is wanted.
type podCase struct {
	Why       string                `json:"why"`
	Operation admissionv1.Operation `json:"operation"`
	DryRun    bool                  `json:"dryRun"`
	// User creates the pod. The user may read networks of the namespace far.
	User string `json:"user"`
	// Addresses is true where the namespace opts in to them. Ledger has the VMs that hold some before.
	Addresses bool              `json:"addresses"`
	Ledger    map[string]string `json:"ledger"`
	// Networks are the NADs there are, by <namespace>/<name>. Fails makes reads of others fail.
	Networks map[string]networkSpec `json:"networks"`
	Fails    bool                   `json:"fails"`
	// Unoffered are bridges that no policy declares and no node has.
	Unoffered []string        `json:"unoffered"`
	Object    json.RawMessage `json:"object"`
	Want      wantedAnswer    `json:"want"`
}

type networkSpec struct {
	Annotations map[string]string `json:"annotations"`
	Config      string            `json:"config"`
}

// A wantedAnswer is the answer to a review.
type wantedAnswer struct {
	Allowed bool  `json:"allowed"`
	Code    int32 `json:"code"`
	// Message has fragments of a refusal, Fields the fields to blame, Warnings a fragment of each warning.
	Message  []string `json:"message"`
	Fields   []string `json:"fields"`
	Warnings []string `json:"warnings"`
	// Patch has every field that is set; (any) in a text stands for an address, (claim) for a claim.
	Patch map[string]any `json:"patch"`
}

// readCases reads the files of a folder of testdata, by their names.
func readCases[T any](t testing.TB, folder string) map[string]T {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", folder, "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	cases := map[string]T{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var c T
		require.NoError(t, yaml.UnmarshalStrict(text, &c), file)
		cases[strings.TrimSuffix(filepath.Base(file), ".yaml")] = c
	}
	return cases
}

// pods returns the webhook for pods in the cluster of a case.
func (w *world) pods(c podCase) Handler {
	w.t.Helper()
	keys := []string{nad.ResourceAnnotation, "example.com/resource"}
	cache := nad.NewCache(keys, func(context.Context, nad.Ref) (*netv1.NetworkAttachmentDefinition, error) {
		if c.Fails {
			return nil, errors.New("connection refused")
		}
		return nil, nil
	})
	for name, spec := range c.Networks {
		namespace, name, _ := strings.Cut(name, "/")
		require.NoError(w.t, cache.Add(&netv1.NetworkAttachmentDefinition{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Annotations: spec.Annotations},
			Spec:       netv1.NetworkAttachmentDefinitionSpec{Config: spec.Config},
		}))
	}
	reviewer := PodReviewer{
		Networks: cache, MultusNamespace: "kube-system",
		Offered: func(bridge string) bool { return !slices.Contains(c.Unoffered, bridge) },
		MayRead: func(_ context.Context, _ authenticationv1.UserInfo, namespace string) (bool, error) {
			return namespace == "far", nil
		},
		MayLaunch: func(_ context.Context, user authenticationv1.UserInfo) (bool, error) {
			return user.Username != "tenant", nil
		},
	}
	if c.Addresses {
		lending := w.lending()
		lending.Having = func(_ context.Context, o macpool.Object, macs ...macpool.MAC) ([]macpool.MAC, error) {
			w.looks++
			return slices.DeleteFunc(slices.Clone(macs), func(m macpool.MAC) bool {
				return c.Ledger[m.String()] != o.Namespace+"/"+o.Name
			}), w.reach()
		}
		reviewer.Lending = &lending
	}
	return Handler{Log: w.handler.Log, Reviewer: reviewer}
}

// podReview returns the review of a pod in the namespace home.
func podReview(t testing.TB, c podCase, object []byte) []byte {
	t.Helper()
	if c.Operation == "" {
		c.Operation = admissionv1.Create
	}
	var named struct{ Metadata struct{ Name string } }
	_ = json.Unmarshal(object, &named) // odd objects have no name
	return reviewOf(t, &admissionv1.AdmissionRequest{
		UID:       "uid",
		Kind:      metav1.GroupVersionKind{Version: "v1", Kind: "Pod"},
		Namespace: home,
		Name:      named.Metadata.Name,
		Operation: c.Operation,
		DryRun: ptr.To(
			c.DryRun,
		),
		UserInfo: authenticationv1.UserInfo{Username: c.User},
		Object:   runtime.RawExtension{Raw: object},
	})
}

func reviewOf(t testing.TB, request *admissionv1.AdmissionRequest) []byte {
	t.Helper()
	review := admissionv1.AdmissionReview{Request: request}
	review.SetGroupVersionKind(admissionv1.SchemeGroupVersion.WithKind("AdmissionReview"))
	body, err := json.Marshal(review)
	require.NoError(t, err)
	return body
}

// checkAnswer checks everything about an answer but the values of its patch.
func checkAnswer(t *testing.T, want wantedAnswer, response *admissionv1.AdmissionResponse) {
	t.Helper()
	require.Equal(t, want.Allowed, response.Allowed, "%v", response.Result)
	checkFragments(t, want.Warnings, response.Warnings)
	if want.Allowed {
		return
	}
	for _, fragment := range want.Message {
		assert.Contains(t, response.Result.Message, fragment)
	}
	if want.Code != 0 {
		assert.Equal(t, want.Code, response.Result.Code)
	}
	var fields []string
	if response.Result.Details != nil {
		for _, cause := range response.Result.Details.Causes {
			fields = append(fields, cause.Field)
		}
	}
	assert.Equal(t, want.Fields, fields)
}

func TestPodsOfTheCorpus(t *testing.T) {
	for name, c := range readCases[podCase](t, "pods") {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			defer w.flush()
			for mac, holder := range c.Ledger {
				w.hold(mac, holder, "net1")
			}
			before := w.holds()
			handler := w.pods(c)

			response := post(t, handler, podReview(t, c, c.Object))

			checkAnswer(t, c.Want, response)
			if !c.Want.Allowed || c.DryRun {
				assert.Equal(t, before, w.holds(), "a refusal and a dry run leave the ledger as it was")
			}
			if !c.Want.Allowed {
				return
			}
			set := changes(t, response.Patch)
			given := checkValues(t, c.Want.Patch, set)
			result := patched(t, c.Object, response)
			checkRestUntouched(t, c.Object, result, slices.Sorted(maps.Keys(set)))
			if c.DryRun {
				return
			}
			again := post(t, handler, podReview(t, c, result))
			require.True(t, again.Allowed, "%v", again.Result)
			assert.Empty(t, again.Patch, "a second look at the pod, after another webhook changed it, changes nothing")
			w.flush()
			for _, mac := range given {
				assert.Len(t, w.holds()[mac], 1)
			}
		})
	}
}

// checkValues compares the fields that are set and returns the addresses in them.
func checkValues(t *testing.T, want, set map[string]any) []string {
	t.Helper()
	address := regexp.MustCompile(`02:4a:be(:[0-9a-f]{2}){3}`)
	var given []string
	for path, value := range set {
		if wantText, ok := want[path].(string); ok {
			text, _ := value.(string)
			if strings.Contains(wantText, "(any)") {
				given = append(given, address.FindAllString(text, -1)...)
				set[path] = address.ReplaceAllString(text, "(any)")
			}
			if wantText == "(claim)" {
				set[path] = wantText
			}
		}
	}
	if want == nil {
		want = map[string]any{}
	}
	assert.Equal(t, want, set)
	return given
}

func TestTwoPodsOfOneGeneratedNameAreTwo(t *testing.T) {
	w := newWorld(t)
	defer w.flush()
	handler := w.pods(podCase{Networks: map[string]networkSpec{"home/l2": {}}, Addresses: true})
	object := []byte(`{"metadata":{"generateName":"pod-","annotations":{"k8s.v1.cni.cncf.io/networks":"l2"}},"spec":{"containers":[{"name":"a"}]}}`)
	seen := map[any]bool{}
	for range 5 {
		response := post(t, handler, podReview(t, podCase{}, object))
		require.True(t, response.Allowed)
		seen[changes(t, response.Patch)["/metadata/annotations/k8s.v1.cni.cncf.io~1networks"]] = true
	}
	assert.Len(t, seen, 5)
}

// FuzzPod puts any bytes to the webhook for pods, as a review, and as annotations of a pod. The answer is a review, and
// a patch of what may be patched, after which a second look changes nothing.
func FuzzPod(f *testing.F) {
	for _, c := range readCases[podCase](f, "pods") {
		var object struct {
			Metadata struct{ Annotations map[string]string }
		}
		_ = json.Unmarshal(c.Object, &object) // odd ones have none
		f.Add(
			podReview(f, c, c.Object), object.Metadata.Annotations[nad.NetworksAnnotation],
			object.Metadata.Annotations[nad.DefaultNetworkAnnotation],
		)
	}
	ours := regexp.MustCompile(`^/spec/containers/[0-9]+/resources(/|$)|^/spec/nodeSelector(/|$)|^/metadata/annotations/(bridgehead\.dev~1claim|k8s\.v1\.cni\.cncf\.io~1networks)$`)
	f.Fuzz(func(t *testing.T, body []byte, networks, standard string) {
		w := newWorld(t)
		defer w.flush()
		w.hold("02:4a:be:00:00:01", "home/vma", "br0")
		handler := w.pods(podCase{Addresses: true, Networks: map[string]networkSpec{
			"home/l2": {Config: `{"type":"bridge","bridge":"br0"}`}, "kube-system/l2": {Annotations: map[string]string{nad.NodeSelectorAnnotation: "a=b"}},
		}})
		for pointer := range changes(t, post(t, handler, body).Patch) {
			require.Regexp(t, ours, pointer)
		}

		object, err := json.Marshal(map[string]any{
			"metadata": map[string]any{"name": "pod", "annotations": map[string]string{nad.NetworksAnnotation: networks, nad.DefaultNetworkAnnotation: standard}},
			"spec":     map[string]any{"containers": []any{map[string]any{"name": "main"}}},
		})
		require.NoError(t, err)
		response := post(t, handler, podReview(t, podCase{}, object))
		if !response.Allowed {
			require.NotEqual(t, int32(500), response.Result.Code, response.Result.Message)
			return
		}
		again := post(t, handler, podReview(t, podCase{}, patched(t, object, response)))
		require.True(t, again.Allowed, "%v", again.Result)
		require.Empty(t, again.Patch)
	})
}

func TestPodsAreGivenAddressesByTheNamesTheirInterfacesWillHave(t *testing.T) {
	networks, problems := nad.ParseNetworks("a,b@eth7,c", home, nil)
	require.Empty(t, problems)
	nics := podNetworks{additional: networks, attachments: attached(networks, nil)}.nics()
	var names []string
	for _, n := range nics {
		names = append(names, n.name)
	}
	assert.Equal(t, []string{"net1", "eth7", "net3"}, names)
}

func TestPodsWithoutPoolAreTold(t *testing.T) {
	w := newWorld(t)
	defer w.flush()
	w.pools.SpoilPool("default")
	handler := w.pods(podCase{Networks: map[string]networkSpec{"home/l2": {}}, Addresses: true})
	object := func(networks string) []byte {
		return fmt.Appendf(nil, `{"metadata":{"name":"pod","annotations":{"k8s.v1.cni.cncf.io/networks":%q}},"spec":{"containers":[{"name":"a"}]}}`, networks)
	}
	response := post(t, handler, podReview(t, podCase{}, object("l2")))
	assert.False(t, response.Allowed)
	assert.Contains(t, response.Result.Message, (&macpool.NoPoolError{Namespace: home}).Error())
	assert.True(t, post(t, handler, podReview(t, podCase{}, object(`[{"name":"l2","mac":"02:00:00:00:00:01"}]`))).Allowed, "an address that is brought needs no pool")
}
