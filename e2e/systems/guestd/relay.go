// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"net"
	"time"
)

// dialTime is how long the API server may take to accept a connection.
const dialTime = 10 * time.Second

// handOn hands connections on to the API server, as a router that leads to it would. It dials on its own thread, whose
// namespace has the uplink, and does not return but with an error.
func handOn(calls net.Listener) error {
	for {
		caller, err := calls.Accept()
		if err != nil {
			return fmt.Errorf("serve the API server's port: %w", err)
		}
		config, err := read()
		if err != nil || config.API == "" {
			_ = caller.Close() // there is nobody behind it
			continue
		}
		server, err := net.DialTimeout("tcp4", config.API, dialTime)
		if err != nil {
			fmt.Println("guestd: reach the API server:", err)
			_ = caller.Close()
			continue
		}
		go carry(caller, server)
		go carry(server, caller)
	}
}

// carry copies what comes from one end to the other, and ends both with it.
func carry(from, to net.Conn) {
	_, _ = io.Copy(to, from) // either end may go at any time
	_ = to.Close()
	_ = from.Close()
}
