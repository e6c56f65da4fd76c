// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/pflag"

	"github.com/bridgehead-dev/bridgehead/nodeagent"
)

// Options are what the command line says.
type Options struct {
	// NodeName is the name of the Node this runs on.
	NodeName string
	// Kubeconfig is the file that says how to reach the API server; empty inside a cluster.
	Kubeconfig string
	// StateDir keeps what the agent must not forget, over reboots.
	StateDir string
	// HostRoot is the folder in which the files of the host are found: / for a process of the host, and in a
	// container the folder below which it mounts those it needs.
	HostRoot string
	// ResolvConf is the file that dns-resolver and DHCP servers speak of, as the host names it.
	ResolvConf string
	// InstallBootUnit has the agent install what restores the network at boot on the host, where a policy needs that.
	InstallBootUnit bool
	// ProbeDeadline is how long the node has to answer after a change.
	ProbeDeadline time.Duration
	// IgnoreBridges are patterns of bridges that are not offered to pods.
	IgnoreBridges []string
	// MetricsAddress is where metrics are served; empty means nowhere.
	MetricsAddress string
	// HealthAddress is where /livez and /readyz are served; empty means nowhere.
	HealthAddress string
	// LogLevel is info or debug.
	LogLevel string
	// Version has the program say which version it is, and do nothing else.
	Version bool
}

func defaultOptions(node string) Options {
	return Options{
		NodeName:      node,
		StateDir:      "/var/lib/bridgehead",
		HostRoot:      "/",
		ResolvConf:    "/etc/resolv.conf",
		ProbeDeadline: nodeagent.DefaultProbeDeadline,
		IgnoreBridges: nodeagent.DefaultIgnoredBridges(),
		LogLevel:      "info",
	}
}

// restoring is the argument by which the program is the unit of the host, and not the pod.
const restoring = "restore"

// parse takes in the command line, and reports whether the program is to be the unit of the host.
func (o *Options) parse(args []string) (restores bool, err error) {
	flags := o.flags()
	if err := flags.Parse(args); err != nil {
		return false, err
	}
	for _, arg := range flags.Args() {
		if arg != restoring {
			return false, fmt.Errorf("%q is neither %s nor a flag: write values of flags as --flag=value", arg, restoring)
		}
	}
	return flags.NArg() > 0, nil
}

func (o *Options) flags() *pflag.FlagSet {
	flags := pflag.NewFlagSet("bridgehead-agent", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.Usage = func() {
		fmt.Fprintf(os.Stderr, `bridgehead-agent makes the network of its node be as
NodeNetworkConfigurationPolicies say, by netlink: it plans a change, applies it,
and undoes it if the node then does not reach what it reached before. What it is
committed to is on disk, and restored after a reboot before the API server is
asked for anything. The network is reported in a NodeNetworkState, and bridges
are offered to pods as bridge.network.kubevirt.io/<bridge>.

It needs CAP_NET_ADMIN, CAP_NET_RAW, CAP_NET_BIND_SERVICE and the network namespace
of the node. In a container it needs the host's /proc/sys/net writable, and its /etc
and /run/systemd/resolve (writable /etc only if name servers are to be written); to
take links over from NetworkManager and systemd-networkd, also the folders of these
and of D-Bus below /run. All are below the folder that --host-root names.

Usage:
  bridgehead-agent [flags]            as the pod of a node does
  bridgehead-agent restore [flags]    as a unit of the host does, before kubelet: restores what is committed, and keeps
                                      leases up until the pod takes over

Flags:
%s
On SIGTERM it leaves the network as it is.
`, flags.FlagUsages())
	}
	flags.StringVar(&o.NodeName, "node-name", o.NodeName, "`name` of the Node this runs on (default from NODE_NAME)")
	flags.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig,
		"kubeconfig `file`; not needed inside a cluster")
	flags.StringVar(&o.StateDir, "state-dir", o.StateDir,
		"`folder` for what this node is configured to, which must survive reboots")
	flags.StringVar(&o.HostRoot, "host-root", o.HostRoot,
		"`folder` where the host's /proc/sys/net, /etc and folders below /run are mounted")
	flags.StringVar(&o.ResolvConf, "resolv-conf", o.ResolvConf,
		"`file` on the host for name servers from policies and DHCP servers")
	flags.BoolVar(&o.InstallBootUnit, "install-boot-unit", o.InstallBootUnit,
		"install bridgehead-restore.service on the host while a policy holds the link by which the node reaches others; "+
			"needs the host's /etc/systemd/system and /usr/local/bin writable below --host-root")
	flags.DurationVar(&o.ProbeDeadline, "probe-deadline", o.ProbeDeadline,
		"how long to wait, after a change, for answers from the API server, default gateway and name servers")
	flags.StringSliceVar(&o.IgnoreBridges, "ignore-bridges", o.IgnoreBridges,
		"`patterns` of bridges that are not offered to pods unless a policy declares them")
	flags.StringVar(&o.MetricsAddress, "metrics-bind-address", o.MetricsAddress,
		"`address` on the node to serve metrics on, such as :9447, over TLS and to clients that may get /metrics; empty for none")
	flags.StringVar(&o.HealthAddress, "health-bind-address", o.HealthAddress,
		"`address` on the node to serve /livez and /readyz on, such as 127.0.0.1:9446; empty for none")
	flags.StringVar(&o.LogLevel, "log-level", o.LogLevel, "info or debug")
	flags.BoolVar(&o.Version, "version", false, "print the version and exit")
	return flags
}
