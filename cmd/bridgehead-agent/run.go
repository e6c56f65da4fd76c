// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap/zapcore"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/bridgehead-dev/bridgehead/arming"
	"github.com/bridgehead-dev/bridgehead/nodeagent"
	"github.com/bridgehead-dev/bridgehead/nodeagent/bootunit"
	"github.com/bridgehead-dev/bridgehead/nodeagent/dhcp"
	"github.com/bridgehead-dev/bridgehead/nodeagent/host"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
	"github.com/bridgehead-dev/bridgehead/nodeagent/lldp"
	"github.com/bridgehead-dev/bridgehead/nodeagent/managers"
	"github.com/bridgehead-dev/bridgehead/nodeagent/probe"
	"github.com/bridgehead-dev/bridgehead/nodeagent/resolver"
	"github.com/bridgehead-dev/bridgehead/nodeagent/scrape"
	"github.com/bridgehead-dev/bridgehead/nodeagent/tell"
	"github.com/bridgehead-dev/bridgehead/version"
)

// probeAttempt is how long one question to the API server and the others may take: a TLS handshake on a slow node takes
// its time.
const probeAttempt = 3 * time.Second

// run keeps the node until ctx is done.
func run(ctx context.Context, o Options) error {
	if o.NodeName == "" {
		return errors.New("--node-name is required: it names the Node that this agent runs on")
	}
	level, err := zapcore.ParseLevel(o.LogLevel)
	if err != nil {
		return fmt.Errorf("--log-level: %w", err)
	}
	log := zap.New(zap.Level(level))
	ctrl.SetLogger(log)
	klog.SetLogger(log)
	cfg, err := clientcmd.BuildConfigFromFlags("", o.Kubeconfig)
	if err != nil {
		return fmt.Errorf("read how to reach the API server (--kubeconfig): %w", err)
	}
	cfg.UserAgent = "bridgehead-agent"
	turn, err := openTurn(o.StateDir)
	if err != nil {
		return err
	}
	defer func() { _ = turn.close() }() // the process ends with it
	if err := turn.take(ctx); err != nil {
		return err
	}
	h, err := openHost(o, log)
	if err != nil {
		return err
	}
	defer h.Close()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	registry := newRegistry()
	agent, err := newAgent(ctx, o, cfg, h, registry, log)
	if err != nil {
		return err
	}
	if o.HealthAddress != "" {
		if err := serveHealth(ctx, o.HealthAddress, agent, log.WithName("health")); err != nil {
			return err
		}
	}
	if o.MetricsAddress != "" {
		if err := scrape.Serve(ctx, o.MetricsAddress, cfg, registry, log.WithName("metrics")); err != nil {
			log.Error(err, "Cannot serve metrics; continuing without them")
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	err = agent.Run(ctx)
	stop()
	return errors.Join(err, <-ended)
}

// openHost returns the network of the node that this process runs on.
func openHost(o Options, log logr.Logger) (*host.Host, error) {
	links, err := kernel.Open()
	if err != nil {
		return nil, fmt.Errorf("open the kernel's network: %w", err)
	}
	links.Sysctls = mounted(o.HostRoot, "/proc/sys/net", "ipv4")
	links.Devices = mounted(o.HostRoot, "/sys/class/net", "lo")
	links.Secret = machineID(o.HostRoot)
	boot, err := bootID()
	if err != nil {
		links.Close()
		return nil, err
	}
	reloadNM, reloadResolved := managers.ReloadNameServers(o.HostRoot)
	h := host.New(host.Options{
		Kernel: links,
		Clients: dhcp.New(dhcp.Options{
			Network: links, Folder: filepath.Join(o.StateDir, "leases"), Hostname: o.NodeName, Boot: boot,
			MachineID: machineID(o.HostRoot), Log: log.WithName("dhcp"),
		}),
		Listeners: lldp.New(lldp.Options{
			Network: links, Folder: filepath.Join(o.StateDir, "lldp"), Boot: boot, Log: log.WithName("lldp"),
		}),
		Managers: managers.New(o.HostRoot, log.WithName("managers")),
		File: resolver.File{
			Root: o.HostRoot, Path: o.ResolvConf, Original: filepath.Join(o.StateDir, "resolv.conf"),
			Keepers: []resolver.Keeper{resolver.NetworkManager(reloadNM), resolver.Resolved(reloadResolved)},
		},
		Log: log.WithName("host"),
	})
	if err := h.Resume(); err != nil {
		log.Error(err, "Cannot resume all DHCP clients")
	}
	return h, nil
}

// machineID returns the ID of the host's system, "" if it has none.
func machineID(hostRoot string) string {
	id, err := os.ReadFile(filepath.Join(hostRoot, "etc", "machine-id"))
	if err != nil {
		return "" // what is not systemd's need not have one
	}
	return strings.TrimSpace(string(id))
}

// bootID names this boot of the machine.
func bootID() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read the boot ID: %w", err)
	}
	return strings.TrimSpace(string(id)), nil
}

