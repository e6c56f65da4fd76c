// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	apiutil "github.com/cert-manager/cert-manager/pkg/api/util"
	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/e2e/suite"
)

// startWithCertManager starts two replicas whose CA is kept by the controllers of cert-manager, and cainjector.
func startWithCertManager(t *testing.T) *suite.Suite {
	t.Helper()
	program := filepath.Join(t.TempDir(), "certmanager")
	build(t, "e2e/stories/testdata/certmanager", program, ".") // which takes minutes the first time
	s := suite.StartForTest(t, suite.Options{
		Manifests: "manifests/cert-manager", Before: []string{certManagerCRDs(t)},
		Flags: []string{"--connection-max-age=1ms", "--ca=cert-manager"},
	})
	runCertManager(t, s, program)
	for range 2 {
		_, err := s.StartReplica(t.Context())
		require.NoError(t, err)
	}
	return s
}

// certManagerCRDs returns the folder of cert-manager's custom resource definitions, in its module.
func certManagerCRDs(t *testing.T) string {
	t.Helper()
	const program, module = "e2e/stories/testdata/certmanager", "github.com/cert-manager/cert-manager"
	goCommand(t, program, "mod", "download", module)
	dir := goCommand(t, program, "list", "-m", "-f", "{{.Dir}}", module)
	from := filepath.Join(strings.TrimSpace(dir), "deploy/crds")
	files, err := filepath.Glob(filepath.Join(from, "*_*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	to := t.TempDir()
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(to, filepath.Base(file)), text, 0o644))
	}
	return to
}

// runCertManager runs cert-manager until the test is over.
func runCertManager(t *testing.T, s *suite.Suite, program string) {
	t.Helper()
	log, err := os.Create(program + ".log")
	require.NoError(t, err)
	process := exec.Command(program, "--kubeconfig", s.Kubeconfig) //nolint:noctx // it is ended below
	process.Stdout, process.Stderr = log, log
	process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, process.Start())
	t.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait() // it was killed
		_ = log.Close()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("cert-manager:\n%s", text[max(0, len(text)-10000):])
		}
	})
}

// waitIssued waits until cert-manager is done with what it issues. Until then it writes the same CA once more should
// its Secret be deleted.
func waitIssued(t *testing.T, s *suite.Suite) {
	t.Helper()
	waitUntil(t, func() bool {
		text, err := s.Kubectl(t.Context(), "get", "certificate", "bridgehead-ca", "-n", "bridgehead-system", "-o", "json")
		require.NoError(t, err)
		var c cmapi.Certificate
		require.NoError(t, json.Unmarshal([]byte(text), &c))
		ready := cmapi.CertificateCondition{
			Type: cmapi.CertificateConditionReady, Status: cmmeta.ConditionTrue, ObservedGeneration: c.Generation,
		}
		issuing := cmapi.CertificateCondition{Type: cmapi.CertificateConditionIssuing, Status: cmmeta.ConditionTrue}
		return apiutil.CertificateHasConditionWithObservedGeneration(&c, ready) &&
			!apiutil.CertificateHasCondition(&c, issuing)
	})
}

// build builds a program in a folder of the repository that is a module of its own. The flags are those by which the
// control plane is built, so that what they have in common is compiled once.
func build(t *testing.T, folder, program, pkg string) {
	t.Helper()
	goCommand(t, folder, "build", "-trimpath", "-ldflags=-s -w", "-o", program, pkg)
}

// goCommand runs the go command in a folder of the repository.
func goCommand(t *testing.T, folder string, args ...string) string {
	t.Helper()
	root, err := suite.Root()
	require.NoError(t, err)
	command := exec.CommandContext(t.Context(), "go", args...)
	command.Dir = filepath.Join(root, folder)
	command.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	command.Stderr = os.Stderr
	out, err := command.Output()
	require.NoError(t, err, "go %v", args)
	return string(out)
}
