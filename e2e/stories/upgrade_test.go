// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/bridgehead-dev/bridgehead/e2e/controlplane"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
)

// The releases to come from and to go back to are kept as archives of their source, with their manifests, and so do not
// depend on how much of the history a clone has; see docs/decisions/0019-releases-to-upgrade-from-are-kept.md.
func TestUpgradeAndDowngradeUnderLoadDoNotFailOneRequest(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]struct {
		archive string
		flags   []string
		back    bool
	}{
		"from when the manifests had the webhooks themselves": {archive: "1-without-templates.tar.gz"},
		"from the release before, and back": {
			archive: "2.tar.gz", flags: []string{"--metrics-secure=false"}, back: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old := suite.Release{Root: t.TempDir(), Flags: before.flags}
			unpack(t, filepath.Join("testdata/releases", before.archive), old.Root)
			this, err := suite.This()
			require.NoError(t, err)
			s := suite.StartForTest(t, suite.Options{
				Replicas: 2, Release: &old,
				// What an older release needs does not count.
				ControlPlane: controlplane.Options{AuditDir: t.TempDir()},
			})
			optIn(t, s)
			optInPods(t, s)
			vms, pods := startLoad(t, s, 2), startPods(t, s, 2)
			vms.waitFor(t, 10)
			pods.waitFor(t, 10)
			changeOver(t, s, this, vms, pods)
			requireWebhooksOf(t, s, this)
			if before.back {
				changeOver(t, s, old, vms, pods)
				requireWebhooksOf(t, s, old)
			}
			vms.stop(t)
			pods.stop(t)
			requireUniqueMACs(t, s)
			// Every address is held, whichever release gave it.
			waitUntil(t, func() bool { return int64(len(heldBy(t, s))) == 2*vms.created.Load()+pods.created.Load() })
		})
	}
}

// changeOver applies the manifests of a release and replaces one replica after the other, as a rollout does.
func changeOver(t *testing.T, s *suite.Suite, to suite.Release, loads ...*load) {
	t.Helper()
	require.NoError(t, s.Become(t.Context(), to))
	for _, l := range loads {
		l.waitFor(t, 10)
	}
	for _, old := range s.Running() {
		_, err := s.StartReplica(t.Context())
		require.NoError(t, err)
		for _, l := range loads {
			l.waitFor(t, 10)
		}
		require.NoError(t, s.StopReplica(t.Context(), old))
		assert.Contains(t, old.Log(), `"verdict":"patched"`, "it was at work")
	}
	for _, l := range loads {
		l.waitFor(t, 10)
	}
}

// requireWebhooksOf waits until what is in force is what the manifests of a release say, and nothing has the name that
// was used before there were templates.
func requireWebhooksOf(t *testing.T, s *suite.Suite, r suite.Release) {
	t.Helper()
	template, err := s.Kubectl(t.Context(), "get", "mutatingwebhookconfiguration", "zz-bridgehead-template",
		"-o=jsonpath={.webhooks[*].name}")
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(r.Root, "manifests/base/webhook.yaml"))
	require.NoError(t, err)
	var c admissionregistrationv1.MutatingWebhookConfiguration
	require.NoError(t, yaml.Unmarshal(text, &c))
	var wanted []string
	for _, w := range c.Webhooks {
		wanted = append(wanted, w.Name)
	}
	require.Equal(t, strings.Join(wanted, " "), template)
	waitUntil(t, func() bool { return slices.Equal(wanted, webhookNames(t, s)) })
	waitUntil(t, func() bool {
		return apierrors.IsNotFound(s.Client.Get(t.Context(), client.ObjectKey{Name: "bridgehead"}, &c))
	})
}

// optInPods has the webhook of pods serve namespace default, and returns when the API server knows. There is a network
// for them.
func optInPods(t *testing.T, s *suite.Suite) {
	t.Helper()
	create(t, s, network("l2", "", `{"cniVersion":"0.3.1","type":"bridge","bridge":"br0"}`))
	_, err := s.Kubectl(t.Context(), "label", "namespace", "default", "mutatepods.kubemacpool.io=allocate")
	require.NoError(t, err)
	waitUntil(t, func() bool {
		pod := podWith("default", "dry", "", nil)
		pod.Annotations["k8s.v1.cni.cncf.io/networks"] = "l2"
		require.NoError(t, s.Client.Create(t.Context(), pod, client.DryRunAll))
		return strings.Contains(pod.Annotations["k8s.v1.cni.cncf.io/networks"], `"mac"`)
	})
}

// unpack unpacks the archive of a release.
func unpack(t *testing.T, archive, to string) {
	t.Helper()
	file, err := os.Open(archive)
	require.NoError(t, err)
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	require.NoError(t, err)
	for files := tar.NewReader(unzipped); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		if header.Typeflag != tar.TypeReg {
			continue
		}
		require.True(t, filepath.IsLocal(header.Name), header.Name)
		path := filepath.Join(to, header.Name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		text, err := io.ReadAll(files)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, text, 0o644))
	}
}
