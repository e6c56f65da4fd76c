// SPDX-License-Identifier: Apache-2.0

//go:build guest

package host_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	"github.com/bridgehead-dev/bridgehead/e2e/dhcpserver"
	"github.com/bridgehead-dev/bridgehead/e2e/hosts"
	"github.com/bridgehead-dev/bridgehead/e2e/router"
	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/netstate/render"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// An example is a policy like one that kubernetes-nmstate has among its examples, and what becomes of it on a node
// whose links lan1 and lan2 lead to a DHCP server, a sender of router advertisements and two gateways.
type example struct {
	// Like is the name of the example it does the work of.
	Like string `json:"like"`
	// Before are policies that are applied first.
	Before []json.RawMessage `json:"before"`
	// Await is what the node has to show before the policy is applied, as in Becomes.
	Await map[string]string  `json:"await"`
	Spec  nmstate.PolicySpec `json:"spec"`
	// Refused is why the policy is refused, for those that are.
	Refused string `json:"refused"`
	// Becomes are lines that ip or resolv.conf have to show some time after the policy is applied, by the command.
	Becomes map[string]string `json:"becomes"`
}

func loadExamples(t *testing.T) map[string]example {
	t.Helper()
	files, err := filepath.Glob("testdata/examples/*.yaml")
	require.NoError(t, err)
	examples := map[string]example{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var e example
		require.NoError(t, yaml.UnmarshalStrict(text, &e), file)
		examples[strings.TrimSuffix(filepath.Base(file), ".yaml")] = e
	}
	require.GreaterOrEqual(t, len(examples), 18)
	return examples
}

// segment lays lan1 and lan2 to a host with all that a node meets on a network.
func segment(t *testing.T) {
	t.Helper()
	s := dhcpserver.Start(t, "lan1", "192.0.2.0/24", append(dhcpserver.Seconds(600, 900, 1200),
		dhcpv4.OptDNS(net.IPv4(192, 0, 2, 53)), dhcpv4.OptRouter(net.IPv4(192, 0, 2, 1)))...)
	s.AddAddress(t, "192.0.2.254/24")
	router.AdvertiseManaged(t, s.Host, "server", netip.MustParsePrefix("2001:db8:5::/64"))
	dhcpserver.Start6(t, s.Host, "server")
	other := hosts.New(t)
	other.Plug(t, "lan2", "far", "198.51.100.1/24")
}

func TestExamplesOfKubernetesNMState(t *testing.T) {
	for name, e := range loadExamples(t) {
		t.Run(name, func(t *testing.T) { tryExample(t, e) })
	}
}

func tryExample(t *testing.T, e example) {
	segment(t)
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "etc"), 0o755))
	resolv := filepath.Join(dir, "etc", "resolv.conf")
	require.NoError(t, os.WriteFile(resolv, []byte("nameserver 192.0.2.99\n"), 0o600))
	way := &way{agent: start(t, dir)}
	t.Cleanup(func() { way.goBack(t, 0) })
	awaitLine(t, "ip -6 addr show dev lan1", "2001:db8:5:")
	for n, before := range e.Before {
		var spec nmstate.PolicySpec
		require.NoError(t, yaml.UnmarshalStrict(before, &spec))
		name := fmt.Sprint("before-", n)
		require.NoError(t, way.apply(t, name, spec))
		require.NoError(t, way.Orphan(name)) // what it made stays, and nobody holds on to it
	}
	for command, want := range e.Await {
		awaitLine(t, strings.ReplaceAll(command, "resolv.conf", resolv), want)
	}
	way.waitUntilStill(t)
	listed, been := list(t), len(way.changes)
	err := way.apply(t, "example", e.Spec)
	if e.Refused != "" {
		require.ErrorContains(t, err, e.Refused)
		assert.Equal(t, listed, list(t), "a policy that is refused changes nothing")
		return
	}
	require.NoError(t, err)
	for command, want := range e.Becomes {
		awaitLine(t, strings.ReplaceAll(command, "resolv.conf", resolv), want)
	}
	healed, _ := way.Heal()
	assert.Empty(t, healed, "nothing is left to do")

	// The way back, to the letter.
	way.goBack(t, been)
	undone := func() bool { return len(difference(listed, list(t))) == 0 }
	if !assert.Eventually(t, undone, time.Minute, 100*time.Millisecond) {
		t.Errorf("the node is not as it was:\n%s", strings.Join(difference(listed, list(t)), "\n"))
	}
}

