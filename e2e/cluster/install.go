// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/bridgehead-dev/bridgehead/e2e/suite"
)

const (
	// Bridgehead is the name of the image that is on every node.
	Bridgehead = "localhost/bridgehead:e2e"
	// Namespace has the manager.
	Namespace = "bridgehead-system"
	// AgentNamespace has the agents.
	AgentNamespace = "bridgehead-agent"
)

// ApplyManifests applies the manifests as users do, with the name of the image set.
func (c *Cluster) ApplyManifests(ctx context.Context) error {
	overlay, err := c.overlay()
	if err != nil {
		return err
	}
	c.say("installing Bridgehead")
	return c.Apply(ctx, overlay)
}

// Install applies the manifests and waits until every pod is ready.
func (c *Cluster) Install(ctx context.Context) error {
	if err := c.ApplyManifests(ctx); err != nil {
		return err
	}
	if err := c.WaitInstalled(ctx); err != nil {
		return err
	}
	c.say("Bridgehead is ready")
	return nil
}

// Reinstall applies the manifests over whatever was changed by hand, and waits as Install does.
func (c *Cluster) Reinstall(ctx context.Context) error {
	overlay, err := c.overlay()
	if err != nil {
		return err
	}
	if _, err := c.Kubectl(ctx, "apply", "--server-side", "--force-conflicts", "--kustomize="+overlay); err != nil {
		return err
	}
	return c.WaitInstalled(ctx)
}

// WaitInstalled waits until every pod of Bridgehead is ready and its webhooks are called.
func (c *Cluster) WaitInstalled(ctx context.Context) error {
	for _, what := range [][]string{{Namespace, "deployment/bridgehead"}, {AgentNamespace, "daemonset/bridgehead-agent"}} {
		namespace, workload := what[0], what[1]
		_, err := c.Kubectl(ctx, "-n", namespace, "rollout", "status", workload, "--timeout="+maxWait.String())
		if err != nil {
			return err
		}
	}
	return suite.WaitArmed(ctx, c.Client)
}

// overlay writes a kustomization that names the image.
func (c *Cluster) overlay() (string, error) {
	root, err := suite.Root()
	if err != nil {
		return "", err
	}
	base := c.options.Manifests
	if base == "" {
		base = "manifests"
	}
	dir := filepath.Join(c.dir, "overlay")
	relative, err := filepath.Rel(dir, filepath.Join(root, base))
	if err != nil {
		return "", fmt.Errorf("find the manifests: %w", err)
	}
	name, tag, _ := strings.Cut(Bridgehead, ":")
	text := fmt.Sprintf("resources: [%s]\nimages: [{name: bridgehead, newName: %s, newTag: %s}]\n", relative, name, tag)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o644)
}
