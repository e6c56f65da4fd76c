// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// maxReason bounds what is quoted of a refusal.
const maxReason = 500

// handshake makes of a connection to a proxy one to a target.
func handshake(conn net.Conn, target string) (net.Conn, error) {
	request := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: target}, Host: target}
	if err := request.Write(conn); err != nil {
		return nil, fmt.Errorf("ask for %s: %w", target, err)
	}
	reader := bufio.NewReader(conn)
	answer, err := http.ReadResponse(reader, request)
	if err != nil {
		return nil, fmt.Errorf("ask for %s: %w", target, err)
	}
	if answer.StatusCode != http.StatusOK {
		reason, err := io.ReadAll(io.LimitReader(answer.Body, maxReason))
		return nil, errors.Join(
			fmt.Errorf("connect to %s: %s: %s", target, answer.Status, strings.TrimSpace(string(reason))), err,
		)
	}
	return &connection{Conn: conn, reader: reader}, nil
}

// A connection gives first what was read together with the proxy's answer.
type connection struct {
	net.Conn
	reader *bufio.Reader
}

// Read implements net.Conn.
func (c *connection) Read(p []byte) (int, error) { return c.reader.Read(p) }

// CloseWrite ends one direction, as it does of a TCP connection.
func (c *connection) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}
