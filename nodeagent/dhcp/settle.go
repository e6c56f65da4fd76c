package dhcp

import (
	"time"

	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
	"github.com/bridgehead-dev/bridgehead/nodeagent/netstate"
)

// settle makes disk and kernel agree with the machine's lease. The disk comes first: an address that it does
// not know is taken for somebody else's.
func (c *client) settle(now time.Time) {
	lease := c.machine.lease
	if lease != nil {
		if err := c.store.save(*lease); err != nil {
			c.log.Error(err, "the lease is not used, for it could not be renewed after a start", "link", c.link)
			c.later(now)
			return
		}
	}
	if err := apply(now, c.network, c.link, c.placed, lease, c.orders); err != nil {
		c.log.Error(err, "put a lease into force", "link", c.link)
		c.later(now)
		return
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
// again.
func apply(now time.Time, network kernel.Node, link string, was, is *Lease, orders netstate.IP) error {
	const tries = 3
	var failed error
	for range tries {
		current, err := network.Read()
		if err != nil {
			return err
		}
		failed = nil
		for _, step := range place(now, current, link, was, is, orders) {
			if failed = network.Do(step); failed != nil {
				break
			}
		}
		if failed == nil {
			return nil
		}
	}
	return failed
}
