// SPDX-License-Identifier: Apache-2.0

package version

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhatTheLinkerStampsIsWhatAProgramSays(t *testing.T) {
	program := filepath.Join(t.TempDir(), "bridgehead-agent")
	flags := "-ldflags=" + LinkerFlags("v9.8.7", "c0ffee")
	out, err := exec.CommandContext(t.Context(), "go", "build", flags, "-o", program, "../cmd/bridgehead-agent").
		CombinedOutput()
	require.NoError(t, err, string(out))
	said, err := exec.CommandContext(t.Context(), program, "--version").Output()
	require.NoError(t, err)
	assert.Regexp(t, `^bridgehead-agent v9\.8\.7 \(go`, string(said))
	text, err := os.ReadFile(program)
	require.NoError(t, err)
	assert.Contains(t, string(text), "c0ffee")
}

func TestMetric(t *testing.T) {
	registry := prometheus.NewRegistry()
	require.NoError(t, registry.Register(Metric()))
	families, err := registry.Gather()
	require.NoError(t, err)
	require.Len(t, families, 1)
	assert.Equal(t, "bridgehead_build_info", families[0].GetName())
	metric := families[0].GetMetric()[0]
	assert.InDelta(t, 1, metric.GetGauge().GetValue(), 0)
	labels := map[string]string{}
	for _, l := range metric.GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	assert.Equal(t, String(), labels["version"])
	assert.NotEmpty(t, labels["revision"])
	assert.NotEmpty(t, labels["goversion"])
}
