// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"time"
)

// maxBefore is how many CAs are trusted beside the current one, should it be replaced again and again.
const maxBefore = 5

// MergeBundles returns the caBundle of a webhook that has present: the current CA, and those before it while they last,
// for replicas may still serve certificates that they signed. CAs before have the subject of the current one, whoever
// made them: one in the Secret replaces the other. CAs of another subject are somebody else's and dropped. All are in
// PEM.
func MergeBundles(current, present []byte) []byte { return mergeBundles(current, present, time.Now()) }

func mergeBundles(current, present []byte, now time.Time) []byte {
	merged := bytes.TrimSpace(current)
	ours := subjects(current)
	for rest, kept := present, 0; kept < maxBefore; {
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

// Injected returns the caBundle of a webhook whose bundle cert-manager's cainjector keeps: what is present, and the
// current CA where there is none yet, so that a webhook can be called from the moment when it is in force.
func Injected(current, present []byte) []byte {
	if len(present) > 0 {
		return present
	}
	return current
}
