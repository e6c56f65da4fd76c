// SPDX-License-Identifier: Apache-2.0

package binaries

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// errDamaged says that a binary is not what we once built.
var errDamaged = errors.New("binary does not match its checksum")

// A checksum is what we remember of a binary, in a file beside it that `sha256sum -c` reads.
type checksum struct {
	hex  string
	size int64
}

// sumFile returns the path of the checksum of a binary.
func sumFile(binary string) string { return binary + ".sha256" }

// verify returns nil if a binary is as it was built, os.ErrNotExist if it or its checksum is missing, and
// errDamaged otherwise. Hashing half a gigabyte at every start would cost seconds, so the content is read
// only if the file was touched after its checksum was written; the size is compared always.
func verify(binary string) error {
	info, err := os.Stat(binary)
	if err != nil {
		return fmt.Errorf("stat binary: %w", err)
	}
	sum, written, err := readSum(binary)
	if err != nil {
		return err
	}
	if info.Size() != sum.size {
		return errDamaged
	}
	if !info.ModTime().After(written) {
		return nil
	}
	actual, err := sumOf(binary)
	if err != nil {
		return err
	}
	if actual != sum {
		return errDamaged
	}
	now := time.Now()
	if err := os.Chtimes(sumFile(binary), now, now); err != nil {
		return fmt.Errorf("note that the binary was read: %w", err)
	}
	return nil
}

// sumOf reads a whole file.
func sumOf(path string) (checksum, error) {
	f, err := os.Open(path)
	if err != nil {
		return checksum{}, fmt.Errorf("open to hash: %w", err)
	}
	defer func() { _ = f.Close() }()
	hash := sha256.New()
	size, err := io.Copy(hash, f)
	if err != nil {
		return checksum{}, fmt.Errorf("hash %s: %w", path, err)
	}
	return checksum{hex: hex.EncodeToString(hash.Sum(nil)), size: size}, nil
}

// readSum reads the checksum of a binary and when it was written. A checksum that cannot be understood
// is like none.
func readSum(binary string) (checksum, time.Time, error) {
	path := sumFile(binary)
	info, err := os.Stat(path)
	if err != nil {
		return checksum{}, time.Time{}, fmt.Errorf("stat checksum: %w", err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return checksum{}, time.Time{}, fmt.Errorf("read checksum: %w", err)
	}
	var sum checksum
	var name string
	if _, err := fmt.Sscanf(string(data), "# %d bytes\n%64s  %s\n", &sum.size, &sum.hex, &name); err != nil {
		return checksum{}, time.Time{}, errDamaged
	}
	return sum, info.ModTime(), nil
}

// write records the checksum beside the binary, all or nothing.
func (c checksum) write(binary string) error {
	text := fmt.Sprintf("# %d bytes\n%s  %s\n", c.size, c.hex, filepath.Base(binary))
	f, err := os.CreateTemp(filepath.Dir(binary), unfinishedPrefix+"sha256-")
	if err != nil {
		return fmt.Errorf("create checksum: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write checksum: %w", err)
	}
	if err := os.Rename(f.Name(), sumFile(binary)); err != nil {
		return fmt.Errorf("put the checksum in place: %w", err)
	}
	return nil
}
