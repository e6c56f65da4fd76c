// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/macpool/cluster/apimodel"
)

// A keyWorld is an API server in memory, in a bubble, with replicas that keep the key of claims.
type keyWorld struct {
	t      *testing.T
	api    *apimodel.Server
	client client.Client
}

func tellOfKeys(t *testing.T, story func(w *keyWorld)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		kind := func(group, version, kind, resource string) apimodel.Kind {
			k := apimodel.Kind{Resource: resource}
			k.Group, k.Version, k.Kind = group, version, kind
			return k
		}
		api := apimodel.New(kind("", "v1", "Secret", "secrets"))
		c, err := client.New(api.Config(), client.Options{Scheme: clientgoscheme.Scheme})
		require.NoError(t, err)
		story(&keyWorld{t: t, api: api, client: c})
	})
}

// replica has another replica keep the key.
func (w *keyWorld) replica() *ClaimKeys {
	w.t.Helper()
	c := &ClaimKeys{Client: w.client, Namespace: "system", Clock: clock.RealClock{}, Log: logr.Discard()}
	ctx, stop := context.WithCancel(w.t.Context())
	w.t.Cleanup(stop)
	go c.Run(ctx)
	synctest.Wait()
	return c
}

func (w *keyWorld) secret() *corev1.Secret {
	w.t.Helper()
	var s corev1.Secret
	require.NoError(w.t, w.client.Get(w.t.Context(), types.NamespacedName{Namespace: "system", Name: ClaimSecretName}, &s))
	return &s
}

func anyCreation() claimScope {
	return claimScope{kind: macpool.KindVM, namespace: "home", generateName: "vm-", user: "alice"}
}

// give returns the claim that a replica gives to a creation which brings none.
func (w *keyWorld) give(c *ClaimKeys) string {
	w.t.Helper()
	nonce, claim, err := c.New(anyCreation())
	require.NoError(w.t, err)
	require.NotEmpty(w.t, claim)
	require.NotEmpty(w.t, nonce)
	return claim
}

// takes reports whether a replica takes a claim for a second look.
func (w *keyWorld) takes(c *ClaimKeys, claim string) bool {
	w.t.Helper()
	_, ours, err := c.Read(w.t.Context(), claim, anyCreation())
	require.NoError(w.t, err)
	return ours
}

func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestReplicasTakeEachOthersClaims(t *testing.T) {
	tellOfKeys(t, func(w *keyWorld) {
		a, b := w.replica(), w.replica()
		require.True(t, a.Ready())
		assert.True(t, w.takes(b, w.give(a)))
		assert.True(t, w.takes(a, w.give(b)))
	})
}

func TestReplicasThatStartAtOnceMakeOneKey(t *testing.T) {
	tellOfKeys(t, func(w *keyWorld) {
		var all []*ClaimKeys
		for range 5 {
			c := &ClaimKeys{Client: w.client, Namespace: "system", Clock: clock.RealClock{}, Log: logr.Discard()}
			go func() { assert.NoError(t, c.look(t.Context())) }()
			all = append(all, c)
		}
		synctest.Wait()
		claim := w.give(all[0])
		for _, c := range all {
			assert.True(t, w.takes(c, claim))
		}
	})
}

func TestAKeyIsReplacedAndTheOneBeforeIsTaken(t *testing.T) {
	tellOfKeys(t, func(w *keyWorld) {
		a := &ClaimKeys{Client: w.client, Namespace: "system", Clock: clock.RealClock{}, Log: logr.Discard()}
		later := func() { // a month of looks takes too long to play
			pass(claimKeyLife)
			require.NoError(t, a.look(t.Context()))
		}
		require.NoError(t, a.look(t.Context()))
		before, key := w.give(a), w.secret().Data[currentKey]
		later()
		s := w.secret()
		require.NotEqual(t, key, s.Data[currentKey])
		require.Equal(t, key, s.Data[previousKey])
		assert.True(t, w.takes(a, before))
		assert.NotEqual(t, before[:8], w.give(a)[:8], "the new key signs")
		require.NoError(t, a.look(t.Context()))
		assert.Equal(t, s.Data, w.secret().Data, "it is new")
		later()
		assert.False(t, w.takes(a, before), "a key outlived the one after it")
	})
}

