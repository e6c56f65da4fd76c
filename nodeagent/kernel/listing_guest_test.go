// SPDX-License-Identifier: Apache-2.0

//go:build guest

package kernel

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// run runs a line of ip or bridge; "write" puts a word into a file of the kernel's.
func run(tb testing.TB, line string) string {
	tb.Helper()
	words := strings.Fields(line)
	if words[0] == "write" {
		require.NoError(tb, os.WriteFile(words[2], []byte(words[1]), 0))
		return ""
	}
	return command(tb, "", words...)
}

// command runs a program with an input and returns what it says.
func command(tb testing.TB, input string, words ...string) string {
	tb.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(tb.Context()), words[0], words[1:]...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	require.NoError(tb, err, "%s: %s%s", words, input, out)
	return string(out)
}

// script runs lines of ip, bridge and write. Those with the same program and options that follow each other are one
// batch: to start a program takes an emulated machine longer than what it does.
func script(t *testing.T, text string) {
	t.Helper()
	var program []string
	var batch strings.Builder
	flush := func() {
		if batch.Len() > 0 {
			command(t, batch.String(), append(program, "-batch", "-")...)
		}
		batch.Reset()
	}
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		words := strings.Fields(line)
		n := 1 + max(0, slices.IndexFunc(words[1:], func(w string) bool { return !strings.HasPrefix(w, "-") }))
		if words[0] == "write" || !slices.Equal(program, words[:n]) {
			flush()
			program = slices.Clip(words[:n])
		}
		if words[0] == "write" {
			run(t, line)
			continue
		}
		batch.WriteString(strings.Join(words[n:], " ") + "\n")
	}
	flush()
}

// volatile returns what differs between two listings of one node although nobody has changed it:
//   - the number of a link, which one that is made again gets anew, and the peer's beside it;
//   - timers, what is left of lifetimes, and identifiers that bridges count up for their ports;
//   - promiscuity and allmulti, which count who uses a link at the moment (what people asked for is a flag, PROMISC);
//   - what a link or an address is until its carrier is found, the address is tried, a bond has looked at its port, or
//     that has waited long enough for somebody who speaks LACP, and has counted those that do;
//   - the queue, which the kernel gives a link of its own accord when it first goes up, and takes from one in a bond.
func volatile() *regexp.Regexp {
	return regexp.MustCompile(`(?m)^\d+: |@if\d+| \w+_timer +[\d.]+| port_(id|no) \w+| designated_port \d+| expires \d+sec| valid_lft .*$` +
		`| promiscuity \d+| allmulti \d+| tentative| linkdown| dead| state (UP|DOWN|UNKNOWN)| qdisc \w+` +
		`|NO-CARRIER,| mii_status \w+` +
		`| ad_\w+_oper_port_state(_str)? \S+| ad_(aggregator(_id)?|num_ports|(actor|partner)_key) \d+| ad_partner_mac \S+`)
}

// listing returns a node as ip and bridge show it, apart from what is volatile. Lists of links are in the order of
// names.
func listing(tb testing.TB) map[string][]string {
	tb.Helper()
	learnt := regexp.MustCompile(`^([0-9a-f]{2}:){5}`)
	all := map[string][]string{}
	for program, shown := range map[string]string{
		"ip -d": "addr\nlink\ntoken list", "ip -4 -d": "route show table all\nrule", "ip -6 -d": "route show table all\nrule",
		"bridge -d": "link\nvlan\nfdb",
	} {
		text := volatile().ReplaceAllString(command(tb, shown, append(strings.Fields(program), "-batch", "-")...), "")
		lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(text), "\n"), func(l string) bool {
			// The rule for VRFs comes with the first one, and the kernel never takes it back.
			return strings.TrimSpace(l) == "" || learnt.MatchString(l) && !strings.Contains(l, "static") ||
				strings.Contains(l, "[l3mdev-table]")
		})
		all[program] = blocks(lines)
	}
	all["settings of IPv6"] = settings(tb)
	return all
}

