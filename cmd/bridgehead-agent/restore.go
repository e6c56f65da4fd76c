// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"go.uber.org/zap/zapcore"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
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
	defer func() { _ = h.Close() }() // the process ends with it
	boot, err := bootID()
	if err != nil {
		return err
	}
	j, err := journal.Open(o.StateDir)
	if err != nil {
		return err
	}
	k := &nodeagent.Keeper{
		Node:      h,
		Journal:   j,
		Boot:      boot,
		HoldLinks: h.Hold,
		Clock:     clock.RealClock{},
		Log:       log.WithName("keeper"),
	}
	if err := k.Restore(); err != nil {
		log.Error(err, "Not all could be restored; the agent will try again")
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	awaitLeases(ctx, h.Read)
	if err := notifyReady(ctx, socket); err != nil {
		stop()
		return errors.Join(err, <-ended)
	}
	err = turn.wanted(ctx, func() {
		k.Heal() // logs what it does; NICs may appear late
	})
	stop()
	return errors.Join(err, <-ended)
}

// leaseWait is how long the start of the unit waits for addresses: what comes after network-online.target counts on
// them, and a server that does not answer must not keep a node from booting.
const leaseWait = 20 * time.Second

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

// leased reports whether every link that asks a DHCP server for an address has one.
func leased(state netstate.State) bool {
	return !slices.ContainsFunc(state.Interfaces, func(i netstate.Interface) bool {
		asks := i.IPv4 != nil && i.IPv4.DHCP != nil && *i.IPv4.DHCP
		return asks && !slices.ContainsFunc(i.IPv4.Address, netstate.Address.Dynamic)
	})
}

// notifyReady tells systemd that the unit has started, as sd_notify(3) does.
func notifyReady(ctx context.Context, socket string) error {
	if socket == "" {
		return nil
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unixgram", socket)
	if err != nil {
		return fmt.Errorf("tell systemd that the network is restored: %w", err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("READY=1")); err != nil {
		return fmt.Errorf("tell systemd that the network is restored: %w", err)
	}
	return nil
}
