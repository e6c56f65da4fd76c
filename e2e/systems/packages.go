// SPDX-License-Identifier: Apache-2.0

package systems

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// wanted returns the Debian packages that a system is made of; what they depend on comes along.
func wanted(kubelet bool) []string {
	packages := []string{
		"systemd", "systemd-sysv", "udev", "kmod", "dbus", "network-manager", "systemd-resolved", "iproute2", "iputils-ping",
		"busybox-static",
	}
	if kubelet {
		packages = append(packages, "containerd", "runc")
	}
	return packages
}

// unneeded are dependencies that only the installation of packages needs.
func unneeded(deb string) bool {
	for _, prefix := range []string{
		"perl", "libperl", "dpkg_", "debconf_", "usrmerge_", "adduser_", "gcc-12-base_", "libdb5.3_",
	} {
		if strings.HasPrefix(deb, prefix) {
			return true
		}
	}
	return false
}

// A download is one package as the archive offers it.
type download struct {
	// Name and Version are what apt-get download takes, File is what it leaves.
	Name, Version, File string
}

// closure asks apt for packages with all that they depend on, as for a machine on which nothing is installed.
func closure(ctx context.Context, dir string, packages []string) ([]download, error) {
	status := filepath.Join(dir, "status")
	if err := os.WriteFile(status, nil, 0o644); err != nil {
		return nil, fmt.Errorf("list packages: %w", err)
	}
	args := append(
		[]string{"-o", "Dir::State::status=" + status, "install", "--print-uris", "-qq", "--no-install-recommends"},
		packages...)
	out, err := run(ctx, dir, "apt-get", args...)
	if err != nil {
		return nil, fmt.Errorf("%w (are the package lists there? try: apt-get update)", err)
	}
	var all []download
	for line := range strings.Lines(out) {
		// 'https://…' NAME_VERSION_ARCHITECTURE.deb SIZE DIGEST
		fields := strings.Fields(line)
		if len(fields) < 3 || !strings.HasPrefix(fields[0], "'") || unneeded(fields[1]) {
			continue
		}
		name, rest, _ := strings.Cut(fields[1], "_")
		version, _, _ := strings.Cut(rest, "_")
		all = append(all, download{Name: name, Version: strings.ReplaceAll(version, "%3a", ":"), File: fields[1]})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("apt-get names no packages: %s", out)
	}
	slices.SortFunc(all, func(a, b download) int { return strings.Compare(a.File, b.File) })
	return all, nil
}

// digest names a list of packages and what goes with them.
func digest(packages []download, c content) string {
	sum := sha256.New()
	for _, p := range packages {
		fmt.Fprintln(sum, p.File)
	}
	for _, table := range []map[string]string{c.files, c.programs} {
		for _, path := range sortedKeys(table) {
			fmt.Fprintf(sum, "%q %q\n", path, table[path])
		}
	}
	return hex.EncodeToString(sum.Sum(nil))[:16]
}

// fetch downloads packages into a folder. apt checks the signed digests of what it downloads.
func fetch(ctx context.Context, dir string, packages []download) error {
	args := []string{"download", "-qq"}
	for _, p := range packages {
		args = append(args, p.Name+"="+p.Version)
	}
	_, err := run(ctx, dir, "apt-get", args...)
	return err
}

// unpack unpacks a package below a folder, with what is in /bin, /sbin and /lib put below /usr. What only readers need
// is left out.
func unpack(ctx context.Context, deb, root string) error {
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("unpack %s: %w", deb, err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("unpack %s: %w", deb, err)
	}
	err = unpackTar(tar.NewReader(out), root)
	_, rest := io.Copy(io.Discard, out)
	if err := errors.Join(err, rest, cmd.Wait()); err != nil {
		return fmt.Errorf("unpack %s: %w", deb, err)
	}
	return nil
}

func unpackTar(files *tar.Reader, root string) error {
	for {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		path := merged(header.Name)
		if path == "" {
			continue
		}
		if err := unpackEntry(header, files, root, path); err != nil {
			return err
		}
	}
}

// merged returns where a file of a package is on a system whose /bin, /sbin and /lib are links into /usr; "" if it is
// left out.
func merged(name string) string {
	path := filepath.Clean("/" + name)
	for _, skip := range []string{
		"/usr/share/doc", "/usr/share/man", "/usr/share/locale", "/usr/share/lintian", "/usr/share/info",
	} {
		if path == skip || strings.HasPrefix(path, skip+"/") {
			return ""
		}
	}
	for _, folder := range mergedFolders() {
		if path == folder {
			return ""
		}
		if strings.HasPrefix(path, folder+"/") {
			return "/usr" + path
		}
	}
	return path
}

func mergedFolders() []string { return []string{"/bin", "/sbin", "/lib", "/lib64"} }

func unpackEntry(header *tar.Header, content io.Reader, root, path string) error {
	target := filepath.Join(root, path)
	if header.Typeflag == tar.TypeDir {
		return os.MkdirAll(target, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	switch header.Typeflag {
	case tar.TypeSymlink:
		return os.Symlink(header.Linkname, target)
	case tar.TypeLink:
		return os.Link(filepath.Join(root, merged(header.Linkname)), target)
	case tar.TypeReg:
		return writeFile(target, content, header.FileInfo().Mode().Perm())
	}
	return fmt.Errorf("%s is of an unknown type %q", header.Name, header.Typeflag)
}

func writeFile(path string, content io.Reader, perm fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}

// run runs a program of this machine in a folder and returns what it printed; a failure carries what it complained of.
func run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(complaint.String()))
	}
	return string(out), nil
}
