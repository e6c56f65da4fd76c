// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
)

const (
	// nonceLength and signatureLength are numbers of bytes.
	nonceLength, signatureLength = 12, 16
)

// A claimKey signs claims. It is a secret that the replicas share.
type claimKey []byte

// id names the key without giving it away.
func (k claimKey) id() string {
	sum := sha256.Sum256(append([]byte("bridgehead claim key "), k...))
	return spell(sum[:5])
}

// sign returns the signature of a creation that goes by a nonce.
func (k claimKey) sign(nonce string, of claimScope) string {
	mac := hmac.New(sha256.New, k)
	_ = json.NewEncoder(mac).Encode([]any{
		"bridgehead claim", nonce, of.kind, of.namespace, of.generateName, of.user, of.dryRun,
	}) // a hash takes everything
	return spell(mac.Sum(nil)[:signatureLength])
}

// spell writes bytes in digits and lower-case letters.
func spell(b []byte) string {
	return strings.ToLower(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(b))
}

// A claimScope is the creation that a claim is bound to.
type claimScope struct {
	kind, namespace, generateName, user string
	dryRun                              bool
}

func claimScopeOf(kind string, request *admissionv1.AdmissionRequest, meta metadata) claimScope {
	return claimScope{
		kind: kind, namespace: request.Namespace, generateName: meta.GenerateName, user: request.UserInfo.Username,
		dryRun: isDryRun(request),
	}
}

// newClaim returns a claim for a creation, and the nonce that the ledger knows it by.
func newClaim(k claimKey, of claimScope) (claim, nonce string) {
	random := make([]byte, nonceLength)
	_, _ = rand.Read(random) // it never fails
	nonce = spell(random)
	return k.id() + "." + nonce + "." + k.sign(nonce, of), nonce
}

// readClaim returns the nonce of a claim that one of the keys signed for this creation. known reports whether the claim
// names one of the keys, or is none at all.
func readClaim(claim string, of claimScope, keys ...claimKey) (nonce string, valid, known bool) {
	parts := strings.Split(claim, ".")
	if len(parts) != 3 {
		return "", false, true
	}
	for _, k := range keys {
		if parts[0] == k.id() {
			return parts[1], hmac.Equal([]byte(parts[2]), []byte(k.sign(parts[1], of))), true
		}
	}
	return "", false, false
}

// newUnsignedClaim returns a claim as the release before gives it.
func newUnsignedClaim(now time.Time) string {
	random := make([]byte, 8)
	_, _ = rand.Read(random)
	n := uint64(0)
	for _, b := range random {
		n = n<<8 | uint64(b)
	}
	return strconv.FormatInt(now.UnixMilli(), 36) + "-" + strconv.FormatUint(n, 36)
}

// isUnsignedClaim reports whether a claim has the form that the release before gives it.
func isUnsignedClaim(claim string) bool {
	stamp, number, _ := strings.Cut(claim, "-")
	made, errMade := strconv.ParseInt(stamp, 36, 64)
	n, errNumber := strconv.ParseUint(number, 36, 64)
	return errMade == nil && errNumber == nil &&
		claim == strconv.FormatInt(made, 36)+"-"+strconv.FormatUint(n, 36)
}
