// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/e2e/suite"
	"github.com/bridgehead-dev/bridgehead/webhooks"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// generatedVM returns a VM created by generateName that asks for an address, or for any, and brings a claim if there is
// one.
func generatedVM(m macpool.MAC, claim string) *unstructured.Unstructured {
	vm := vmWith("", []macpool.MAC{m})
	vm.SetGenerateName("gen-")
	if claim != "" {
		vm.SetAnnotations(map[string]string{macpool.ClaimAnnotation: claim})
	}
	return vm
}

// copyOf returns another creation with the address and the claim of a VM.
func copyOf(t *testing.T, vm *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	m, err := macpool.ParseMAC(macsOf(t, vm)[0])
	require.NoError(t, err)
	return generatedVM(m, vm.GetAnnotations()[macpool.ClaimAnnotation])
}

func TestClaimsOfGeneratedNamesCannotBeForgedOrCopied(t *testing.T) {
	t.Parallel()
	s := suite.StartForTest(t, suite.Options{Replicas: 2})
	optIn(t, s)
	mutator, err := s.StartMutator(t.Context(), "default")
	require.NoError(t, err)
	t.Cleanup(mutator.Close)
	waitUntil(t, func() bool {
		vm := vmWith("dry", []macpool.MAC{{}})
		require.NoError(t, s.Client.Create(t.Context(), vm, client.DryRunAll))
		return vm.GetLabels()["mutated"] != ""
	})

	t.Run("every second look is taken for one", func(t *testing.T) {
		seen := map[string]bool{}
		for range 20 {
			vm := generatedVM(macpool.MAC{}, "")
			require.NoError(t, s.Client.Create(t.Context(), vm))
			require.Equal(t, "true", vm.GetLabels()["mutated"], "there was no second look")
			assert.False(t, seen[macsOf(t, vm)[0]])
			seen[macsOf(t, vm)[0]] = true
		}
	})
	t.Run("a copy of a VM with its claim is refused", func(t *testing.T) {
		vm := generatedVM(macpool.MAC{}, "")
		require.NoError(t, s.Client.Create(t.Context(), vm))
		copies := copyOf(t, vm)
		refused(t, s.Client.Create(t.Context(), copies))
	})
	t.Run("copies of a VM that was deleted are not given its address twice", func(t *testing.T) {
		vm := generatedVM(macpool.MAC{}, "")
		require.NoError(t, s.Client.Create(t.Context(), vm))
		require.NoError(t, s.Client.Delete(t.Context(), vm.DeepCopy()))
		// They are asked to try again after a minute, which they do unless their time is over.
		trying, giveUp := context.WithTimeout(t.Context(), 10*time.Second)
		defer giveUp()
		errs := make(chan error, 4)
		for range cap(errs) {
			go func() { errs <- s.Client.Create(trying, copyOf(t, vm)) }()
		}
		created := 0
		for range cap(errs) {
			if err := <-errs; err == nil {
				created++
			}
		}
		assert.LessOrEqual(t, created, 1)
	})
	t.Run("creations with one made-up claim are two", func(t *testing.T) {
		m := macpool.MAC{0x52, 0x54, 0, 0, 0, 1}
		require.NoError(t, s.Client.Create(t.Context(), generatedVM(m, "mdyhm2q3-1")))
		refused(t, s.Client.Create(t.Context(), generatedVM(m, "mdyhm2q3-1")))
	})
	t.Run("the key is made again when its Secret is gone", func(t *testing.T) {
		requireNewClaimKey(t, s, func(secret *corev1.Secret) error { return s.Client.Delete(t.Context(), secret) })
	})
	t.Run("the key is made again when its Secret cannot be read", func(t *testing.T) {
		requireNewClaimKey(t, s, func(secret *corev1.Secret) error {
			secret.Data = map[string][]byte{"current": []byte("rubbish")}
			return s.Client.Update(t.Context(), secret)
		})
	})
}

// requireNewClaimKey spoils the Secret of the key of claims, and waits until there is another one and VMs are created.
func requireNewClaimKey(t *testing.T, s *suite.Suite, spoil func(*corev1.Secret) error) {
	t.Helper()
	read := func() *corev1.Secret {
		var secret corev1.Secret
		name := client.ObjectKey{Namespace: "bridgehead-system", Name: webhooks.ClaimSecretName}
		require.NoError(t, client.IgnoreNotFound(s.Client.Get(t.Context(), name, &secret)))
		return &secret
	}
	before := read().DeepCopy()
	require.Len(t, before.Data["current"], 32)
	require.NoError(t, spoil(before.DeepCopy()))
	waitUntil(t, func() bool { return len(read().Data["current"]) == 32 })
	assert.NotEqual(t, before.Data["current"], read().Data["current"])
	for range 10 {
		vm := generatedVM(macpool.MAC{}, "")
		// Where one replica has the new key and the other has not, clients are asked to try again, as they do.
		waitUntil(t, func() bool {
			err := s.Client.Create(t.Context(), vm)
			require.True(t, err == nil || apierrors.IsTooManyRequests(err), "%v", err)
			return err == nil
		})
	}
}

// refused requires an error to be our refusal of an address that another has, for good or for now.
func refused(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	require.True(t, apierrors.IsInvalid(err) || apierrors.IsTooManyRequests(err), "%v", err)
	require.ErrorContains(t, err, "is held by ")
}
