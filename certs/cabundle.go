// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const (
	// maxBefore is how many CAs are trusted beside the current one, should it be replaced again and again.
	maxBefore = 5
	// recentTime is how long a CA does not count among those: replicas serve what one before it signed until API servers
	// have heard of another, see spreadTime. It may say of itself that it is valid from maxSkew before it was made.
	recentTime = maxSkew + 10*spreadTime
	// maxRecent is how many are trusted that do not count.
	maxRecent = 50
	// changeTime is how long after the Secret of the CA was written a CA by another name may be the one before: longer
	// than replicas serve what that one signed.
	changeTime = 3 * maxSkew
)

// maxBehind is how many newer CAs may be trusted beside that of a certificate which is still served: two less than are
// kept, so that there is time to tell everybody before it is forgotten.
const maxBehind = maxBefore - 2

// MergeBundles returns the caBundle of a webhook that has present: the current CA, and those before it while they last,
// for replicas may still serve certificates that they signed. CAs before have the subject of the current one, whoever
// made them: one in the Secret replaces the other. CAs of another subject are somebody else's and dropped, but for the
// time when the Secret was written of late: until then, one of them was the CA. All are in PEM.
func MergeBundles(current, present []byte, written time.Time) []byte {
	return mergeBundles(current, present, written, time.Now())
}

func mergeBundles(current, present []byte, written, now time.Time) []byte {
	merged := bytes.TrimSpace(current)
	latest := certificatesIn(current)
	ours := func(ca *x509.Certificate) bool {
		return now.Sub(written) < changeTime ||
			slices.ContainsFunc(latest, func(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, ca.RawSubject) })
	}
	kept, recent := 0, 0
	for _, ca := range certificatesIn(present) {
		text := bytes.TrimSpace(encoded(ca))
		counted, most := &kept, maxBefore
		if now.Sub(ca.NotBefore) < recentTime {
			counted, most = &recent, maxRecent
		}
		if *counted == most || !ours(ca) || now.After(ca.NotAfter) || bytes.Contains(merged, text) {
			continue
		}
		merged = append(append(bytes.Clone(merged), '\n'), text...)
		*counted++
	}
	return append(bytes.Clone(merged), '\n')
}

// certificatesIn returns the certificates in PEM that can be read, each once.
func certificatesIn(bundle []byte) []*x509.Certificate {
	var found []*x509.Certificate
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err == nil && !slices.ContainsFunc(found, c.Equal) {
			found = append(found, c)
		}
	}
	return found
}

// Readable reports whether there is a certificate in a bundle that can be read.
func Readable(bundle []byte) bool { return len(certificatesIn(bundle)) > 0 }

// encoded returns a certificate in PEM.
func encoded(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// Written returns when a Secret was last written, as the API server says.
func Written(secret *corev1.Secret) time.Time {
	last := secret.CreationTimestamp.Time
	for _, entry := range secret.ManagedFields {
		if entry.Time != nil {
			last = later(last, entry.Time.Time)
		}
	}
	return last
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
