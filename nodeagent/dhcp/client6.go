// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"slices"
	"time"

	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// readStation reads the link as its version of IP sees it.
func (c *client) readStation() (kernel.Station, error) {
	if c.IPv6 {
		return c.network.Station6(c.Link)
	}
	return c.network.Station(c.Link)
}

// listen opens what the version of IP is spoken through.
func (c *client) listen() (speaker, error) {
	if c.IPv6 {
		return listen6(c.Link, c.station.LinkLocal)
	}
	return listen(c.Link)
}

// followRouters tells an IPv6 machine what there is to be had by DHCP.
func (c *client) followRouters(now time.Time) {
	if m, is6 := c.machine.(*machine6); is6 {
		m.setScope(now, scopeOf(c.station))
	}
}

// checkDuplicate finds out whether the kernel has found the address of a lease with somebody else (RFC 4862, 5.4): then
// it takes an address with an end away before it was ever in use.
func (c *client) checkDuplicate(now time.Time, was kernel.Station) {
	m, is6 := c.machine.(*machine6)
	if !is6 || !c.tentative || c.placed == nil {
		return
	}
	address := c.placed.Address.Addr()
	switch {
	case hasAddress(c.station, *c.placed):
		c.tentative = slices.Contains(c.station.Tentative, address)
	case c.station.Running && c.station.Index == was.Index && c.station.Losses == was.Losses:
		c.tentative = false
		c.log.Info("declined an address that somebody has already", "link", c.Link, "address", address.String())
		m.decline(now)
	default:
		c.tentative = false // it went with the link
	}
}
