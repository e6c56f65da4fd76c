// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// hookManifest is a webhook as a user would apply it: a Service and a configuration that names it.
const hookManifest = `
apiVersion: v1
kind: Service
metadata: {name: hook, namespace: %[1]s}
spec: {selector: {app: hook}, ports: [{port: 443, targetPort: 8443}]}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: %[1]s}
webhooks:
- name: hook.bridgehead.dev
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  timeoutSeconds: 5
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %[1]s}}
  rules: [{apiGroups: [""], apiVersions: [v1], resources: [configmaps], operations: [CREATE]}]
  clientConfig: {caBundle: %[2]s, %[3]s}
`

// A hook is a webhook server that denies every object whose name is "denied" and admits the others once
// its gate is open.
type hook struct {
	*httptest.Server
	gate  *gate
	calls atomic.Int64
}

// A gate opens when a number of calls stand before it, so that each of them has a connection of its own.
type gate struct {
	missing atomic.Int64
	open    chan struct{}
}

// newGate opens at n calls.
func newGate(n int64) *gate {
	g := &gate{open: make(chan struct{})}
	g.missing.Store(n)
	return g
}

// pass waits until the gate is open or ctx ends.
func (g *gate) pass(ctx context.Context) {
	if g.missing.Add(-1) == 0 {
		close(g.open)
	}
	select {
	case <-ctx.Done():
	case <-g.open:
	}
}

// newHook serves with a certificate of an authority, for a Service in a namespace.
func newHook(t *testing.T, ca *keyPair, namespace string, gate *gate) *hook {
	t.Helper()
	template := newTemplate(pkix.Name{CommonName: "hook"})
	template.DNSNames = []string{"hook." + namespace + ".svc"}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	pair, err := sign(template, ca)
	require.NoError(t, err)
	cert, err := tls.X509KeyPair(pair.cert, pair.key)
	require.NoError(t, err)
	h := &hook{gate: gate}
	h.Server = httptest.NewUnstartedServer(http.HandlerFunc(h.review))
	h.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	h.StartTLS()
	t.Cleanup(h.Close)
	return h
}

// review answers one call.
func (h *hook) review(w http.ResponseWriter, r *http.Request) {
	var review admissionv1.AdmissionReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	allowed := review.Request.Name != "denied"
	if allowed {
		h.calls.Add(1)
		h.gate.pass(r.Context())
	}
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: allowed}
	_ = json.NewEncoder(w).Encode(review) // the API server reports a broken answer
}

// address returns where it listens.
func (h *hook) address() string { return h.Listener.Addr().String() }

func testWebhookByService(t *testing.T, c *ControlPlane) {
	ns := namespace(t, c, "by-service")
	service := ns + "/hook"
	ca, err := newAuthority()
	require.NoError(t, err)
	gate := newGate(20)
	one, two := newHook(t, ca, ns, gate), newHook(t, ca, ns, gate)
	c.Route(service, one.address(), two.address())
	apply(t, c, fmt.Sprintf(hookManifest, ns, base64.StdEncoding.EncodeToString(ca.cert),
		"service: {name: hook, namespace: by-service}"))
	awaitDenial(t, c, ns)

	require.NoError(t, createMany(t.Context(), c, ns, 20))
	connections := c.Connections(service)
	assert.GreaterOrEqual(t, connections[one.address()]+connections[two.address()], 20)
	assert.InDelta(t, connections[one.address()], connections[two.address()], 1, "in turn")
	assert.InDelta(t, one.calls.Load(), two.calls.Load(), 2)

	one.Close()
	awaitCreation(t, c, ns, "a backend that refuses is skipped")

	two.Close()
	three := newHook(t, ca, ns, newGate(1))
	c.Route(service, three.address())
	awaitCreation(t, c, ns, "backends may be replaced")
	assert.GreaterOrEqual(t, three.calls.Load(), int64(20))

	c.Route(service)
	three.CloseClientConnections()
	require.Eventually(t, func() bool {
		err := createMany(t.Context(), c, ns, 1)
		return err != nil && strings.Contains(err.Error(), "503 Service Unavailable")
	}, time.Minute, 50*time.Millisecond, "a Service may lose all backends")
}

func testWebhookByURL(t *testing.T, c *ControlPlane) {
	ns := namespace(t, c, "by-url")
	ca, err := newAuthority()
	require.NoError(t, err)
	h := newHook(t, ca, ns, newGate(1))
	apply(t, c, fmt.Sprintf(hookManifest, ns, base64.StdEncoding.EncodeToString(ca.cert), "url: "+h.URL))
	awaitDenial(t, c, ns)
	assert.Empty(t, c.Connections(ns+"/hook"))
}

func testConnectToNoService(t *testing.T, c *ControlPlane) {
	cases := map[string]struct{ request, answer string }{
		"an address of no Service":       {"CONNECT 10.96.255.254:443 HTTP/1.1", "502 Bad Gateway"},
		"a Service that was not routed":  {"CONNECT 10.96.0.1:443 HTTP/1.1", "503 Service Unavailable"},
		"something that is no address":   {"CONNECT nothing HTTP/1.1", "400 Bad Request"},
		"a request that is no CONNECT":   {"GET http://10.96.0.1/ HTTP/1.1", "405 Method Not Allowed"},
		"an address that is no endpoint": {"CONNECT 127.0.0.1:22 HTTP/1.1", "502 Bad Gateway"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("unix", c.proxy.socket)
			require.NoError(t, err)
			defer func() { _ = conn.Close() }()
			_, err = fmt.Fprintf(conn, "%s\r\nHost: 127.0.0.1\r\n\r\n", tc.request)
			require.NoError(t, err)
			answer := make([]byte, 100)
			n, err := conn.Read(answer)
			require.NoError(t, err)
			assert.True(t, strings.HasPrefix(string(answer[:n]), "HTTP/1.1 "+tc.answer), string(answer[:n]))
		})
	}
}

// awaitDenial waits until the API server has heard of the webhook configuration.
func awaitDenial(t *testing.T, c *ControlPlane, ns string) {
	t.Helper()
	configMap := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "denied"}}
	dryRun := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	require.Eventually(t, func() bool {
		_, err := c.clients.CoreV1().ConfigMaps(ns).Create(t.Context(), configMap, dryRun)
		return err != nil && strings.Contains(err.Error(), `admission webhook "hook.bridgehead.dev" denied the request`)
	}, time.Minute, 50*time.Millisecond)
}

// awaitCreation waits until 20 objects can be created at the same time. The first attempt may fail: a call
// on a kept connection that the backend is just closing is an error to the API server, here as in a cluster.
func awaitCreation(t *testing.T, c *ControlPlane, ns, why string) {
	t.Helper()
	require.Eventually(
		t, func() bool { return createMany(t.Context(), c, ns, 20) == nil }, time.Minute, 50*time.Millisecond, why,
	)
}

// createMany creates objects at the same time.
func createMany(ctx context.Context, c *ControlPlane, ns string, n int) error {
	var all sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		all.Go(func() {
			configMap := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "cm-"}}
			_, errs[i] = c.clients.CoreV1().ConfigMaps(ns).Create(ctx, configMap, metav1.CreateOptions{})
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
