// SPDX-License-Identifier: Apache-2.0

//go:build guest

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"sigs.k8s.io/yaml"

	v1 "github.com/bridgehead-dev/bridgehead/api/nmstate/v1"
	"github.com/bridgehead-dev/bridgehead/e2e/vmrun/inguest"
	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/netstate/render"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

const manifests = "testdata/manifests"

// bind68 is the job of opening the port from which leases are renewed; any other job is a policy to apply.
const bind68 = "bind port 68"

const (
	setDNS = "spec: {desiredState: {dns-resolver: {config: {server: [192.0.2.53]}}}}"
	noIPv6 = "spec: {desiredState: {interfaces: [{name: eth2, type: ethernet, state: up, ipv6: {enabled: false}}]}}"
)

// inside does a job with the flags that the DaemonSet gives the agent, and prints what a user would read.
func inside(job string, args []string) int {
	options := defaultOptions("node01")
	_, err := options.parse(args)
	switch {
	case err != nil:
	case job == listen:
		err = listenInside(context.Background(), options)
	case job == bind68:
		var conn *net.UDPConn
		if conn, err = net.ListenUDP("udp4", &net.UDPAddr{Port: 68}); err == nil {
			err = conn.Close()
		}
	default:
		err = applyInside(context.Background(), options, job)
	}
	if err != nil {
		fmt.Println("failed:", err)
		return 1
	}
	fmt.Println("done")
	return 0
}

// applyInside applies a policy as the agent does when it has a turn.
func applyInside(ctx context.Context, o Options, text string) error {
	h, err := openHost(o, logr.Discard())
	if err != nil {
		return err
	}
	if err := h.CheckAccess(); err != nil {
		fmt.Println("lacks:", err)
	}
	keeper, err := restoredKeeper(o, h, logr.Discard())
	if err != nil {
		return err
	}
	var policy v1.NodeNetworkConfigurationPolicy
	if err := yaml.Unmarshal([]byte(text), &policy); err != nil {
		return err
	}
	current, err := keeper.Read()
	if err != nil {
		return err
	}
	fmt.Println("name servers:", strings.Join(current.DNS.Running.Server, " "))
	desired, _, err := render.Policy(policy.Spec, current, nil, metav1.NewTime(time.Now()))
	if err != nil {
		return err
	}
	return keeper.Apply(ctx, journal.Record{Policy: "p", Generation: 1, Desired: journal.State(desired)})
}

// readDaemonSet returns the agent's, as users apply it.
func readDaemonSet(t *testing.T) *appsv1.DaemonSet {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(manifests, "base/agent/daemonset.yaml"))
	require.NoError(t, err)
	set := new(appsv1.DaemonSet)
	require.NoError(t, yaml.UnmarshalStrict(text, set))
	return set
}

// withDNS patches the DaemonSet as the component dns does.
func withDNS(t *testing.T, set *appsv1.DaemonSet) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(manifests, "components/dns/kustomization.yaml"))
	require.NoError(t, err)
	var component struct{ Patches []struct{ Patch string } }
	require.NoError(t, yaml.Unmarshal(text, &component))
	require.Len(t, component.Patches, 1)
	patch, err := yaml.YAMLToJSON([]byte(component.Patches[0].Patch))
	require.NoError(t, err)
	before, err := yaml.Marshal(set)
	require.NoError(t, err)
	before, err = yaml.YAMLToJSON(before)
	require.NoError(t, err)
	after, err := strategicpatch.StrategicMergePatch(before, patch, appsv1.DaemonSet{})
	require.NoError(t, err)
	*set = appsv1.DaemonSet{}
	require.NoError(t, yaml.UnmarshalStrict(after, set))
}

// without takes a mount out of the agent's container.
func without(volume string) func(*testing.T, *appsv1.DaemonSet) {
	return func(t *testing.T, set *appsv1.DaemonSet) {
		c := &set.Spec.Template.Spec.Containers[0]
		var rest []corev1.VolumeMount
		for _, m := range c.VolumeMounts {
			if m.Name != volume {
				rest = append(rest, m)
			}
		}
		require.Len(t, rest, len(c.VolumeMounts)-1)
		c.VolumeMounts = rest
	}
}

// withoutCapability takes a capability from the agent's container.
func withoutCapability(name corev1.Capability) func(*testing.T, *appsv1.DaemonSet) {
	return func(t *testing.T, set *appsv1.DaemonSet) {
		capabilities := set.Spec.Template.Spec.Containers[0].SecurityContext.Capabilities
		var rest []corev1.Capability
		for _, c := range capabilities.Add {
			if c != name {
				rest = append(rest, c)
			}
		}
		require.Len(t, rest, len(capabilities.Add)-1)
		capabilities.Add = rest
	}
}

// resolvedHost gives the guest the resolver's files of a host that runs systemd-resolved.
func resolvedHost(t *testing.T) {
	t.Helper()
	const stub = "/run/systemd/resolve/stub-resolv.conf"
	require.NoError(t, os.MkdirAll(filepath.Dir(stub), 0o755))
	require.NoError(t, os.WriteFile(stub, []byte("nameserver 127.0.0.53\n"), 0o600))
	require.NoError(t, os.Symlink("../run/systemd/resolve/stub-resolv.conf", "/etc/resolv.conf"))
	t.Cleanup(func() {
		assert.NoError(t, os.Remove("/etc/resolv.conf"))
		assert.NoError(t, os.RemoveAll("/run/systemd"))
	})
}

