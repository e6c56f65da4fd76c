// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAMinuteOfChaosNeitherDuplicatesNorLeaksAddresses(t *testing.T) {
	require.NoError(t, run(t.Context(), Options{For: time.Minute, Replicas: 3, Clients: 8, Skew: 10 * time.Minute}))
}
