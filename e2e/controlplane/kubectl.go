// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// KubectlCommand prepares a run of kubectl as administrator; the caller may still set its standard input
// and output, working folder and environment. Plugins and other programs that it starts find the same
// access in KUBECONFIG. kubectl keeps its caches, and looks for its preferences, in the data of this
// control plane and not in the user's home.
func (c *ControlPlane) KubectlCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(c.binaries, "kubectl"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig, "HOME="+c.run.dir, "KUBECACHEDIR="+c.run.path("kubectl"))
	return cmd
}

// Kubectl runs kubectl as administrator and returns what it prints. If it fails, the error holds what it
// said on standard error.
func (c *ControlPlane) Kubectl(ctx context.Context, args ...string) (stdout string, err error) {
	return c.KubectlInput(ctx, "", args...)
}

// KubectlInput is Kubectl with a standard input, for "-f -".
func (c *ControlPlane) KubectlInput(ctx context.Context, stdin string, args ...string) (stdout string, err error) {
	var out, said bytes.Buffer
	cmd := c.KubectlCommand(ctx, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &said
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(said.String()))
	}
	return out.String(), nil
}

// Apply does what the installation instructions tell users to do: server-side apply of a kustomization
// (a folder with a kustomization.yaml), a folder of manifests or a file. Then it waits until the custom
// resources that exist are served.
func (c *ControlPlane) Apply(ctx context.Context, path string) error {
	// This flag takes a list of paths, in the notation of CSV.
	what := `--filename="` + strings.ReplaceAll(path, `"`, `""`) + `"`
	if _, err := os.Stat(filepath.Join(path, "kustomization.yaml")); err == nil {
		what = "--kustomize=" + path
	}
	if _, err := c.Kubectl(ctx, "apply", "--server-side", what); err != nil {
		return err
	}
	return c.waitForCRDs(ctx)
}

// waitForCRDs waits until every custom resource definition is established.
func (c *ControlPlane) waitForCRDs(ctx context.Context) error {
	names, err := c.Kubectl(ctx, "get", "customresourcedefinitions", "--output=name")
	if err != nil || names == "" {
		return err
	}
	_, err = c.Kubectl(
		ctx,
		append([]string{"wait", "--for=condition=Established", "--timeout=30s"}, strings.Fields(names)...)...)
	return err
}
