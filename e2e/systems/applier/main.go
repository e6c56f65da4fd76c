// SPDX-License-Identifier: Apache-2.0

// Command applier applies policies to the system it runs on, and reverts them, as the node agent does when it has a
// turn, without an API server and without healing: whatever holds afterwards holds by itself.
//
//	applier apply NAME FILE   apply the desired state in a file as the policy NAME
//	applier fail NAME FILE    apply it with a probe that then finds nothing, so that it is undone
//	applier revert NAME       undo the policy
//	applier way ADDRESS       note what the node reaches others by, where that is its address
//	applier boot-unit install|remove
//	applier remove-profiles LINK...   of kubernetes-nmstate
package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"k8s.io/utils/clock"

	"github.com/bridgehead-dev/bridgehead/e2e/systems/layout"
	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent"
	"github.com/bridgehead-dev/bridgehead/nodeagent/bootunit"
	"github.com/bridgehead-dev/bridgehead/nodeagent/dhcp"
	"github.com/bridgehead-dev/bridgehead/nodeagent/host"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
	"github.com/bridgehead-dev/bridgehead/nodeagent/lldp"
	"github.com/bridgehead-dev/bridgehead/nodeagent/managers"
	"github.com/bridgehead-dev/bridgehead/nodeagent/probe"
	"github.com/bridgehead-dev/bridgehead/nodeagent/resolver"
)

// deadline is how long a change may take.
const deadline = 2 * time.Minute

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "applier:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return errors.New("usage: applier apply|fail|revert NAME [FILE], applier way ADDRESS, " +
			"or applier boot-unit install|remove")
	}
	switch args[0] {
	case "boot-unit":
		return bootUnit(args[1])
	case "remove-profiles":
		names, err := managers.New("/", logr.Discard()).RemoveProfiles(args[1:])
		fmt.Println("removed", names)
		return err
	}
	k, err := newKeeper(args[0] == "fail")
	if err != nil {
		return err
	}
	if err := k.Restore(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	switch args[0] {
	case "revert":
		return k.Revert(ctx, args[1])
	case "way":
		return noteWay(ctx, k, args[1])
	}
	text, err := os.ReadFile(args[2])
	if err != nil {
		return err
	}
	desired, errs := netstate.Parse(text)
	if len(errs) > 0 {
		return errs.ToAggregate()
	}
	return k.Apply(ctx, journal.Record{Policy: args[1], Generation: 1, Desired: journal.State(desired), Heal: true})
}

// noteWay notes what a node with an address reaches others by.
func noteWay(ctx context.Context, k *nodeagent.Keeper, address string) error {
	own, err := netip.ParseAddr(address)
	if err != nil {
		return err
	}
	return k.NoteWay(ctx, []netip.Addr{own}, probe.Way(k.Node))
}

// bootUnit installs or removes what restores the network at boot, as the node agent does.
func bootUnit(verb string) error {
	unit := bootunit.Host{
		Root: "/", Program: "/usr/bin/bridgehead-agent",
		Enabled: managers.RestoredAtBoot("/"), Reload: managers.ReloadUnits("/"),
	}
	if verb == "install" {
		return unit.Install()
	}
	return unit.Remove()
}

func newKeeper(fails bool) (*nodeagent.Keeper, error) {
	log := funcr.New(func(_, args string) {
		fmt.Println(strings.ReplaceAll(args, `\n`, "\n")) // plans have lines
	}, funcr.Options{})
	links, err := kernel.Open()
	if err != nil {
		return nil, err
	}
	reloadNM, reloadResolved := managers.ReloadNameServers("/")
	h := host.New(host.Options{
		Kernel: links, Clients: dhcp.New(dhcp.Options{Network: links, Folder: layout.StateDir + "/leases", Log: log}),
		Listeners: lldp.New(lldp.Options{Network: links, Folder: layout.StateDir + "/lldp", Log: log}),
		Managers:  managers.New("/", log), Log: log,
		File: resolver.File{
			Path: "/etc/resolv.conf", Original: layout.StateDir + "/resolv.conf",
			Keepers: []resolver.Keeper{resolver.NetworkManager(reloadNM), resolver.Resolved(reloadResolved)},
		},
	})
	j, err := journal.Open(layout.StateDir)
	if err != nil {
		return nil, err
	}
	k := &nodeagent.Keeper{Node: h, Journal: j, HoldLinks: h.Hold, HeldLinks: h.Held, Clock: clock.RealClock{}, Log: log}
	if fails {
		k.Probe = func(context.Context) func(context.Context) error {
			return func(context.Context) error { return errors.New("nobody answers") }
		}
	}
	return k, nil
}
