// SPDX-License-Identifier: Apache-2.0

// Command nodeinit is all of ours that runs in a real node: it makes of a kernel and a disk a machine that kubelet can
// run on. Busybox's init is process 1 and calls it by the lines of its inittab:
//
//	/init              in the initramfs: loads modules, mounts the disk, and becomes busybox's init there
//	nodeinit prepare   once: mounts, control groups, addresses
//	nodeinit serve     what tests ask for, and HTTP CONNECT into the cluster's network
//	nodeinit run NAME  a service of the configuration
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/e2e/cluster/boot"
	"github.com/bridgehead-dev/bridgehead/e2e/controlplane/tunnel"
	"github.com/bridgehead-dev/bridgehead/e2e/guestrpc"
)

// failure has the reason if the node could not be prepared.
const failure = "/dev/shm/nodeinit.failed"

func main() {
	if err := run(os.Args); err != nil {
		fmt.Println("nodeinit:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	config, err := readConfig()
	if err != nil {
		return err
	}
	switch {
	case os.Getpid() == 1:
		return enterDisk(config)
	case len(args) == 2 && args[1] == "prepare":
		err := prepare(config)
		if err != nil {
			err = errors.Join(err, os.WriteFile(failure, []byte(err.Error()), 0o644))
		}
		return err
	case len(args) == 2 && args[1] == "serve":
		return serve()
	case len(args) == 3 && args[1] == "run":
		return runService(config, args[2])
	}
	return errors.New("this is the init of a guest and runs nowhere else; see e2e/cluster")
}

func readConfig() (boot.Config, error) {
	text, err := os.ReadFile(boot.ConfigPath)
	if err != nil {
		return boot.Config{}, fmt.Errorf("read the node's configuration: %w", err)
	}
	var config boot.Config
	if err := json.Unmarshal(text, &config); err != nil {
		return boot.Config{}, fmt.Errorf("read %s: %w", boot.ConfigPath, err)
	}
	return config, nil
}

// A node serves the procedures of package guestrpc that a real node has.
type node struct{}

// Exec implements guestrpc.Exec. Nothing can be done on a node that could not be prepared.
func (node) Exec(args guestrpc.ExecArgs, reply *guestrpc.ExecReply) error {
	reason, err := os.ReadFile(failure)
	if err == nil {
		return fmt.Errorf("prepare the node: %s", reason)
	}
	*reply, err = guestrpc.Run(args)
	return err
}

// serve answers tests through the port and the API server through CONNECT.
func serve() error {
	port, err := guestrpc.OpenPort()
	if err != nil {
		return err
	}
	server := rpc.NewServer()
	if err := server.RegisterName("Node", node{}); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	go server.ServeCodec(jsonrpc.NewServerCodec(port))
	dialer := net.Dialer{Timeout: 5 * time.Second}
	connect := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tunnel.Serve(w, r, func(ctx context.Context, target string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", target)
		})
	})
	return (&http.Server{Addr: ":" + boot.ConnectPort, Handler: connect, ReadHeaderTimeout: time.Minute}).ListenAndServe()
}

// runService becomes a service, once what it waits for is there.
func runService(config boot.Config, name string) error {
	i := slices.IndexFunc(config.Services, func(s boot.Service) bool { return s.Name == name })
	if i < 0 {
		return fmt.Errorf("there is no service %s", name)
	}
	service := config.Services[i]
	for service.After != "" {
		if _, err := os.Stat(service.After); err == nil {
			break
		}
		<-time.After(100 * time.Millisecond)
	}
	log, err := os.OpenFile("/var/log/"+name+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", name, err)
	}
	for _, fd := range []int{1, 2} {
		if err := unix.Dup3(int(log.Fd()), fd, 0); err != nil {
			return fmt.Errorf("open the log of %s: %w", name, err)
		}
	}
	return fmt.Errorf("start %s: %w", name, unix.Exec(service.Argv[0], service.Argv, environment()))
}

// environment returns that of all programs.
func environment() []string {
	return []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
}
