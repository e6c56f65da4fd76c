// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

func TestAClaimIsGoodForTheCreationItWasGivenTo(t *testing.T) {
	own := claimScope{kind: macpool.KindVM, namespace: "home", generateName: "vm-", user: "alice"}
	key := claimKey("a key")
	claim, nonce := newClaim(key, own)
	for name, c := range map[string]struct {
		claim string
		of    func(*claimScope)
		keys  []claimKey
		// valid says whether it is good, known whether its key is.
		valid, known bool
	}{
		"itself":                         {valid: true, known: true},
		"signed with the key before":     {keys: []claimKey{claimKey("newer"), key}, valid: true, known: true},
		"signed with another key":        {keys: []claimKey{claimKey("newer")}},
		"of another user":                {of: func(s *claimScope) { s.user = "bob" }, known: true},
		"of another namespace":           {of: func(s *claimScope) { s.namespace = "away" }, known: true},
		"of another generated name":      {of: func(s *claimScope) { s.generateName = "vm" }, known: true},
		"of another kind":                {of: func(s *claimScope) { s.kind = macpool.KindPod }, known: true},
		"of a dry run":                   {of: func(s *claimScope) { s.dryRun = true }, known: true},
		"with another nonce":             {claim: strings.Replace(claim, nonce, strings.Repeat("0", len(nonce)), 1), known: true},
		"with a nonce that is used":      {claim: strings.Replace(claim, nonce, nonce+"-2", 1), known: true},
		"without its signature":          {claim: claim[:strings.LastIndex(claim, ".")+1], known: true},
		"with a part of its signature":   {claim: claim[:len(claim)-1], known: true},
		"with something after":           {claim: claim + ".x", known: true},
		"a claim of the release before":  {claim: newUnsignedClaim(newWorld(t).clock.Now()), known: true},
		"none":                           {claim: " ", known: true},
		"with its parts moved by a byte": {claim: strings.Replace(claim, "."+nonce, nonce[:1]+"."+nonce[1:], 1)},
	} {
		t.Run(name, func(t *testing.T) {
			if c.claim == "" {
				c.claim = claim
			}
			of := own
			if c.of != nil {
				c.of(&of)
			}
			if c.keys == nil {
				c.keys = []claimKey{key}
			}
			got, valid, known := readClaim(c.claim, of, c.keys...)
			assert.Equal(t, c.valid, valid)
			assert.Equal(t, c.known, known)
			if valid {
				assert.Equal(t, nonce, got)
			}
		})
	}
}

func TestNoTwoClaimsAreEqual(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		for _, claim := range []string{newUnsignedClaim(newWorld(t).clock.Now()), func() string {
			claim, _ := newClaim(claimKey("a key"), claimScope{})
			return claim
		}()} {
			assert.False(t, seen[claim])
			seen[claim] = true
		}
	}
}

// generated returns the review of a VM that a user creates by the generateName gen-, with an address or none, and with
// a claim or none.
func generated(t *testing.T, user, mac, claim string, dryRun bool) []byte {
	t.Helper()
	type m = map[string]any
	annotations := m{}
	if claim != "" {
		annotations[macpool.ClaimAnnotation] = claim
	}
	nic := m{"name": "net", "bridge": m{}}
	if mac != "" {
		nic["macAddress"] = mac
	}
	object, err := json.Marshal(m{
		"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine",
		"metadata": m{"generateName": "gen-", "namespace": "default", "annotations": annotations},
		"spec": m{"template": m{"spec": m{
			"domain":   m{"devices": m{"interfaces": []any{nic}}},
			"networks": []any{m{"name": "net", "multus": m{"networkName": "l2"}}},
		}}},
	})
	require.NoError(t, err)
	request := &admissionv1.AdmissionRequest{
		UID: "1", Operation: admissionv1.Create, Namespace: "default", DryRun: &dryRun,
		UserInfo: authenticationv1.UserInfo{Username: user},
	}
	request.Kind.Kind = "VirtualMachine"
	request.Object.Raw = object
	review := admissionv1.AdmissionReview{Request: request}
	review.SetGroupVersionKind(admissionv1.SchemeGroupVersion.WithKind("AdmissionReview"))
	body, err := json.Marshal(review)
	require.NoError(t, err)
	return body
}

// first has a VM created once, and returns the address and the claim that it was given.
func first(t *testing.T, w *world) (mac, claim string) {
	t.Helper()
	response := w.post(generated(t, "alice", "", "", false))
	require.True(t, response.Allowed)
	mac, _ = changes(t, response.Patch)["/spec/template/spec/domain/devices/interfaces/0/macAddress"].(string)
	require.NotEmpty(t, mac)
	return mac, claimIn(t, response)
}

// claimIn returns the claim that an answer writes.
func claimIn(t *testing.T, response *admissionv1.AdmissionResponse) string {
	t.Helper()
	claim, _ := changes(t, response.Patch)["/metadata/annotations/bridgehead.dev~1claim"].(string)
	require.Len(t, strings.Split(claim, "."), 3, "no claim in %s", response.Patch)
	return claim
}

func TestASecondLookAtACreationChangesNothing(t *testing.T) {
	w := newWorld(t)
	defer w.flush()
	mac, claim := first(t, w)
	response := w.post(generated(t, "alice", mac, claim, false))
	require.True(t, response.Allowed, "%v", response.Result)
	assert.Empty(t, response.Patch)
}

