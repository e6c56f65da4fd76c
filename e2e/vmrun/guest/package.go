// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// FetchPackages returns the directories of unpacked Debian packages, in the
// order of their names; see FetchPackage.
func FetchPackages(ctx context.Context, cache string, log io.Writer, names ...string) ([]string, error) {
	dirs := make([]string, 0, len(names))
	for _, name := range names {
		dir, err := FetchPackage(ctx, cache, name, log)
		if err != nil {
			return nil, err
		}
		dirs = append(dirs, dir)
	}
	return dirs, nil
}

// FetchPackage returns the directory of an unpacked Debian package below a
// cache, downloading and unpacking it the first time. Nothing is installed, so
// no root is needed. log receives one line a step while it is fetched.
func FetchPackage(ctx context.Context, cache, name string, log io.Writer) (string, error) {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("make the package cache: %w", err)
	}
	unlock, err := Lock(filepath.Join(cache, ".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	dir := filepath.Join(cache, name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	return dir, KernelSource{Cache: cache, Log: log}.download(ctx, name, dir)
}