func TestAnOldKeyThatCannotBeReplacedGoesOn(t *testing.T) {
	tellOfKeys(t, func(w *keyWorld) {
		a := &ClaimKeys{Client: w.client, Namespace: "system", Clock: clock.RealClock{}, Log: logr.Discard()}
		require.NoError(t, a.look(t.Context()))
		before := w.give(a)
		w.api.Validate = func(apimodel.Kind, map[string]any) error {
			return apierrors.NewForbidden(corev1.Resource("secrets"), ClaimSecretName, errors.New("it is immutable"))
		}
		pass(2 * claimKeyLife)
		b := w.replica()
		assert.True(t, b.Ready(), "no replica could start")
		assert.True(t, w.takes(b, before))
	})
}

func TestAClaimOfAKeyThatAReplicaHasNotSeenHasItLook(t *testing.T) {
	tellOfKeys(t, func(w *keyWorld) {
		a, b := w.replica(), w.replica()
		pass(claimKeyPause)
		s := w.secret()
		b.renew(s)
		require.NoError(t, w.client.Update(t.Context(), s))
		require.NoError(t, a.look(t.Context()))
		claim := w.give(a)
		assert.True(t, w.takes(b, claim))
	})
}

func TestUnknownKeysCauseOneLookASecond(t *testing.T) {
	tellOfKeys(t, func(w *keyWorld) {
		a := w.replica()
		pass(claimKeyPause)
		s := w.secret()
		s.Data = nil // every look would mend it
		require.NoError(t, w.client.Update(t.Context(), s))
		forged, _ := newClaim(claimKey("no key of ours"), anyCreation())
		require.False(t, w.takes(a, forged))
		for range 10 {
			s := w.secret()
			s.Data = nil
			require.NoError(t, w.client.Update(t.Context(), s))
			assert.False(t, w.takes(a, forged))
			assert.Equal(t, s.ResourceVersion, w.secret().ResourceVersion)
		}
	})
}

func TestASecretThatIsLostOrSpoiltIsMadeAgain(t *testing.T) {
	for name, spoil := range map[string]func(w *keyWorld){
		"deleted": func(w *keyWorld) { require.NoError(w.t, w.client.Delete(w.t.Context(), w.secret())) },
		"emptied": func(w *keyWorld) {
			s := w.secret()
			s.Data = nil
			require.NoError(w.t, w.client.Update(w.t.Context(), s))
		},
		"cut short": func(w *keyWorld) {
			s := w.secret()
			s.Data[currentKey] = s.Data[currentKey][1:]
			require.NoError(w.t, w.client.Update(w.t.Context(), s))
		},
	} {
		t.Run(name, func(t *testing.T) {
			tellOfKeys(t, func(w *keyWorld) {
				a, b := w.replica(), w.replica()
				before := w.give(a)
				spoil(w)
				pass(2 * claimKeyPoll)
				assert.False(t, w.takes(b, before), "whoever has the lost key could sign on")
				assert.True(t, w.takes(b, w.give(a)))
			})
		})
	}
}

func TestClaimsAreUnsignedWhileTheReleaseBeforeIsThere(t *testing.T) {
	tellOfKeys(t, func(w *keyWorld) {
		there := true
		a, b := w.replica(), w.replica()
		a.Unsigned = func() bool { return there }
		theirs := newUnsignedClaim(time.Now())
		assert.True(t, w.takes(a, theirs))
		assert.False(t, w.takes(b, theirs), "it knows of none")
		assert.True(t, isUnsignedClaim(w.give(a)), "the release before takes no other")
		assert.True(t, w.takes(a, w.give(b)), "others may have seen it go")

		there = false
		assert.True(t, w.takes(a, theirs), "others may not have seen it go")
		pass(unsignedAfter)
		assert.False(t, w.takes(a, theirs))
		assert.False(t, isUnsignedClaim(w.give(a)))
	})
}

func TestAReplicaWithoutAKeyIsNotReadyAndGivesNoClaim(t *testing.T) {
	c := &ClaimKeys{Clock: clock.RealClock{}}
	assert.False(t, c.Ready())
	_, _, err := c.New(anyCreation())
	assert.ErrorContains(t, err, ClaimSecretName)
	_, _, err = c.Read(t.Context(), "", anyCreation())
	assert.ErrorContains(t, err, ClaimSecretName)
}
