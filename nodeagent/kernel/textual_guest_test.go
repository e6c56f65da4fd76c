// SPDX-License-Identifier: Apache-2.0

//go:build guest

package kernel

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// run runs a line of ip or bridge.
func run(tb testing.TB, line string) string {
	tb.Helper()
	words := strings.Fields(line)
	out, err := exec.CommandContext(context.WithoutCancel(tb.Context()), words[0], words[1:]...).CombinedOutput()
	require.NoError(tb, err, "%s: %s", line, out)
	return string(out)
}

// volatile is what differs between two listings of one node: numbers of links, lifetimes, timers, identifiers.
func volatile() *regexp.Regexp {
	return regexp.MustCompile(`(?m)^\d+: |@if\d+| \w+_timer +[\d.]+| port_(id|no) \w+| designated_port \d+| expires \d+sec| valid_lft .*$` +
		`| promiscuity \d+| allmulti \d+| tentative| linkdown| dead| state (UP|DOWN|UNKNOWN)| qdisc \w+` +
		`|NO-CARRIER,`)
}

// listing is a node as ip and bridge show it, apart from what is volatile. Lists of links are in the order of names.
func listing(tb testing.TB) map[string][]string {
	tb.Helper()
	all := map[string][]string{}
	for _, line := range []string{"ip -d addr", "ip -d link",
		"ip -4 -d route show table all", "ip -6 -d route show table all",
		"ip rule", "ip -6 rule", "bridge -d link", "bridge vlan", "bridge fdb"} {
		text := volatile().ReplaceAllString(run(tb, line), "")
		lines := strings.Split(strings.TrimSpace(text), "\n")
		lines = slices.DeleteFunc(lines, func(l string) bool {
			return strings.TrimSpace(l) == "" || line == "bridge fdb" && !strings.Contains(l, "static") ||
				strings.Contains(line, "route") && strings.Contains(l, "proto kernel")
		})
		if line == "ip -d addr" {
			lines = withoutLinkLocalOfBridges(lines)
		}
		all[line] = blocks(lines)
	}
	return all
}

// withoutLinkLocalOfBridges leaves out the link-local address of br7: the kernel makes it of the MAC that the bridge
// has when its first port comes, whichever port that is.
func withoutLinkLocalOfBridges(lines []string) []string {
	inBridge := false
	return slices.DeleteFunc(lines, func(l string) bool {
		if !strings.HasPrefix(l, " ") {
			inBridge = strings.HasPrefix(l, "br7")
		}
		return inBridge && strings.Contains(l, "inet6 fe80::")
	})
}

// blocks joins every line with the indented ones below it and sorts them.
func blocks(lines []string) []string {
	var list []string
	for _, l := range lines {
		l = strings.TrimRight(l, " ")
		if strings.HasPrefix(l, " ") && len(list) > 0 || strings.HasPrefix(l, "\t") && len(list) > 0 {
			list[len(list)-1] += "\n" + l
			continue
		}
		list = append(list, l)
	}
	for n, block := range list { // the kernel lists the addresses of a link in the order in which they came
		inner := strings.Split(block, "\n")
		slices.Sort(inner[1:])
		list[n] = strings.Join(inner, "\n")
	}
	slices.Sort(list)
	return list
}

// freshLinkLocals has the kernel make the addresses of the NICs anew: who flushed them in another test did not.
func freshLinkLocals(t *testing.T) {
	t.Helper()
	for _, nic := range []string{"eth1", "eth2"} {
		for _, off := range []string{"1", "0"} {
			require.NoError(t, os.WriteFile("/proc/sys/net/ipv6/conf/"+nic+"/disable_ipv6", []byte(off), 0))
		}
	}
}

// awaitSettled waits until links have found their carriers, and the kernel has made and tried its addresses of them: it
// does so in its own time.
func awaitSettled(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(run(t, "ip -d addr show up"))
		}
	})
	require.Eventually(t, func() bool {
		return !strings.Contains(run(t, "ip link show up"), "NO-CARRIER") &&
			!strings.Contains(run(t, "ip -6 addr"), "tentative") && !lacksLinkLocal(t)
	}, time.Minute, 20*time.Millisecond, "the links settle")
}

// lacksLinkLocal reports whether a link that is up, has IPv6 and makes addresses has none of its own yet.
func lacksLinkLocal(t *testing.T) bool {
	t.Helper()
	for _, block := range blocks(strings.Split(strings.TrimSpace(run(t, "ip -d addr show up")), "\n")) {
		name, _, _ := strings.Cut(strings.TrimSpace(strings.SplitN(block, ":", 3)[1]), "@")
		off, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + name + "/disable_ipv6")
		port := strings.Contains(block, " master bond")
		if err == nil && strings.TrimSpace(string(off)) == "0" && name != "lo" && !port &&
			!strings.Contains(block, "addrgenmode none") && !strings.Contains(block, "inet6 fe80::") {
			return true
		}
	}
	return false
}

