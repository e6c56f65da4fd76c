// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

func TestTheUnitHasStartedOnceThereAreLeases(t *testing.T) {
	state := func(address string) netstate.State {
		text := "interfaces: [{name: eth0, ipv4: {enabled: true, dhcp: false}}, {name: br1, ipv4: {enabled: true, dhcp: true" + address + "}}]"
		s, errs := netstate.Parse([]byte(text))
		require.Empty(t, errs)
		return s
	}
	state6 := func(autoconf string) netstate.State {
		s, errs := netstate.Parse([]byte("interfaces: [{name: br1, ipv6: {enabled: true, dhcp: true, autoconf: " + autoconf + "}}]"))
		require.Empty(t, errs)
		return s
	}
	leasedState := state("")
	leasedState.Interfaces[1].IPv4.Address = []netstate.Address{{ValidLifeTime: 60, PreferredLifeTime: 60}}
	tests := map[string]struct {
		read func(now time.Duration) (netstate.State, error)
		want time.Duration
	}{
		"a lease came": {func(now time.Duration) (netstate.State, error) {
			if now < 3*time.Second {
				return state(""), nil
			}
			return leasedState, nil
		}, 3 * time.Second},
		"no IPv6 server answers": {func(time.Duration) (netstate.State, error) { return state6("false"), nil }, leaseWait},
		"routers may say that there is no IPv6 server": {func(time.Duration) (netstate.State, error) {
			return state6("true"), nil
		}, 0},
		"nobody asks for one": {func(time.Duration) (netstate.State, error) { return netstate.State{}, nil }, 0},
		"no server answers":   {func(time.Duration) (netstate.State, error) { return state(""), nil }, leaseWait},
		"it is not known":     {func(time.Duration) (netstate.State, error) { return netstate.State{}, errors.New("it hangs") }, leaseWait},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				awaitLeases(t.Context(), func() (netstate.State, error) { return test.read(time.Since(began)) })
				assert.Equal(t, test.want, time.Since(began), "of time that is not real")
			})
		})
	}
}
