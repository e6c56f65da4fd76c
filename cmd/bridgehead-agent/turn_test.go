// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheTurnGoesFromOneProcessToTheNext(t *testing.T) {
	dir := t.TempDir()
	first, err := openTurn(dir)
	require.NoError(t, err)
	require.NoError(t, first.take(t.Context()))
	second, err := openTurn(dir)
	require.NoError(t, err)

	done := make(chan error, 1)
	go func() { done <- second.take(t.Context()) }()
	require.NoError(t, first.wanted(t.Context(), func() {}), "it learns that somebody waits")
	free, err := second.has.try()
	require.NoError(t, err)
	assert.False(t, free, "and has the turn until it ends")
	require.NoError(t, first.close())
	require.NoError(t, <-done)
	require.NoError(t, second.close())
}

func TestNobodyWaitsForEver(t *testing.T) {
	dir := t.TempDir()
	first, err := openTurn(dir)
	require.NoError(t, err)
	require.NoError(t, first.take(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, first.wanted(ctx, func() {}), "nobody wants it")
	second, err := openTurn(dir)
	require.NoError(t, err)
	require.ErrorContains(t, second.take(ctx), "wait for another process to leave the node's network to this one")
}