// plainHost gives the guest a resolv.conf that nobody keeps.
func plainHost(t *testing.T) {
	t.Helper()
	require.NoError(t, os.WriteFile("/etc/resolv.conf", []byte("nameserver 192.0.2.1\n"), 0o600))
	t.Cleanup(func() { assert.NoError(t, os.Remove("/etc/resolv.conf")) })
}

// bridgeByHand makes a bridge as a person would.
func bridgeByHand(t *testing.T) {
	t.Helper()
	k, err := kernel.Open()
	require.NoError(t, err)
	defer k.Close()
	current, err := k.Read()
	require.NoError(t, err)
	steps, err := netstate.Plan(current, netstate.State{Interfaces: []netstate.Interface{
		{Name: "br0", Type: netstate.TypeBridge, State: netstate.StateUp},
	}})
	require.NoError(t, err)
	require.NoError(t, kernel.Apply(k, steps))
}

// hasBridge reports whether br0 is there and has eth1.
func hasBridge(t *testing.T) bool {
	t.Helper()
	k, err := kernel.Open()
	require.NoError(t, err)
	defer k.Close()
	current, err := k.Read()
	require.NoError(t, err)
	bridge, found := current.Interface("br0")
	if !found {
		return false
	}
	assert.Equal(t, []string{"eth1"}, bridge.Ports())
	return true
}

// forget makes the guest as it was.
func forget(t *testing.T) {
	t.Helper()
	k, err := kernel.Open()
	require.NoError(t, err)
	defer k.Close()
	current, err := k.Read()
	require.NoError(t, err)
	off := netstate.State{Interfaces: []netstate.Interface{{Name: "br0", State: netstate.StateAbsent}}}
	steps, err := netstate.Plan(current, off)
	require.NoError(t, err)
	require.NoError(t, kernel.Apply(k, steps))
	require.NoError(t, os.RemoveAll("/var/lib/bridgehead"))
}

func TestTheAgentWorksInTheContainerThatTheManifestsDescribe(t *testing.T) {
	inguest.Require(t)
	story, err := os.ReadFile("testdata/policy.yaml")
	require.NoError(t, err)
	type set = *appsv1.DaemonSet
	type test struct {
		host   func(*testing.T)
		change func(*testing.T, set)
		job    string
		// says is what the agent is to print; nothing of what silent has.
		says   []string
		silent string
		bridge bool
	}
	const unmounted = "/proc/sys/net/ipv6/conf/br0/disable_ipv6 is read-only: the agent's container needs the host's " +
		"/proc/sys/net, mounted writable at /host/proc/sys/net (--host-root=/host) (EROFS)"
	for name, c := range map[string]test{
		"the story's policy is applied": {job: string(story), says: []string{"done"}, silent: "lacks", bridge: true},
		"a bridge that was made by hand gets its port": {
			host: bridgeByHand, job: string(story), says: []string{"done"}, bridge: true,
		},
		"leases are renewed from port 68": {job: bind68, says: []string{"done"}},
		"not from port 68 without the capability": {
			change: withoutCapability("NET_BIND_SERVICE"), job: bind68, says: []string{"permission denied"},
		},
		"that it is missing is said": {
			change: withoutCapability("NET_BIND_SERVICE"), job: string(story), bridge: true,
			says: []string{"lacks: CAP_NET_BIND_SERVICE is missing: DHCP leases cannot be renewed (from port 68) or requested (from port 546)\n", "done"},
		},
		"without the mount of the settings, the way out is named": {
			change: without("sysctl"), job: string(story), says: []string{
				"lacks: /proc/sys/net is read-only, so links cannot be made",
				": make linux-bridge br0: " + unmounted,
			},
		},
		"without it, a setting of a link there is fails likewise": {
			change: without("sysctl"), job: noIPv6, says: []string{"set eth2: /proc/sys/net/ipv6/conf/eth2/disable_ipv6 is read-only"},
		},
		"without CAP_NET_ADMIN, the capability is named": {
			change: withoutCapability("NET_ADMIN"), job: string(story), says: []string{
				"lacks: CAP_NET_ADMIN is missing: links, addresses and routes cannot be changed",
				": make linux-bridge br0: not permitted (CAP_NET_ADMIN is needed)",
			},
		},
		"without the state folder, nothing is begun": {
			change: without("state"), job: string(story),
			says: []string{"failed: open the journal in /var/lib/bridgehead: mkdir /var: read-only file system"},
		},
		"a link of resolv.conf is followed on the host": {
			host: resolvedHost, job: setDNS, says: []string{
				"name servers: 127.0.0.53\n",
				"configure name servers: tell systemd-resolved of name servers: the node has no system bus",
			},
			silent: "/host/etc",
		},
		"name servers are not written to a folder that is the host's": {
			host: plainHost, job: setDNS, says: []string{
				"name servers: 192.0.2.1\n",
				"the agent may only read /etc of the host, so it cannot write /etc/resolv.conf: mount the folder writable (component dns",
			},
			silent: "/host/etc",
		},
		"name servers are written where DNS is ours": {
			host: plainHost, change: withDNS, job: setDNS, says: []string{"done"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Cleanup(func() { forget(t) })
			if c.host != nil {
				c.host(t)
			}
			ds := readDaemonSet(t)
			if c.change != nil {
				c.change(t, ds)
			}
			output, err := containerOf(t, ds, c.job).run(t)
			var exit *exec.ExitError
			if err != nil {
				require.ErrorAs(t, err, &exit, output)
			}
			for _, text := range c.says {
				assert.Contains(t, output, text)
			}
			if c.silent != "" {
				assert.NotContains(t, output, c.silent)
			}
			assert.Equal(t, c.bridge, hasBridge(t))
		})
	}
}
