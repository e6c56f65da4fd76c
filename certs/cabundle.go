// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"time"
)

// MergeBundles returns the caBundle of a webhook that has present: the current CA, and the one before it while that
// lasts, for replicas may still serve certificates that it signed. The CA before has the subject of the current one,
// whoever made them: one in the Secret replaces the other. CAs of another subject are somebody else's and dropped. All
// are in PEM.
func MergeBundles(current, present []byte) []byte { return mergeBundles(current, present, time.Now()) }

func mergeBundles(current, present []byte, now time.Time) []byte {
	merged := bytes.TrimSpace(current)
	ours := subjects(current)
	for rest, kept := present, 0; kept == 0; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		encoded := bytes.TrimSpace(pem.EncodeToMemory(block))
		ca, err := x509.ParseCertificate(block.Bytes)
		if err != nil || !ours[string(ca.RawSubject)] || now.After(ca.NotAfter) || bytes.Contains(merged, encoded) {
			continue
		}
		merged = append(append(bytes.Clone(merged), '\n'), encoded...)
		kept++
	}
	return append(bytes.Clone(merged), '\n')
}

// subjects are those of certificates in PEM, in DER.
func subjects(certificates []byte) map[string]bool {
	found := map[string]bool{}
	for block, rest := pem.Decode(certificates); block != nil; block, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			found[string(c.RawSubject)] = true
		}
	}
	return found
}
