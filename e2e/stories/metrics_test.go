// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"testing"

	"github.com/go-logr/logr/testr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/e2e/controlplane"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
	agentmetrics "github.com/bridgehead-dev/bridgehead/nodeagent/scrape"
	"github.com/bridgehead-dev/bridgehead/version"
)

func TestMetricsAreForThoseWhoMayGetThem(t *testing.T) {
	t.Parallel()
	s := suite.StartForTest(t, suite.Options{Replicas: 1, Flags: []string{"--metrics-secure=true"}})
	for _, account := range []string{"prometheus", "somebody"} {
		_, err := s.Kubectl(t.Context(), "create", "serviceaccount", account)
		require.NoError(t, err)
	}
	_, err := s.Kubectl(t.Context(), "create", "clusterrolebinding", "prometheus",
		"--clusterrole=bridgehead-metrics", "--serviceaccount=default:prometheus")
	require.NoError(t, err)

	t.Run("of replicas, whose certificate is one that the CA of the webhooks signed", func(t *testing.T) {
		pool := x509.NewCertPool()
		require.True(t, pool.AppendCertsFromPEM(caBundle(t, s)))
		requireGuarded(t, s.ControlPlane, s.Running()[0].Metrics, &tls.Config{
			RootCAs: pool, ServerName: "bridgehead-webhook.bridgehead-system.svc", MinVersion: tls.VersionTLS13,
		})
	})
	t.Run("of agents, whose certificate nobody signed", func(t *testing.T) {
		cfg, err := s.ServiceAccountConfig(t.Context(), "bridgehead-agent", "bridgehead-agent")
		require.NoError(t, err)
		registry := prometheus.NewRegistry()
		registry.MustRegister(version.Metric())
		addresses, err := suite.FreeAddresses(1)
		require.NoError(t, err)
		require.NoError(t, agentmetrics.Serve(t.Context(), addresses[0], cfg, registry, testr.New(t)))
		requireGuarded(t, s.ControlPlane, addresses[0], &tls.Config{
			InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, //nolint:gosec // as the ServiceMonitor says
		})
		require.Error(t, agentmetrics.Serve(t.Context(), addresses[0], cfg, registry, testr.New(t)), "the address is taken")
	})
}

// requireGuarded requires that metrics at an address are given to account prometheus and to nobody else.
func requireGuarded(t *testing.T, plane *controlplane.ControlPlane, address string, config *tls.Config) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: config}
	defer transport.CloseIdleConnections()
	get := func(token string) (status int, body string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+"/metrics", nil)
		require.NoError(t, err)
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		response, err := (&http.Client{Transport: transport}).Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response.StatusCode, string(text)
	}
	tokenOf := func(account string) string {
		cfg, err := plane.ServiceAccountConfig(t.Context(), "default", account)
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