// What people made by hand with ip and bridge is as it was after a policy that took it away is undone, whatever
// of it a document could not say.
func TestUndoRestoresTheNodeToTheLetter(t *testing.T) {
	tests := map[string]struct{ made, cleared, policy string }{
		"addresses and routes of a NIC that becomes a port": {
			made: `
				ip link set eth1 up
				ip addr add 192.0.2.5/24 brd + dev eth1 label eth1:web
				ip addr add 192.0.2.6/24 dev eth1 noprefixroute
				ip addr add 198.18.0.1/24 dev eth1 metric 50
				ip addr add 10.9.9.1 peer 10.9.9.2/32 dev eth1
				ip addr add 10.9.8.1/24 dev eth1 scope link
				ip addr add 2001:db8::5/64 dev eth1 nodad noprefixroute
				ip addr add 2001:db8:5::1/64 dev eth1 nodad metric 60
				ip route add default via 172.31.1.1 dev eth1 onlink metric 500
				ip route add 10.1.0.0/16 via 192.0.2.1 dev eth1 mtu 1400 advmss 1300 initcwnd 20
				ip route add 10.2.0.0/16 via 192.0.2.1 dev eth1 tos 0x10
				ip route add 10.2.0.0/16 via 192.0.2.2 dev eth1 realm 5
				ip route append 10.2.0.0/16 via 192.0.2.3 dev eth1
				ip route add 10.3.0.0/16 nexthop via 192.0.2.1 dev eth1 weight 2 nexthop via 192.0.2.2 dev eth1 weight 3
				ip route add 10.4.0.0/16 via inet6 fe80::1 dev eth1
				ip route add 10.5.0.0/16 via 192.0.2.1 dev eth1 proto bgp src 192.0.2.5
				ip route add 10.6.0.0/16 dev eth1 proto 77 scope host
				ip route add local 10.7.0.0/16 dev eth1 proto static
				ip route add throw 10.8.0.0/16 table 9
				ip -6 route add 2001:db8:1::/48 via 2001:db8:5::2 dev eth1 pref high mtu 1400
				ip -6 route add 2001:db8:2::/48 via 2001:db8:5::2 dev eth1 expires 6000
				ip -6 route add default via fe80::1 dev eth1 proto ra metric 1024 expires 1800
				ip rule add from 192.0.2.0/24 oif eth1 table 9 priority 77
				ip rule add not from 192.0.2.0/24 tos 0x10 table 9 priority 78`,
			cleared: `
				ip rule del priority 77
				ip rule del priority 78
				ip route flush table 9
				ip addr flush dev eth1`,
			policy: `
interfaces: [{name: br0, type: linux-bridge, state: up, bridge: {port: [{name: eth1}]},
  ipv4: {enabled: true, address: [{ip: 192.0.2.5, prefix-length: 24}]}}]`,
		},
		"a bridge whose ports are kept apart": {
			made: `
				ip link set eth1 up
				ip link set eth2 up
				ip link add br7 txqueuelen 77 type bridge vlan_filtering 1 mcast_igmp_version 3 nf_call_iptables 1
				ip link set eth1 master br7
				ip link set eth2 master br7
				ip link set br7 up
				ip link set eth1 type bridge_slave isolated on guard on learning off flood off
				ip link set eth2 type bridge_slave mcast_flood off neigh_suppress on
				bridge vlan add dev br7 vid 10 self
				bridge vlan add dev eth1 vid 20 untagged
				bridge vlan add dev eth2 vid 30 pvid
				bridge fdb add 02:00:00:00:00:77 dev eth1 master static vlan 20
				ip addr add 192.0.2.9/24 dev br7`,
			cleared: `ip link del br7`,
			policy:  `interfaces: [{name: br7, state: absent}]`,
		},
		"ports of a bridge that does not filter": {
			made: `
				ip link set eth1 up
				ip link add br7 type bridge
				ip link set eth1 master br7
				ip link set br7 up
				bridge vlan add dev eth1 vid 20
				bridge fdb add 02:00:00:00:00:78 dev eth1 master static`,
			cleared: `ip link del br7`,
			policy:  `interfaces: [{name: br7, type: linux-bridge, state: up, bridge: {port: [{name: eth2}]}}]`,
		},
		"a bond that sends through its second port": {
			made: `
				ip link add bond7 type bond mode active-backup miimon 100 peer_notify_delay 200
				ip link set eth1 down
				ip link set eth2 down
				ip link set eth1 master bond7
				ip link set eth2 master bond7
				ip link set bond7 up
				ip link set bond7 type bond active_slave eth2
				ip addr add 192.0.2.9/24 dev bond7`,
			cleared: `ip link del bond7`,
			policy:  `interfaces: [{name: bond7, state: absent}]`,
		},
		"a VLAN with maps of priorities, of another id": {
			made: `
				ip link set eth1 up
				ip link add eth1.5 link eth1 txqueuelen 99 type vlan id 5 egress-qos-map 1:2 ingress-qos-map 3:4
				ip link set eth1.5 up
				ip addr add 192.0.2.9/24 dev eth1.5 label eth1.5:a`,
			cleared: `ip link del eth1.5`,
			policy:  `interfaces: [{name: eth1.5, type: vlan, state: up, vlan: {base-iface: eth1, id: 6}}]`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			k := openGuest(t)
			freshLinkLocals(t)
			start := read(t, k)
			for line := range strings.SplitSeq(strings.TrimSpace(test.made), "\n") {
				run(t, line)
			}
			t.Cleanup(func() {
				for line := range strings.SplitSeq(strings.TrimSpace(test.cleared), "\n") {
					run(t, line)
				}
				now := read(t, k)
				assert.NoError(t, Apply(k, netstate.PlanBack(now, netstate.Revert(start, towards(start, now)))))
			})
			policy, errs := netstate.Parse([]byte(test.policy))
			require.Empty(t, errs)
			awaitSettled(t)
			before := listing(t)
			steps := configure(t, k, policy)
			require.NoError(t, Undo(k, steps), netstate.Format(steps))
			awaitSettled(t)
			after := listing(t)
			for line := range before {
				assert.Equal(t, before[line], after[line], line)
			}
		})
	}
}