// mounted returns a folder of the kernel's: the host's if that is mounted, with what it has in it, else our own, which
// a container may only read.
func mounted(root, own, inside string) string {
	hosts := filepath.Join(root, own)
	if _, err := os.Stat(filepath.Join(hosts, inside)); err != nil {
		return own
	}
	return hosts
}

func newAgent(ctx context.Context, o Options, cfg *rest.Config, h *host.Host, registry prometheus.Registerer,
	log logr.Logger) (*nodeagent.Agent, error) {
	var agent *nodeagent.Agent // asked by the probe once it runs
	probes, err := newProbe(cfg, h, func() []netip.Addr { return agent.NodeAddresses() })
	if err != nil {
		return nil, err
	}
	event, err := tell.Events(ctx, cfg, o.NodeName)
	if err != nil {
		return nil, err
	}
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	reader, err := client.New(cfg, client.Options{})
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	others := &arming.Watch{Reader: reader, Neighbours: arming.OnNodes()}
	unit, err := bootUnit(o)
	if err != nil {
		return nil, err
	}
	agent, err = nodeagent.New(nodeagent.Options{
		NodeName: o.NodeName, Network: h, StateDir: o.StateDir, Boot: boot, Config: cfg,
		Probe: probes, ProbeDeadline: o.ProbeDeadline, Way: probe.Way(h),
		Committed: h.Committed, Hold: h.Hold, Held: h.Held, Access: h.CheckAccess,
		RemoveProfiles: h.RemoveProfiles,
		RestoredAtBoot: managers.RestoredAtBoot(o.HostRoot), BootUnit: unit, Others: others.Check,
		IgnoredBridges: o.IgnoreBridges, Event: event, Version: "bridgehead-" + version.String(), Metrics: registry, Log: log,
	})
	return agent, err
}

// bootUnit returns what installs this program as a unit of the host, nil if that is not wanted.
func bootUnit(o Options) (nodeagent.BootUnit, error) {
	if !o.InstallBootUnit {
		return nil, nil
	}
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("--install-boot-unit: %w", err)
	}
	return bootunit.Host{
		Root: o.HostRoot, Program: program,
		Enabled: managers.RestoredAtBoot(o.HostRoot), Reload: managers.ReloadUnits(o.HostRoot),
	}, nil
}

// newProbe asks the API server around every change, and if they were there before, the addresses of the node, the
// gateways and the name servers.
func newProbe(cfg *rest.Config, h *host.Host, addresses func() []netip.Addr) (nodeagent.Probe, error) {
	tls, err := rest.TLSConfigFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("set up the probe of the API server: %w", err)
	}
	return func(ctx context.Context) func(context.Context) error {
		return probe.Probes{
			Attempt:  probeAttempt,
			Always:   []probe.Probe{probe.APIServer(cfg.Host, tls)},
			Optional: slices.Concat(probe.Gateways(h), []probe.Probe{probe.DNS(h)}, probe.Addresses(h, addresses)),
		}.Before(ctx).After
	}, nil
}