// settings returns those of IPv6 of every link that ip does not show.
func settings(tb testing.TB) []string {
	tb.Helper()
	var all []string
	for _, name := range []string{"disable_ipv6", "accept_ra", "autoconf", "forwarding", "addr_gen_mode", "use_tempaddr"} {
		files, err := filepath.Glob(conf + "*/" + name)
		require.NoError(tb, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(tb, err)
			all = append(all, strings.TrimPrefix(file, conf)+" "+strings.TrimSpace(string(text)))
		}
	}
	return all
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

// conf is the folder with the settings of IPv6 of every link, and of those to come.
const conf = "/proc/sys/net/ipv6/conf/"

// freshLinkLocals has the kernel make the addresses of the NICs again: a test before may have flushed them.
func freshLinkLocals(t *testing.T) {
	t.Helper()
	for _, nic := range []string{"eth0", "eth1", "eth2"} {
		for _, off := range []string{"1", "0"} {
			run(t, "write "+off+" "+conf+nic+"/disable_ipv6")
		}
	}
}

// untried has the kernel take IPv6 addresses for nobody else's without trying them for a second or two each.
func untried(t *testing.T) {
	t.Helper()
	for _, link := range []string{"default", "eth0", "eth1", "eth2"} {
		run(t, "write 0 "+conf+link+"/accept_dad")
		t.Cleanup(func() { run(t, "write 1 "+conf+link+"/accept_dad") })
	}
}

// lentGuest returns the kernel of the guest, which is brought back to the state that it is in when the test is over.
func lentGuest(t *testing.T) *Kernel {
	t.Helper()
	k := openGuest(t)
	start := read(t, k)
	t.Cleanup(func() {
		now := read(t, k)
		assert.NoError(t, Apply(k, netstate.PlanBack(now, netstate.Revert(start, towards(start, now)))))
	})
	return k
}

// made makes a node by hand, for the length of a test, and returns its kernel.
func made(t *testing.T, made, cleared string) *Kernel {
	t.Helper()
	untried(t)
	freshLinkLocals(t)
	k := lentGuest(t)
	t.Cleanup(func() { script(t, cleared) })
	script(t, made)
	awaitLinks(t)
	return k
}

// asItCame are the settings of IPv6 that the kernel gives a NIC.
func asItCame(nic string) string {
	of := conf + nic
	return "\nwrite 1 " + of + "/accept_ra\nwrite 0 " + of + "/forwarding\nwrite 0 " + of + "/disable_ipv6"
}

// awaitLinks waits until links have found their carriers, and the kernel has made and tried its addresses of them: it
// does so in its own time.
func awaitLinks(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(run(t, "ip -d addr show up"))
		}
	})
	var waiting []net.Interface
	require.Eventually(t, func() bool {
		links, err := net.Interfaces()
		require.NoError(t, err)
		// Not /proc/net, which is that of the process's first thread: a test may have left that one in another namespace.
		addresses, err := os.ReadFile("/proc/thread-self/net/if_inet6")
		require.NoError(t, err)
		waiting = slices.DeleteFunc(links, func(l net.Interface) bool {
			return l.Flags&net.FlagUp == 0 || ready(l, string(addresses))
		})
		return len(waiting) == 0
	}, time.Minute, 5*time.Millisecond, "%v are ready", &waiting)
}

// ready reports whether a link that is up has its carrier, has tried its addresses of IPv6 and has the one that the
// kernel makes. The kernel's table has a line for each: address, index, length, scope, flags and link.
func ready(link net.Interface, table string) bool {
	const linkScope = "20"
	own := false
	for line := range strings.Lines(table) {
		words := strings.Fields(line)
		flags, err := strconv.ParseUint(words[4], 16, 8)
		if words[5] == link.Name && (err != nil || flags&unix.IFA_F_TENTATIVE != 0) {
			return false
		}
		own = own || words[5] == link.Name && words[3] == linkScope
	}
	return link.Flags&net.FlagRunning != 0 && (own || !makesLinkLocal(link.Name))
}

// makesLinkLocal reports whether a link has IPv6 and the kernel makes its address: not for a VRF or the port of a bond.
func makesLinkLocal(name string) bool {
	const none, vrf = "1", unix.IFF_MASTER | unix.IFF_NOARP
	says := func(file string) string {
		text, err := os.ReadFile(file)
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(text))
	}
	flags, err := strconv.ParseUint(says(filepath.Join(sysfsLinks, name, "flags")), 0, 32)
	port := err != nil || flags&unix.IFF_SLAVE != 0 || flags&vrf == vrf
	return !port && name != "lo" && says(conf+name+"/disable_ipv6") == "0" && says(conf+name+"/addr_gen_mode") != none
}
