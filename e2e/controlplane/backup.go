// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"syscall"
)

// BackUpEtcd copies etcd's data to a folder that does not exist yet. etcd stands still meanwhile, so the copy is what a
// power cut would leave.
func (c *ControlPlane) BackUpEtcd(folder string) error {
	if err := c.etcd.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	err := os.CopyFS(folder, os.DirFS(c.run.path("etcd")))
	if err := errors.Join(err, c.etcd.signal(syscall.SIGCONT)); err != nil {
		return fmt.Errorf("back up etcd: %w", err)
	}
	return nil
}

// RestoreEtcd replaces etcd's data by those of a backup, as one does after a disaster: API server and etcd are stopped
// for it, and serve what was backed up when it returns. What has happened since is undone, revisions included.
func (c *ControlPlane) RestoreEtcd(ctx context.Context, folder string) error {
	if err := errors.Join(c.apiServer.kill(), c.etcd.kill()); err != nil {
		return err
	}
	data := c.run.path("etcd")
	if err := errors.Join(os.RemoveAll(data), os.CopyFS(data, os.DirFS(folder))); err != nil {
		return fmt.Errorf("restore etcd: %w", err)
	}
	if err := os.Chmod(data, 0o700); err != nil { // etcd insists
		return fmt.Errorf("restore etcd: %w", err)
	}
	if err := startProcess(ctx, c.etcd, http.DefaultClient, c.etcdHealth); err != nil {
		return err
	}
	return c.RestartAPIServer(ctx)
}
