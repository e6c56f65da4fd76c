// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// files are the configurations of a node that are the same on all.
//
//go:embed files
var files embed.FS

// NodeFile is one of the configurations that are the same on all nodes: containerd.toml or kubelet.yaml.
func NodeFile(name string) (string, error) {
	text, err := files.ReadFile("files/" + name)
	if err != nil {
		return "", fmt.Errorf("read a configuration of nodes: %w", err)
	}
	return string(text), nil
}

// A root is the content of a disk: files of this machine and texts, by their paths on the disk.
type root struct {
	files map[string]string
	texts map[string]string
	links map[string]string
	dirs  map[string]bool // those that may be empty
}

// newRoot lists what is on the disk of every node.
func newRoot(p *programs) (*root, error) {
	r := &root{files: map[string]string{}, texts: map[string]string{}, links: map[string]string{}, dirs: map[string]bool{}}
	for _, dir := range p.packages {
		if err := r.addPackage(dir); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"kubelet", "kube-proxy"} {
		r.files["/usr/bin/"+name] = filepath.Join(p.node, name)
	}
	r.files["/usr/bin/kube-network-policies"] = filepath.Join(p.enforcer, "kube-network-policies")
	for _, name := range []string{"multus", "bridge", "loopback", "ptp", "host-local", "tuning"} {
		r.files["/opt/cni/bin/"+name] = filepath.Join(p.node, name)
	}
	for path, name := range map[string]string{
		"/etc/containerd/config.toml": "containerd.toml", "/etc/kubernetes/kubelet.yaml": "kubelet.yaml",
		"/etc/cni/net.d/00-multus.conf": "multus.conf",
	} {
		text, err := files.ReadFile("files/" + name)
		if err != nil {
			return nil, err
		}
		r.texts[path] = string(text)
	}
	maps.Copy(r.texts, map[string]string{
		"/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n", "/etc/resolv.conf": "nameserver 10.0.2.3\n",
		"/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "/etc/group": "root:x:0:\n",
		"/etc/os-release": "ID=debian\nNAME=Debian\nVERSION_ID=12\nPRETTY_NAME=\"Debian 12, as a node of a test\"\n",
	})
	r.links["/var/run"] = "../run"
	for _, dir := range []string{
		"/proc", "/sys", "/dev", "/run", "/tmp", "/root", "/var/log", "/var/lib", "/etc/cni/net.d",
	} {
		r.dirs[dir] = true
	}
	for _, applet := range []string{
		"sh", "mount", "umount", "killall", "poweroff", "cat", "modprobe", "ls", "ps", "ping",
	} {
		r.links["/bin/"+applet] = "busybox"
	}
	return r, nil
}

// addPackage takes what a package has for programs, not for readers.
func (r *root) addPackage(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		inside := strings.TrimPrefix(path, dir)
		if entry.IsDir() {
			if slices.Contains([]string{"/usr/share/doc", "/usr/share/man", "/usr/share/locale", "/usr/share/lintian"}, inside) {
				return fs.SkipDir
			}
			r.dirs[inside] = true
			return nil
		}
		if entry.Type() == fs.ModeSymlink {
			r.links[inside], err = os.Readlink(path)
			return err
		}
		r.files[inside] = path
		return nil
	})
}

// digest names a root with images: equal digests, equal disks.
func (r *root) digest(images []string) (string, error) {
	sum := sha256.New()
	for _, table := range []map[string]string{r.texts, r.links} {
		for _, path := range slices.Sorted(maps.Keys(table)) {
			fmt.Fprintf(sum, "%q %q\n", path, table[path])
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(r.dirs)) {
		fmt.Fprintf(sum, "%q\n", dir)
	}
	for _, path := range slices.Sorted(maps.Keys(r.files)) {
		// A file of a package or of the binaries' cache changes with its size and its time, and never in place.
		info, err := os.Stat(r.files[path])
		if err != nil {
			return "", fmt.Errorf("read the disk's files: %w", err)
		}
		fmt.Fprintf(sum, "%q %d %s\n", path, info.Size(), info.ModTime().UTC())
	}
	for _, image := range images {
		f, err := os.Open(image)
		if err != nil {
			return "", fmt.Errorf("read an image: %w", err)
		}
		_, err = io.Copy(sum, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return "", fmt.Errorf("read an image: %w", err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil))[:16], nil
}

// stage lays the root out in a folder, by hard links where it can.
func (r *root) stage(dir string) error {
	for path, host := range r.files {
		if err := place(filepath.Join(dir, path), func(to string) error { return linkOrCopy(host, to) }); err != nil {
			return err
		}
	}
	for path, text := range r.texts {
		write := func(to string) error { return os.WriteFile(to, []byte(text), 0o644) }
		if err := place(filepath.Join(dir, path), write); err != nil {
			return err
		}
	}
	for path, target := range r.links {
		if err := place(filepath.Join(dir, path), func(to string) error { return os.Symlink(target, to) }); err != nil {
			return err
		}
	}
	for folder := range r.dirs {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// place makes a file in place of what is there, and its folder.
func place(path string, create func(path string) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return create(path)
}

// linkOrCopy makes a file that is like another.
func linkOrCopy(from, to string) error {
	if os.Link(from, to) == nil {
		return nil
	}
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, info.Mode().Perm())
}