// A way is what an agent has changed, so that it can be undone.
type way struct {
	agent
	changes []change
}

// A change is a policy and the node before it.
type change struct {
	before  netstate.State
	desired netstate.State
}

// apply takes a policy the whole way: it is rendered with its captures, planned, carried out and verified.
func (w *way) apply(t *testing.T, policy string, spec nmstate.PolicySpec) error {
	t.Helper()
	before := w.read(t)
	desired, _, err := render.Policy(spec, before, nil, metav1.Time{})
	if err != nil {
		return err
	}
	record := journal.Record{Policy: policy, Generation: 1, Desired: journal.State(desired), Heal: true}
	if err := w.Apply(t.Context(), record); err != nil {
		return err
	}
	w.host.Committed()
	w.changes = append(w.changes, change{before, desired})
	return nil
}

// goBack undoes changes, newest first, until so many are left.
func (w *way) goBack(t *testing.T, left int) {
	t.Helper()
	for len(w.changes) > left {
		last := w.changes[len(w.changes)-1]
		w.changes = w.changes[:len(w.changes)-1]
		steps := netstate.PlanBack(netstate.Own(w.read(t), last.desired), netstate.Revert(last.before, last.desired))
		require.NoError(t, kernel.Apply(w.host, steps), netstate.Format(steps))
		w.host.Committed()
	}
}

// waitUntilStill waits until two readings of the node agree: then what there is to learn has been learnt.
func (w *way) waitUntilStill(t *testing.T) {
	t.Helper()
	last := w.read(t)
	require.Eventually(t, func() bool {
		now := w.read(t)
		same := netstate.Equal(last, now)
		last = now
		return same
	}, time.Minute, 700*time.Millisecond, "the node comes to rest")
}

// read returns the node.
func (a agent) read(t *testing.T) netstate.State {
	t.Helper()
	state, err := a.host.Read()
	require.NoError(t, err)
	return state
}

// list returns the node as ip shows it, without what comes and goes by itself.
func list(t *testing.T) map[string][]string {
	t.Helper()
	volatile := regexp.MustCompile(`(?m)^\d+: |@if\d+| \w+_timer +[\d.]+| expires \d+sec| valid_lft .*$| qdisc \w+` +
		`| state (UP|DOWN|UNKNOWN)|NO-CARRIER,| tentative| promiscuity \d+| linkdown|^ +inet6 fe80::.*$`)
	all := map[string][]string{}
	for _, line := range []string{"ip -d addr", "ip -4 -d route show table all", "ip -6 -d route show table all",
		"ip rule", "ip -6 rule", "bridge vlan"} {
		lines := strings.Split(volatile.ReplaceAllString(output(t, line), ""), "\n")
		lines = slices.DeleteFunc(lines, func(l string) bool {
			// The kernel makes a rule of its own with the first VRF and keeps it.
			return strings.TrimSpace(l) == "" || strings.Contains(l, "[l3mdev-table]") ||
				strings.Contains(line, "route") && strings.Contains(l, "proto kernel")
		})
		slices.Sort(lines)
		all[line] = lines
	}
	return all
}

func difference(was, is map[string][]string) []string {
	var lines []string
	for command := range was {
		for _, l := range was[command] {
			if !slices.Contains(is[command], l) {
				lines = append(lines, "- "+l)
			}
		}
		for _, l := range is[command] {
			if !slices.Contains(was[command], l) {
				lines = append(lines, "+ "+l)
			}
		}
	}
	return lines
}

func output(t *testing.T, line string) string {
	t.Helper()
	words := strings.Fields(line)
	out, err := exec.CommandContext(context.WithoutCancel(t.Context()), words[0], words[1:]...).CombinedOutput()
	require.NoError(t, err, "%s: %s", line, out)
	return string(out)
}

// awaitLine waits until a command, or a file, says something.
func awaitLine(t *testing.T, command, want string) {
	t.Helper()
	pattern := regexp.MustCompile(want)
	says := func() string {
		if file, is := strings.CutPrefix(command, "file "); is {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			return string(text)
		}
		return output(t, command)
	}
	require.Eventually(t, func() bool { return pattern.MatchString(says()) }, time.Minute, 100*time.Millisecond,
		"%s says %s", command, want)
}
