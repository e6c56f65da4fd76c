// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	"github.com/bridgehead-dev/bridgehead/e2e/suite"
	"github.com/bridgehead-dev/bridgehead/webhooks/corpus"

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
