// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

const (
	// ClaimSecretName is the Secret that holds the key which claims are signed with, and the one before.
	ClaimSecretName = "bridgehead-claims"
	// currentKey and previousKey are entries of the Secret; madeAnnotation is when the current key was made.
	currentKey, previousKey = "current", "previous"
	madeAnnotation          = "bridgehead.dev/made"
	// claimKeyLength is that of a key, in bytes.
	claimKeyLength = 32
	// claimKeyLife is how long a key signs.
	claimKeyLife = 30 * 24 * time.Hour
	// claimKeyPoll is how often the Secret is looked at.
	claimKeyPoll = 10 * time.Second
	// claimKeyPause is the least time between two looks that unknown keys cause.
	claimKeyPause = time.Second
	// unsignedAfter is how long unsigned claims are taken after they were last given.
	unsignedAfter = time.Minute
)

// errNoClaimKey says that a creation by generateName cannot be told from others yet.
var errNoClaimKey error = &macpool.NotReadyError{Why: "the key in Secret " + ClaimSecretName + " is not read yet"}

// ClaimKeys are the keys of claims, as the Secret has them. Every replica keeps it: whoever finds that it is not there,
// cannot be read or is old replaces the key.
type ClaimKeys struct {
	// Client must not read from a cache.
	Client client.Client
	// Namespace has the Secret.
	Namespace string
	// Unsigned reports whether replicas of the release before may be there, which take no claims but unsigned ones; nil
	// says that there are none.
	Unsigned func() bool
	Clock    clock.Clock
	Log      logr.Logger

	mu           sync.Mutex // guards what follows
	keys         []claimKey // the first signs, all verify; none while the Secret was not read
	gaveUnsigned time.Time  // when Unsigned last said so
	looked       time.Time  // when the Secret was last looked at
}

// Run keeps the keys until ctx is done.
func (c *ClaimKeys) Run(ctx context.Context) {
	for {
		pause := claimKeyPoll
		if err := c.look(ctx); err != nil && ctx.Err() == nil {
			c.Log.Error(err, "Key of claims not read, retrying")
			pause = claimKeyPause
		}
		timer := c.Clock.NewTimer(pause)
		select {
		case <-timer.C():
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// Ready reports whether there is a key.
func (c *ClaimKeys) Ready() bool { return len(c.current()) > 0 }

func (c *ClaimKeys) current() []claimKey {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.keys
}

// New returns a claim for a creation, and the nonce that the ledger knows it by.
func (c *ClaimKeys) New(of claimScope) (nonce, claim string, err error) {
	keys := c.current()
	if len(keys) == 0 {
		return "", "", errNoClaimKey
	}
	if gives, _ := c.unsigned(); gives {
		claim := newUnsignedClaim(c.Clock.Now())
		return claim, claim, nil
	}
	claim, nonce = newClaim(keys[0], of)
	return nonce, claim, nil
}

// Read returns the nonce of a claim that an object brings, and whether a replica gave it to this creation.
func (c *ClaimKeys) Read(ctx context.Context, claim string, of claimScope) (nonce string, ours bool, err error) {
	keys := c.current()
	if len(keys) == 0 {
		return "", false, errNoClaimKey
	}
	nonce, valid, known := readClaim(claim, of, keys...)
	if !known && c.mayLook() {
		if err := c.look(ctx); err != nil {
			return "", false, err
		}
		nonce, valid, _ = readClaim(claim, of, c.current()...)
	}
	if _, takes := c.unsigned(); !valid && takes && isUnsignedClaim(claim) {
		return claim, true, nil
	}
	return nonce, valid, nil
}

// unsigned reports whether claims are given, and taken, as the release before does: while its replicas may be there,
// and taken a while after.
func (c *ClaimKeys) unsigned() (gives, takes bool) {
	gives = c.Unsigned != nil && c.Unsigned()
	c.mu.Lock()
	defer c.mu.Unlock()
	if gives {
		c.gaveUnsigned = c.Clock.Now()
	}
	return gives, !c.gaveUnsigned.IsZero() && c.Clock.Since(c.gaveUnsigned) < unsignedAfter
}

// mayLook reports whether the Secret may be looked at for a key that is not known.
func (c *ClaimKeys) mayLook() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.Clock.Since(c.looked) >= claimKeyPause
}

// look reads the Secret, and mends it.
func (c *ClaimKeys) look(ctx context.Context) error {
	c.mu.Lock()
	c.looked = c.Clock.Now()
	c.mu.Unlock()
	keys, err := c.read(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys = keys
	return nil
}

// read returns the keys of the Secret, which it makes, mends or gives another key where that is due.
func (c *ClaimKeys) read(ctx context.Context) ([]claimKey, error) {
	keys, err := c.readOnce(ctx)
	if apierrors.IsAlreadyExists(err) || apierrors.IsConflict(err) {
		return c.readOnce(ctx) // another replica was faster
	}
	return keys, err
}

func (c *ClaimKeys) readOnce(ctx context.Context) ([]claimKey, error) {
	var s corev1.Secret
	err := c.Client.Get(ctx, types.NamespacedName{Namespace: c.Namespace, Name: ClaimSecretName}, &s)
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return nil, fmt.Errorf("read Secret %s: %w", ClaimSecretName, err)
	}
	keys := keysIn(&s)
	if len(keys) > 0 && !c.old(&s) {
		return keys, nil
	}
	c.renew(&s)
	write, done := func() error { return c.Client.Update(ctx, &s) }, "Replaced the key that claims are signed with"
	if missing {
		write, done = func() error { return c.Client.Create(ctx, &s) }, "Made the key that claims are signed with"
	}
	err = write()
	if len(keys) > 0 && err != nil && !apierrors.IsConflict(err) {
		c.Log.Error(err, "The key that claims are signed with is old, and goes on to be used", "secret", ClaimSecretName)
		return keys, nil
	}
	if err != nil {
		return nil, fmt.Errorf("write Secret %s: %w", ClaimSecretName, err)
	}
	c.Log.Info(done, "secret", ClaimSecretName)
	return keysIn(&s), nil
}

// keysIn returns the keys of a Secret; none if the current one cannot be read.
func keysIn(s *corev1.Secret) []claimKey {
	current, previous := s.Data[currentKey], s.Data[previousKey]
	switch {
	case len(current) != claimKeyLength:
		return nil
	case len(previous) != claimKeyLength:
		return []claimKey{current}
	}
	return []claimKey{current, previous}
}

// old reports whether the current key has signed for long enough, or nothing tells for how long.
func (c *ClaimKeys) old(s *corev1.Secret) bool {
	made, err := time.Parse(time.RFC3339, s.Annotations[madeAnnotation])
	return err != nil || c.Clock.Now().Sub(made) >= claimKeyLife
}

// renew gives a Secret another key. The one that it has becomes the one before.
func (c *ClaimKeys) renew(s *corev1.Secret) {
	keys := slices.Clone(keysIn(s))
	fresh := make([]byte, claimKeyLength)
	_, _ = rand.Read(fresh) // it never fails
	s.Name, s.Namespace = ClaimSecretName, c.Namespace
	metav1.SetMetaDataLabel(&s.ObjectMeta, "app.kubernetes.io/part-of", "bridgehead")
	metav1.SetMetaDataAnnotation(&s.ObjectMeta, madeAnnotation, c.Clock.Now().UTC().Format(time.RFC3339))
	s.Data = map[string][]byte{currentKey: fresh}
	if len(keys) > 0 {
		s.Data[previousKey] = keys[0]
	}
}
