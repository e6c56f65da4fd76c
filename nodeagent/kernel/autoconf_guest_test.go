// SPDX-License-Identifier: Apache-2.0

//go:build guest

package kernel

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// Nodes of clusters forward IPv6, and then the kernel takes router advertisements only with accept_ra=2.
func TestAutoconfTakesAdvertisementsWhereTheNodeForwards(t *testing.T) {
	k := openGuest(t)
	const conf = "/proc/sys/net/ipv6/conf/eth3/"
	before, err := os.ReadFile(conf + "forwarding")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(conf+"forwarding", []byte("1"), 0))
	t.Cleanup(func() { assert.NoError(t, os.WriteFile(conf+"forwarding", before, 0)) })
	ip := func(autoconf bool) netstate.State {
		return netstate.State{Interfaces: []netstate.Interface{{Name: "eth3", Type: netstate.TypeEthernet, State: netstate.StateUp,
			IPv6: &netstate.IP{Enabled: new(true), Autoconf: new(autoconf)}}}}
	}
	configure(t, k, ip(false))
	configure(t, k, ip(true))
	accept, err := os.ReadFile(conf + "accept_ra")
	require.NoError(t, err)
	assert.Equal(t, "2\n", string(accept))
}

// A link that was autoconf before the node began to forward has an accept_ra of 1: a policy that says autoconf is not
// yet fulfilled there.
func TestAutoconfIsMendedWhereTheNodeBeganToForward(t *testing.T) {
	k := openGuest(t)
	const conf = "/proc/sys/net/ipv6/conf/eth3/"
	wish := netstate.State{Interfaces: []netstate.Interface{{Name: "eth3", Type: netstate.TypeEthernet, State: netstate.StateUp,
		IPv6: &netstate.IP{Enabled: new(true), Autoconf: new(true)}}}}
	configure(t, k, wish)
	for file, value := range map[string]string{"accept_ra": "1", "forwarding": "1"} {
		before, err := os.ReadFile(conf + file)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(conf+file, []byte(value), 0))
		t.Cleanup(func() { assert.NoError(t, os.WriteFile(conf+file, before, 0)) })
	}
	steps, err := netstate.Plan(read(t, k), wish)
	require.NoError(t, err)
	assert.Equal(t, "~ eth3 ipv6 accept-ra 1 → 2\n", netstate.Format(steps))
	require.NoError(t, Apply(k, steps))
	rest, err := netstate.Plan(read(t, k), wish)
	require.NoError(t, err)
	assert.Empty(t, rest)
}

// A policy that switched autoconf on is undone to the letter: accept_ra is what it was, whatever that was.
func TestUndoingAutoconfPutsAcceptRABack(t *testing.T) {
	k := openGuest(t)
	const conf = "/proc/sys/net/ipv6/conf/eth3/"
	wish := netstate.State{Interfaces: []netstate.Interface{{Name: "eth3", Type: netstate.TypeEthernet, State: netstate.StateUp,
		IPv6: &netstate.IP{Enabled: new(true), Autoconf: new(true)}}}}
	for name, was := range map[string]map[string]string{
		"nothing was accepted":         {"forwarding": "1", "accept_ra": "0", "autoconf": "0"},
		"it was for who forwards not":  {"forwarding": "1", "accept_ra": "1", "autoconf": "1"},
		"advertisements, no addresses": {"forwarding": "1", "accept_ra": "2", "autoconf": "0"},
		"addresses, no advertisements": {"forwarding": "1", "accept_ra": "0", "autoconf": "1"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, file := range []string{"forwarding", "accept_ra", "autoconf"} {
				before, err := os.ReadFile(conf + file)
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(conf+file, []byte(was[file]), 0))
				t.Cleanup(func() { assert.NoError(t, os.WriteFile(conf+file, before, 0)) })
			}
			before := read(t, k)
			configure(t, k, wish)
			accept, err := os.ReadFile(conf + "accept_ra")
			require.NoError(t, err)
			require.Equal(t, "2\n", string(accept))
			require.NoError(t, Apply(k, netstate.PlanBack(read(t, k), netstate.Revert(before, wish))))
			for file, value := range was {
				is, err := os.ReadFile(conf + file)
				require.NoError(t, err)
				assert.Equal(t, value+"\n", string(is), file)
			}
		})
	}
}

// NetworkManager has the kernel make no addresses and makes them itself; a link that it gave up is to have one of its
// own when a policy says autoconf, or nobody would ask for advertisements.
func TestAutoconfMakesTheLinkLocalAddressThatNobodyMade(t *testing.T) {
	k := openGuest(t)
	run(t, "ip link set eth2 up")
	run(t, "ip link set eth2 addrgenmode none")
	run(t, "ip -6 addr flush dev eth2")
	t.Cleanup(func() { run(t, "ip link set eth2 addrgenmode eui64"); run(t, "ip link set eth2 down") })
	steps := configure(t, k, netstate.State{Interfaces: []netstate.Interface{{Name: "eth2",
		IPv6: &netstate.IP{Enabled: new(true), Autoconf: new(true)}}}})
	assert.Contains(t, netstate.Format(steps), "none → eui64")
	assert.Contains(t, run(t, "ip -6 addr show dev eth2"), "inet6 fe80::")
}

// The kernel refuses stable-privacy on a link without a secret: it gets one that is its own and the same after a boot,
// and keeps one that it has.
func TestALinkGetsASecretForStablePrivacy(t *testing.T) {
	k := openGuest(t)
	const file = "/proc/sys/net/ipv6/conf/"
	stable := &netstate.IP{Enabled: new(true), AddrGenMode: new("stable-privacy")}
	made := func(name string) netstate.State {
		return netstate.State{Interfaces: []netstate.Interface{{Name: name, Type: netstate.TypeDummy, IPv6: stable}}}
	}
	t.Cleanup(func() { run(t, "ip link delete dum7"); run(t, "ip link delete dum8") })
	configure(t, k, made("dum7"))
	secret, err := os.ReadFile(file + "dum7/" + secretFile)
	require.NoError(t, err)
	assert.Equal(t, stableSecret(k.Secret, "dum7").StringExpanded()+"\n", string(secret))
	assert.Contains(t, run(t, "ip -d link show dev dum7"), "addrgenmode stable_secret")
	address := run(t, "ip -6 -o addr show dev dum7 scope link")
	run(t, "ip link delete dum7")
	configure(t, k, made("dum7"))
	assert.Equal(t, inet6(address), inet6(run(t, "ip -6 -o addr show dev dum7 scope link")))

	const theirs = "2001:0db8:0000:0000:0000:0000:0000:0007"
	run(t, "ip link add dum8 type dummy")
	require.NoError(t, os.WriteFile(file+"dum8/"+secretFile, []byte(theirs), 0))
	run(t, "ip link set dum8 addrgenmode eui64")
	configure(t, k, made("dum8"))
	secret, err = os.ReadFile(file + "dum8/" + secretFile)
	require.NoError(t, err)
	assert.Equal(t, theirs+"\n", string(secret))

	k.Secret = ""
	steps, err := netstate.Plan(read(t, k), made("dum9"))
	require.NoError(t, err)
	require.ErrorContains(t, Apply(k, steps), "/etc/machine-id")
	assert.Zero(t, k.indexOf("dum9"))
}

// inet6 returns the address in a line of ip.
func inet6(line string) string {
	_, rest, _ := strings.Cut(line, "inet6 ")
	address, _, _ := strings.Cut(rest, " ")
	return address
}
