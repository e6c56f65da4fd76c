// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"embed"
	"fmt"
	"os"
	"path/filepath"
)

//go:generate go run ./gencrds -tools ../../tools/go.mod -out crds

// crds are the custom resource definitions of KubeVirt 1.9 and of network attachments, see gencrds.
//
//go:embed crds/*.yaml
var crds embed.FS

// InstallKubeVirt makes the API server know what a cluster with KubeVirt and Multus knows: virtual
// machines, their instances and migrations (kubevirt.io/v1 and v1alpha3), and network attachment
// definitions (k8s.cni.cncf.io/v1). Only the kinds: nothing acts on them.
func (c *ControlPlane) InstallKubeVirt(ctx context.Context) error {
	dir, err := os.MkdirTemp(c.run.dir, "kubevirt-")
	if err != nil {
		return fmt.Errorf("make a folder for the CRDs: %w", err)
	}
	if err := os.CopyFS(dir, crds); err != nil {
		return fmt.Errorf("write the CRDs: %w", err)
	}
	return c.Apply(ctx, filepath.Join(dir, "crds"))
}
