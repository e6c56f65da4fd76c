// SPDX-License-Identifier: Apache-2.0

package guestrpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os/exec"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// execSeconds bounds a program in a guest.
const execSeconds = 240

// A Client calls the procedures of one guest, during one boot.
type Client struct {
	rpc   *rpc.Client
	ended <-chan struct{} // closed when the guest is gone
	cause func() error    // why it is gone
}

// Dial reaches a guest through the Unix socket that qemu listens on for its port. It waits for qemu, not for the guest
// to answer. ended is closed when the guest is gone; cause tells why then.
func Dial(ctx context.Context, socket string, ended <-chan struct{}, cause func() error) (*Client, error) {
	var conn net.Conn
	err := wait.PollUntilContextTimeout(
		ctx,
		20*time.Millisecond,
		time.Minute,
		true,
		func(ctx context.Context) (bool, error) {
			select {
			case <-ended:
				return false, cause()
			default:
			}
			var err error
			conn, err = new(net.Dialer).DialContext(ctx, "unix", socket)
			return err == nil, nil
		},
	)
	if err != nil {
		return nil, err
	}
	return &Client{rpc: rpc.NewClientWithCodec(jsonrpc.NewClientCodec(conn)), ended: ended, cause: cause}, nil
}

// Call runs a procedure. It returns early if the guest goes or ctx ends.
func (c *Client) Call(ctx context.Context, procedure string, args, reply any) error {
	call := c.rpc.Go(procedure, args, reply, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
		return call.Error
	case <-c.ended:
		return c.cause()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Exec runs a program in the guest with an input and returns its output. A program that fails is an error with what it
// complained of.
func (c *Client) Exec(ctx context.Context, stdin string, argv ...string) (string, error) {
	var reply ExecReply
	err := c.Call(ctx, Exec, ExecArgs{Argv: argv, Stdin: stdin, Seconds: execSeconds}, &reply)
	if err == nil && reply.Code != 0 {
		err = fmt.Errorf("exit code %d: %s", reply.Code, strings.TrimSpace(reply.Stderr+reply.Stdout))
	}
	if err != nil {
		return reply.Stdout, fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	return reply.Stdout, nil
}

// Run returns the guest's part of Exec.
func Run(args ExecArgs) (ExecReply, error) {
	if len(args.Argv) == 0 {
		return ExecReply{}, errors.New("exec: no program named")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(args.Seconds)*time.Second)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, args.Argv[0], args.Argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(args.Stdin), &stdout, &stderr
	err := cmd.Run()
	reply := ExecReply{Stdout: stdout.String(), Stderr: stderr.String()}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		reply.Code = exit.ExitCode()
		return reply, nil
	}
	return reply, err
}
