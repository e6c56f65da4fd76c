// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"errors"
	"time"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// putInForce makes disk and kernel agree with the machine's lease. The disk comes first: an address that it does
// not know is taken for somebody else's.
func (c *client) putInForce(now time.Time) {
	lease := c.machine.held()
	if lease != nil && lease.Address.IsValid() {
		if err := c.store.save(*lease); err != nil {
			c.log.Error(err, "the stored lease is not used: it could not be renewed after the start", "link", c.Link)
			c.later(now)
			return
		}
	}
	routes, err := apply(c.network, c.Link, c.placed, lease, c.Orders)
	if err != nil {
		c.log.Error(err, "apply a lease", "link", c.Link)
		c.later(now)
		return
	}
	if routes != nil { // an address with fewer routes is better than none
		c.log.Error(routes, "not all routes of a lease were applied", "link", c.Link)
	}
	c.report(lease)
	if c.IPv6 && lease != nil && !hasAddress(c.station, *lease) {
		c.tentative = true
		c.nudge()
	}
	c.placed, c.torn = lease, false
	c.held.Store(lease)
	c.changed()
}

// report says what a lease changes for the node.
func (c *client) report(lease *Lease) {
	held := c.held.Load()
	switch {
	case lease == nil && held != nil && held.Address.IsValid():
		c.log.Info("lost the lease", "link", c.Link, "address", held.Address.String())
	case lease != nil && lease.Address.IsValid() && (held == nil || held.Address != lease.Address):
		c.log.Info("got a lease", "link", c.Link, "address", lease.Address.String(), "server", lease.from(),
			"for", lease.Length.String())
	}
}

// apply carries out the steps from one lease to another. What changed between reading and writing is read
// again. When it gives up, routes is why routes are not as they should be, while the address is; err is why
// not even that.
func apply(node kernel.Node, link string, was, is *Lease, orders netstate.IP) (routes, err error) {
	const tries = 3
	for range tries {
		current, failed := node.Read()
		if failed != nil {
			return nil, failed
		}
		routes, err = do(node, place(current, link, was, is, orders))
		if routes == nil && err == nil {
			return nil, nil
		}
	}
	return routes, err
}

// do carries out steps. A route that fails does not keep the others from being tried; an address does.
func do(node kernel.Node, steps []netstate.Step) (routes, err error) {
	for _, step := range steps {
		failed := node.Do(step)
		if failed != nil && step.Kind == netstate.StepAddress {
			return routes, failed
		}
		routes = errors.Join(routes, failed)
	}
	return routes, nil
}
