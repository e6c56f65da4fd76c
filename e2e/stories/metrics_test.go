// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/e2e/suite"
)

func TestMetricsAreForThoseWhoMayGetThem(t *testing.T) {
	s := suite.StartForTest(t, suite.Options{Replicas: 1, Flags: []string{"--metrics-secure=true"}})
	for _, account := range []string{"prometheus", "somebody"} {
		_, err := s.Kubectl(t.Context(), "create", "serviceaccount", account)
		require.NoError(t, err)
	}
	_, err := s.Kubectl(t.Context(), "create", "clusterrolebinding", "prometheus",
		"--clusterrole=bridgehead-metrics", "--serviceaccount=default:prometheus")
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(caBundle(t, s)))
	transport := &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: pool, ServerName: "bridgehead-webhook.bridgehead-system.svc", MinVersion: tls.VersionTLS13,
	}}
	defer transport.CloseIdleConnections()
	get := func(token string) (status int, body string) {
		url := "https://" + s.Running()[0].Metrics + "/metrics"
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		require.NoError(t, err)
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		response, err := (&http.Client{Transport: transport}).Do(request)
		require.NoError(t, err, "the certificate is one that the CA of the webhooks signed")
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response.StatusCode, string(text)
	}
	tokenOf := func(account string) string {
		cfg, err := s.ServiceAccountConfig(t.Context(), "default", account)
		require.NoError(t, err)
		require.NotEmpty(t, cfg.BearerToken)
		return cfg.BearerToken
	}
	status, body := get("")
	assert.Equal(t, http.StatusUnauthorized, status)
	assert.NotContains(t, body, "bridgehead_build_info")
	status, _ = get(tokenOf("somebody"))
	assert.Equal(t, http.StatusForbidden, status)
	waitUntil(t, func() bool { // the binding is known to the API server in a moment
		status, body = get(tokenOf("prometheus"))
		return status == http.StatusOK
	})
	assert.Contains(t, body, "bridgehead_build_info")
}
