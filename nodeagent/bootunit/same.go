// SPDX-License-Identifier: Apache-2.0

package bootunit

import (
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
)

// sameFile reports whether two files have the same contents. The second may be missing.
func sameFile(one, other string) (bool, error) {
	a, err := sum(one)
	if err != nil {
		return false, err
	}
	b, err := sum(other)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return a == b && err == nil, err
}

// sum is the SHA-256 of a file.
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
