// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// DNS returns the probe of the node's name servers. It asks those that the node uses now for the name servers
// of the root, which any of them has something to say about; one answer, whatever it says, is enough.
func DNS(node Reader) Probe { return dns{node: node, port: "53"} }

type dns struct {
	node Reader
	port string
}

func (d dns) String() string { return "DNS" }

// A nameServer is an address, with a zone if it is link-local.
type nameServer string

func (n nameServer) String() string { return string(n) }

// address returns the server's, with the index of its link for a zone: package net remembers the indexes of names
// for a minute, and links come and go faster.
func (n nameServer) address() (netip.Addr, error) {
	addr, err := netip.ParseAddr(string(n))
	if err != nil || addr.Zone() == "" {
		return addr, err
	}
	link, err := net.InterfaceByName(addr.Zone())
	if err != nil {
		return addr, err
	}
	return addr.WithZone(strconv.Itoa(link.Index)), nil
}

// Ask asks the servers there are now.
func (d dns) Ask(ctx context.Context) error {
	state, err := d.node.Read()
	if err != nil {
		return err
	}
	servers := nameServers(state)
	if len(servers) == 0 {
		return fmt.Errorf("there is no name server: %w", ErrNobody)
	}
	return anyOf(ctx, servers, d.query)
}

// nameServers returns those the C library would ask: the first three.
func nameServers(s netstate.State) []nameServer {
	const asked = 3
	if s.DNS.Running == nil {
		return nil
	}
	var servers []nameServer
	for _, server := range s.DNS.Running.Server {
		if !slices.Contains(servers, nameServer(server)) && len(servers) < asked {
			servers = append(servers, nameServer(server))
		}
	}
	return servers
}

// query asks one server and waits for its answer.
func (d dns) query(ctx context.Context, server nameServer) error {
	addr, err := server.address()
	if err != nil {
		return err
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "udp", net.JoinHostPort(addr.String(), d.port))
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	question := dnsmessage.Message{
		Header: dnsmessage.Header{ID: uint16(rand.Uint32()), RecursionDesired: true},
		Questions: []dnsmessage.Question{{
			Name: dnsmessage.MustNewName("."), Type: dnsmessage.TypeNS, Class: dnsmessage.ClassINET,
		}},
	}
	text, err := question.Pack()
	if err != nil {
		return err
	}
	if _, err := conn.Write(text); err != nil {
		return reason(ctx, err)
	}
	buffer := make([]byte, 1500)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return reason(ctx, err)
		}
		var parser dnsmessage.Parser
		header, err := parser.Start(buffer[:n])
		if err == nil && header.Response && header.ID == question.ID {
			return nil
		}
	}
}

// reason returns why nothing came.
func reason(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("no answer in time")
	}
	return err
}
