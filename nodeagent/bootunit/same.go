// SPDX-License-Identifier: Apache-2.0

package bootunit

import (
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
)

// sameProgram reports whether two files have the same contents and the second may be run. It may be missing.
func sameProgram(one, other string) (bool, error) {
	info, err := os.Lstat(other)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode() != programMode {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	a, err := sum(one)
	if err != nil {
		return false, err
	}
	b, err := sum(other)
	return a == b && err == nil, err
}

// sum returns the SHA-256 of a file.
func sum(path string) (sum [sha256.Size]byte, err error) {
	file, err := os.Open(path)
	if err != nil {
		return sum, err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return sum, err
	}
	return [sha256.Size]byte(hash.Sum(nil)), nil
}
