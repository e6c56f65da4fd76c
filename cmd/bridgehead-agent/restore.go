// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/zap/zapcore"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent"
	"github.com/bridgehead-dev/bridgehead/nodeagent/host"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
	"github.com/bridgehead-dev/bridgehead/nodeagent/probe"
)

// restore makes the network of the node be as it was committed to, as a unit of the host that starts before the
// programs that manage links and before kubelet. It needs no API server. Then it keeps leases up until the agent in the
// pod waits for its turn, or ctx is done. socket is where systemd wants to hear that the network is there, "" for
// nowhere.
func restore(ctx context.Context, o Options, socket string) error {
	level, err := zapcore.ParseLevel(o.LogLevel)
	if err != nil {
		return fmt.Errorf("--log-level: %w", err)
	}
	log := zap.New(zap.Level(level))
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
	k, err := restoredKeeper(o, h, log)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	err = keep(ctx, k, h, turn, trialOf(ctx, k, orAPIServer(probe.Way(h), kubeletServer(o.HostRoot)), log), socket)
	stop()
	return errors.Join(err, <-ended)
}

// restoredKeeper returns the keeper of a node that has restored what can be.
func restoredKeeper(o Options, h *host.Host, log logr.Logger) (*nodeagent.Keeper, error) {
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	j, err := journal.Open(o.StateDir)
	if err != nil {
		return nil, err
	}
	k := &nodeagent.Keeper{
		Node:      h,
		Journal:   j,
		Boot:      boot,
		HoldLinks: h.Hold,
		HeldLinks: h.Held,
		Clock:     clock.RealClock{},
		Log:       log.WithName("keeper"),
	}
	if err := k.Restore(); err != nil {
		log.Error(err, "Could not restore everything; the agent will try again")
	}
	return k, nil
}

// trialOf returns what takes a trial a round further and reports whether others may start.
func trialOf(ctx context.Context, k *nodeagent.Keeper, way nodeagent.WayProbe, log logr.Logger) func() bool {
	return func() bool {
		ready, err := k.Trial(ctx, way)
		if err != nil && ctx.Err() == nil {
			log.Error(err, "Could not complete the fall-back to the distribution's configuration, or the way back from it")
		}
		return ready
	}
}

// keep tells systemd once others may start, and keeps the node until the agent in the pod waits for its turn.
func keep(ctx context.Context, k *nodeagent.Keeper, h *host.Host, turn *turn, trial func() bool, socket string) error {
	if err := awaitWay(ctx, socket, trial, k); err != nil {
		return err
	}
	awaitLeases(ctx, h.Read)
	if err := notify(ctx, socket, "READY=1"); err != nil {
		return err
	}
	return turn.wanted(ctx, func() {
		k.Heal() // logs what it does; NICs may appear late
		trial()
	})
}

// leaseWait is how long the start of the unit waits for addresses: what comes after network-online.target counts on
// them, and a server that does not answer must not keep a node from booting.
const leaseWait = 20 * time.Second

// wayExtension is what systemd adds to the time that the unit has to start, in each round of a trial.
const wayExtension = 2 * time.Minute

// awaitWay returns when it is known whether the node reaches others by what was restored, or that was given up; or when
// ctx is done.
func awaitWay(ctx context.Context, socket string, trial func() bool, k *nodeagent.Keeper) error {
	for !trial() && ctx.Err() == nil {
		k.Heal() // logs what it does; NICs may appear late
		text := fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", wayExtension.Microseconds())
		if err := notify(ctx, socket, text); err != nil {
			return err
		}
	}
	return nil
}

// awaitLeases returns when every link that asks a DHCP server for an address has one, after leaseWait, or when ctx is
// done.
func awaitLeases(ctx context.Context, read func() (netstate.State, error)) {
	ctx, cancel := context.WithTimeout(ctx, leaseWait)
	defer cancel()
	ticker := time.NewTicker(lockInterval)
	defer ticker.Stop()
	for {
		if state, err := read(); err == nil && leased(state) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// leased reports whether every link that asks a DHCP server for an address has one. Where IPv6 routers say whether
// there is a server, there may be none to wait for.
func leased(state netstate.State) bool {
	waits := func(ip *netstate.IP) bool {
		asks := ip != nil && ip.DHCP != nil && *ip.DHCP && (ip.Autoconf == nil || !*ip.Autoconf)
		return asks && !slices.ContainsFunc(ip.Address, netstate.Address.Dynamic)
	}
	return !slices.ContainsFunc(state.Interfaces, func(i netstate.Interface) bool {
		return waits(i.IPv4) || waits(i.IPv6)
	})
}

// notify tells systemd of the state of the unit, as sd_notify(3) does.
func notify(ctx context.Context, socket, state string) error {
	if socket == "" {
		return nil
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unixgram", socket)
	if err != nil {
		return fmt.Errorf("tell systemd %s: %w", state, err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("tell systemd %s: %w", state, err)
	}
	return nil
}
