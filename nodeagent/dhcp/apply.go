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
	lease := c.machine.lease
	if lease != nil {
		if err := c.store.save(*lease); err != nil {
			c.log.Error(err, "the lease is not used, for it could not be renewed after a start", "link", c.link)
			c.later(now)
			return
		}
	}
	routes, err := apply(c.network, c.link, c.placed, lease, c.orders)
	if err != nil {
		c.log.Error(err, "put a lease into force", "link", c.link)
		c.later(now)
		return
	}
	if routes != nil { // an address with fewer routes is better than none
		c.log.Error(routes, "not all routes of a lease are in force", "link", c.link)
	}
	c.report(lease)
	c.placed, c.torn = lease, false
	c.held.Store(lease)
	c.changed()
}

// report says what a lease changes for the node.
func (c *client) report(lease *Lease) {
	held := c.held.Load()
	switch {
	case lease == nil && held != nil:
		c.log.Info("lost the lease", "link", c.link, "address", held.Address.String())
	case lease != nil && (held == nil || held.Address != lease.Address):
		c.log.Info("got a lease", "link", c.link, "address", lease.Address.String(), "server", lease.Server.String(),
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
