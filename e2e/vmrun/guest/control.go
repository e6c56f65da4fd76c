// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"time"
)

// SetLink plugs or unplugs the cable of a card of the machine that is controlled at a socket (see Machine.Control).
func SetLink(ctx context.Context, socket string, nic int, up bool) error {
	return qmp(ctx, socket, "set_link", map[string]any{"name": fmt.Sprintf("net%d", nic), "up": up})
}

// qmp asks qemu to do one thing by its machine protocol: a JSON object a line, after a greeting and an exchange of
// capabilities (QEMU Machine Protocol specification).
func qmp(ctx context.Context, socket, command string, arguments any) error {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("reach qemu: %w", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return fmt.Errorf("reach qemu: %w", err)
	}
	answers, requests := json.NewDecoder(conn), json.NewEncoder(conn)
	var greeting json.RawMessage
	if err := answers.Decode(&greeting); err != nil {
		return fmt.Errorf("read qemu's greeting: %w", err)
	}
	type request struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
	}
	for _, r := range []request{{Execute: "qmp_capabilities"}, {command, arguments}} {
		if err := requests.Encode(r); err != nil {
			return fmt.Errorf("ask qemu to %s: %w", r.Execute, err)
		}
		if err := awaitReturn(answers); err != nil {
			return fmt.Errorf("ask qemu to %s: %w", r.Execute, err)
		}
	}
	return nil
}

// awaitReturn skips events until qemu answers.
func awaitReturn(answers *json.Decoder) error {
	for {
		var answer struct {
			Return json.RawMessage `json:"return"`
			Error  *struct {
				Desc string `json:"desc"`
			} `json:"error"`
		}
		if err := answers.Decode(&answer); err != nil {
			return err
		}
		if answer.Error != nil {
			return fmt.Errorf("qemu says: %s", answer.Error.Desc)
		}
		if answer.Return != nil {
			return nil
		}
	}
}
