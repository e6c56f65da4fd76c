// SPDX-License-Identifier: Apache-2.0

package dhcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// GiveBack ends leases of links that have no client any more: their addresses and routes are removed and the servers
// told. When such an address is static by now, because a plan has kept it so, it stays, and the lease is only
// forgotten. A link keeps its client, and so its lease, until a step says otherwise, whatever becomes of policies.
//
// Call it after each change that is final. The error joins what could not be given back; calling it again tries again.
func (c *Clients) GiveBack() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	var errs []error
	for _, store := range c.stores() {
		leased, err := store.links()
		errs = append(errs, err)
		for _, link := range leased {
			if c.running[seat{link, store.ipv6}] == nil {
				errs = append(errs, c.giveBack(store, link))
			}
		}
	}
	return errors.Join(errs...)
}

// giveBack ends the lease of a link that has no client any more.
func (c *Clients) giveBack(store store, link string) error {
	lease, err := store.load(link)
	if err != nil {
		return err
	}
	if lease == nil {
		return store.remove(link)
	}
	current, err := c.Network.Read()
	if err != nil {
		return fmt.Errorf("give back the lease of %s: %w", link, err)
	}
	address, found := addressOf(current, link, lease.Address)
	if !found || address.Dynamic() {
		if time.Now().Before(lease.Expires()) && !c.goesOnLocked(*lease) {
			c.release(*lease)
		}
		routes, err := apply(c.Network, link, lease, nil, netstate.IP{})
		if err := errors.Join(routes, err); err != nil {
			return fmt.Errorf("give back the lease of %s: %w", link, err)
		}
	}
	return store.remove(link)
}

// goesOnLocked reports whether another link has a client to which the server has lent the address as well, as a bridge
// that took a NIC and its MAC: to release the lease would be to take it from that.
func (c *Clients) goesOnLocked(lease Lease) bool {
	for at := range c.running {
		if at.ipv6 != lease.Address.Addr().Is6() {
			continue
		}
		if station, err := c.Network.Station(at.link); err == nil && station.MAC == lease.MAC {
			return true
		}
	}
	return false
}

// release tells the server. It is a courtesy: the lease ends by itself, and the message is not answered. It
// goes to all servers, which know by its content whom it is for, since the address may be gone already.
func (c *Clients) release(lease Lease) {
	log := c.Log.WithValues("link", lease.Link, "address", lease.Address.String())
	conn, letter, err := c.farewell(lease)
	if err != nil {
		log.Info("cannot release a lease", "reason", err.Error())
		return
	}
	defer conn.close()
	if err := conn.send(letter); err != nil {
		log.Info("cannot release a lease", "reason", err.Error())
		return
	}
	log.Info("released a lease")
}

// farewell returns the message that gives a lease back, and through what to send it.
func (c *Clients) farewell(lease Lease) (speaker, outgoing, error) {
	if lease.Address.Addr().Is6() {
		station, err := c.Network.Station6(lease.Link)
		if err != nil {
			return nil, outgoing{}, err
		}
		conn, err := listen6(lease.Link, station.LinkLocal)
		return conn, outgoing{message6: release6(lease, rand.Uint32())}, err
	}
	var xid dhcpv4.TransactionID
	binary.BigEndian.PutUint32(xid[:], rand.Uint32())
	id := identity{mac: lease.MAC, clientID: lease.ClientID}
	conn, err := listen(lease.Link)
	return conn, outgoing{From: lease.Address.Addr(), message: id.release(lease, xid)}, err
}