func TestAClaimThatIsNotOfThisCreationGivesNoAddressOfAnother(t *testing.T) {
	scope := claimScope{kind: macpool.KindVM, namespace: "default", generateName: "gen-", user: "alice"}
	forged, _ := newClaim(claimKey("another key"), scope)
	type response = *admissionv1.AdmissionResponse
	for name, try := range map[string]func(t *testing.T, w *world, mac, claim string) response{
		"forged with a key that is not ours": func(_ *testing.T, w *world, mac, _ string) response {
			return w.post(generated(t, "alice", mac, forged, false))
		},
		"in the form that the release before gave": func(_ *testing.T, w *world, mac, _ string) response {
			return w.post(generated(t, "alice", mac, newUnsignedClaim(w.clock.Now()), false))
		},
		"copied by another user": func(_ *testing.T, w *world, mac, claim string) response {
			return w.post(generated(t, "bob", mac, claim, false))
		},
		"copied while the object exists": func(_ *testing.T, w *world, mac, claim string) response {
			w.exists[nameless(claim)] = true
			return w.post(generated(t, "alice", mac, claim, false))
		},
		"used twice, as the object was deleted before its hold had its name": func(t *testing.T, w *world, mac, claim string) response {
			require.True(t, w.post(generated(t, "alice", mac, claim, false)).Allowed)
			return w.post(generated(t, "alice", mac, claim, false))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			defer w.flush()
			mac, claim := first(t, w)
			response := try(t, w, mac, claim)
			require.False(t, response.Allowed, "two objects have %s", mac)
			assert.Contains(t, response.Result.Message, mac+" is held by VirtualMachine default/gen-*")
		})
	}
}

// nameless returns the object that a claim stands for.
func nameless(claim string) macpool.Object {
	nonce := strings.Split(claim, ".")[1]
	return macpool.Object{Kind: macpool.KindVM, Namespace: "default", GenerateName: "gen-", Claim: nonce}
}

func TestTwoCreationsWithOneMadeUpClaimAreTwo(t *testing.T) {
	w := newWorld(t)
	defer w.flush()
	const mac = "02:4a:be:00:00:07"
	assert.True(t, w.post(generated(t, "alice", mac, "a-1", false)).Allowed)
	assert.False(t, w.post(generated(t, "alice", mac, "a-1", false)).Allowed)
}

func TestTheClaimOfADryRunIsNoneForACreation(t *testing.T) {
	w := newWorld(t)
	defer w.flush()
	response := w.post(generated(t, "alice", "", "", true))
	require.True(t, response.Allowed)
	claim := claimIn(t, response)
	response = w.post(generated(t, "alice", "", claim, false))
	require.True(t, response.Allowed)
	assert.NotEqual(t, claim, claimIn(t, response))
}

func TestACopyWithAClaimThatHoldsNothingItAsksForIsACreationOfItsOwn(t *testing.T) {
	w := newWorld(t)
	defer w.flush()
	_, claim := first(t, w)
	for _, mac := range []string{"52:54:00:00:00:01", ""} {
		response := w.post(generated(t, "alice", mac, claim, false))
		require.True(t, response.Allowed, "%v", response.Result)
		assert.NotEqual(t, claim, claimIn(t, response))
	}
}

// Two creations that ask for one address are never taken for one, though another webhook removed the claim of the first
// between two looks at it: that is told.
func TestACreationWhoseClaimAnotherWebhookRemovesIsToldWhy(t *testing.T) {
	const hint = "another webhook removes annotation bridgehead.dev/claim"
	for name, mac := range map[string]string{"with an address": "52:54:00:00:00:01", "without one": ""} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			defer w.flush()
			looked := w.post(generated(t, "alice", mac, "", false))
			require.True(t, looked.Allowed)
			if mac == "" {
				mac, _ = changes(t, looked.Patch)["/spec/template/spec/domain/devices/interfaces/0/macAddress"].(string)
			}
			refused := w.post(generated(t, "alice", mac, "", false))
			require.False(t, refused.Allowed, "two objects have %s", mac)
			assert.EqualValues(t, http.StatusTooManyRequests, refused.Result.Code)
			assert.Contains(t, refused.Result.Message, hint)
		})
	}
	t.Run("but not if it has its claim", func(t *testing.T) {
		w := newWorld(t)
		defer w.flush()
		_, claim := first(t, w)
		const other = "52:54:00:00:00:01"
		require.True(t, w.post(generated(t, "alice", other, "", false)).Allowed)
		refused := w.post(generated(t, "alice", other, claim, false))
		require.False(t, refused.Allowed)
		assert.NotContains(t, refused.Result.Message, hint)
	})
	t.Run("but not if an object of another kind of name was given the address", func(t *testing.T) {
		for _, holder := range []string{"default/other-*", "default/gen-x"} {
			w := newWorld(t)
			defer w.flush()
			w.hold("52:54:00:00:00:01", holder, "net")
			w.exists[object(holder)] = false
			refused := w.post(generated(t, "alice", "52:54:00:00:00:01", "", false))
			require.False(t, refused.Allowed)
			assert.NotContains(t, refused.Result.Message, hint)
		}
	})
}
