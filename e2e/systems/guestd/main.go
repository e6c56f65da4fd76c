// SPDX-License-Identifier: Apache-2.0

// Command guestd is what a test runs in a system besides Debian's own programs:
//
//	guestd serve   what the test asks for, over a port of the machine
//	guestd lan     the far end of eth1's cable: a router that is a DHCP server
package main

import (
	"fmt"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"strings"

	"github.com/bridgehead-dev/bridgehead/e2e/guestrpc"
)

func main() {
	roles := map[string]func() error{"serve": serve, "lan": func() error { return lan(os.Getenv("NOTIFY_SOCKET")) }}
	role, ok := roles[strings.Join(os.Args[1:], " ")]
	if !ok {
		fmt.Fprintln(os.Stderr, "usage: guestd serve|lan")
		os.Exit(2)
	}
	if err := role(); err != nil {
		fmt.Fprintln(os.Stderr, "guestd:", err)
		os.Exit(1)
	}
}

// A node serves those procedures of package guestrpc that need no agent.
type node struct{}

// Exec implements guestrpc.Exec.
func (node) Exec(args guestrpc.ExecArgs, reply *guestrpc.ExecReply) error {
	var err error
	*reply, err = guestrpc.Run(args)
	return err
}

func serve() error {
	port, err := guestrpc.OpenPort()
	if err != nil {
		return err
	}
	server := rpc.NewServer()
	if err := server.RegisterName("Node", node{}); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	server.ServeCodec(jsonrpc.NewServerCodec(port))
	return nil
}
