// SPDX-License-Identifier: Apache-2.0

package onnodes

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/e2e/cluster"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
)

// A monitor is what counts here of a ServiceMonitor.
type monitor struct {
	Metadata struct{ Name, Namespace string }
	Spec     struct {
		Selector  struct{ MatchLabels map[string]string }
		Endpoints []struct {
			Port, Scheme string
			TLSConfig    struct {
				ServerName         string
				InsecureSkipVerify bool
				CA                 struct {
					Secret struct{ Name, Key string }
				}
			}
		}
	}
}

// monitors are the ServiceMonitors of the manifests.
func monitors(t *testing.T) (all []monitor) {
	t.Helper()
	root, err := suite.Root()
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(root, "manifests/components/prometheus/servicemonitor.yaml"))
	require.NoError(t, err)
	for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096); ; {
		var m monitor
		err := decoder.Decode(&m)
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		require.Len(t, m.Spec.Endpoints, 1)
		all = append(all, m)
	}
}

// metricsAreScraped asks every replica and every agent for metrics as a Prometheus does that its operator configures by
// the ServiceMonitors: at the endpoints of the Services that they select, with TLS as they say. The token is one of a
// running pod, as kubelet mounts them.
func metricsAreScraped(t *testing.T, c *cluster.Cluster) {
	require.NoError(t, c.WaitInstalled(t.Context()))
	kubectl(
		t, c, "create", "clusterrolebinding", "scrape", "--clusterrole=bridgehead-metrics",
		"--serviceaccount=default:default",
	)
	token := strings.TrimSpace(kubectl(
		t, c, "create", "token", "default", "--bound-object-kind=Pod", "--bound-object-name="+launcher+"vma",
	))
	kubectl(t, c, "create", "serviceaccount", "stranger")
	stranger := strings.TrimSpace(kubectl(t, c, "create", "token", "stranger"))
	scraped := map[string]int{}
	for _, m := range monitors(t) {
		scraper := &http.Client{Timeout: time.Minute, Transport: m.transport(t, c)}
		for _, target := range m.targets(t, c) {
			// Slow nodes lose a request now and then, and the binding is known in a moment.
			answers(t, scraper, target, "", http.StatusUnauthorized)
			answers(t, scraper, target, stranger, http.StatusForbidden)
			body := answers(t, scraper, target, token, http.StatusOK)
			assert.Regexp(t, `bridgehead_build_info\{.*version="e2e".*\} 1`, body, target)
			scraped[m.Metadata.Name]++
		}
		scraper.CloseIdleConnections()
	}
	assert.Equal(t, map[string]int{"bridgehead": 2, "bridgehead-agent": len(c.Nodes)}, scraped)
}

// answers waits until a target answers with a status to who has a token, or none, and returns what it says.
func answers(t *testing.T, scraper *http.Client, target, token string, want int) (body string) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), time.Second, within, true, func(ctx context.Context) (bool, error) {
		var status int
		if status, body, last = get(ctx, scraper, target, token); last == nil && status != want {
			last = fmt.Errorf("status %d", status)
		}
		return last == nil, nil
	})
	require.NoError(t, err, "%s does not answer with status %d, but %v", target, want, last)
	return body
}

// get gets metrics, with a token if there is one.
func get(ctx context.Context, scraper *http.Client, target, token string) (status int, body string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := scraper.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// transport reaches pods and nodes, with TLS as the monitor says.
func (m monitor) transport(t *testing.T, c *cluster.Cluster) *http.Transport {
	t.Helper()
	said := m.Spec.Endpoints[0].TLSConfig
	config := &tls.Config{ServerName: said.ServerName, MinVersion: tls.VersionTLS13}
	config.InsecureSkipVerify = said.InsecureSkipVerify
	if said.CA.Secret.Name != "" {
		var secret corev1.Secret
		key := client.ObjectKey{Namespace: m.Metadata.Namespace, Name: said.CA.Secret.Name}
		require.NoError(t, c.Client.Get(t.Context(), key, &secret))
		config.RootCAs = x509.NewCertPool()
		require.True(t, config.RootCAs.AppendCertsFromPEM(secret.Data[said.CA.Secret.Key]))
	}
	return &http.Transport{Proxy: http.ProxyURL(c.Nodes[0].Proxy()), TLSClientConfig: config}
}

// targets are the addresses of what is ready behind the Services that the monitor selects.
func (m monitor) targets(t *testing.T, c *cluster.Cluster) (all []string) {
	t.Helper()
	here := client.InNamespace(m.Metadata.Namespace)
	var services corev1.ServiceList
	require.NoError(t, c.Client.List(t.Context(), &services, here, client.MatchingLabels(m.Spec.Selector.MatchLabels)))
	require.Len(t, services.Items, 1, m.Metadata.Name)
	var found discoveryv1.EndpointSliceList
	require.NoError(t, c.Client.List(
		t.Context(), &found, here, client.MatchingLabels{discoveryv1.LabelServiceName: services.Items[0].Name},
	))
	endpoint := m.Spec.Endpoints[0]
	for _, s := range found.Items {
		port := slices.IndexFunc(s.Ports, func(p discoveryv1.EndpointPort) bool { return *p.Name == endpoint.Port })
		require.GreaterOrEqual(t, port, 0, "%s has no port %s", s.Name, endpoint.Port)
		for _, e := range s.Endpoints {
			if e.Conditions.Ready != nil && !*e.Conditions.Ready {
				continue // it ends, or has only begun
			}
			all = append(all, fmt.Sprintf("%s://%s:%d/metrics", endpoint.Scheme, e.Addresses[0], *s.Ports[port].Port))
		}
	}
	return all
}
