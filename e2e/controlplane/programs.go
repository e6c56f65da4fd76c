// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
)

// startEtcd starts etcd and waits until it serves. Peers never come: their port is any.
func (c *ControlPlane) startEtcd(ctx context.Context, o Options, address string) error {
	args := []string{
		"--data-dir=" + c.run.path("etcd"),
		"--listen-client-urls=http://" + address,
		"--advertise-client-urls=http://" + address,
		"--listen-peer-urls=http://127.0.0.1:0",
	}
	if o.UnsafeNoFsync {
		args = append(args, "--unsafe-no-fsync")
	}
	c.etcd, c.etcdHealth = c.program("etcd", args...), "http://"+address+"/health"
	return c.startAndWait(ctx, c.etcd, http.DefaultClient, c.etcdHealth)
}

// startAPIServer starts kube-apiserver and waits until it serves, default namespace included.
func (c *ControlPlane) startAPIServer(ctx context.Context, o Options, etcd string, port int) error {
	egress, err := c.writeEgressConfig()
	if err != nil {
		return err
	}
	args := []string{
		"--etcd-servers=http://" + etcd,
		"--bind-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(port),
		"--advertise-address=127.0.0.1",
		// A loopback address is no valid endpoint of the Service "kubernetes": do not try to write it.
		"--endpoint-reconciler-type=none",
		"--cert-dir=" + c.run.path("pki"),
		"--tls-cert-file=" + c.run.path("pki", "server.crt"),
		"--tls-private-key-file=" + c.run.path("pki", "server.key"),
		"--client-ca-file=" + c.run.path("pki", "ca.crt"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + c.run.path("pki", "serviceaccount.key"),
		"--service-account-signing-key-file=" + c.run.path("pki", "serviceaccount.key"),
		"--service-cluster-ip-range=10.96.0.0/16",
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--kubelet-client-certificate=" + c.run.path("pki", "kubelet-client.crt"),
		"--kubelet-client-key=" + c.run.path("pki", "kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--egress-selector-config-file=" + egress,
	}
	if !makesServiceAccounts(o.Controllers) {
		args = append(args, "--disable-admission-plugins=ServiceAccount")
	}
	audit, err := c.auditFlags(o)
	if err != nil {
		return err
	}
	c.apiServer = c.program("kube-apiserver", slices.Concat(args, audit, o.APIServerArgs)...)
	c.processes = append(c.processes, c.apiServer)
	if err := c.RestartAPIServer(ctx); err != nil {
		return err
	}
	return c.waitForDefaultNamespace(ctx)
}

// SignalEtcd sends etcd a signal: one that is stopped (SIGSTOP) answers nothing until it goes on (SIGCONT), as one
// whose disk hangs.
func (c *ControlPlane) SignalEtcd(s syscall.Signal) error { return c.etcd.signal(s) }

// KillAPIServer ends the API server at once, as a crash of its machine would; connections to it are reset
// or refused until RestartAPIServer.
func (c *ControlPlane) KillAPIServer() error { return c.apiServer.kill() }

// RestartAPIServer kills the API server, if it runs, and starts it again at the same address with the same
// data and credentials. It returns when the API server is ready.
func (c *ControlPlane) RestartAPIServer(ctx context.Context) error {
	if err := c.apiServer.kill(); err != nil {
		return err
	}
	client, err := rest.HTTPClientFor(c.Config)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	defer client.CloseIdleConnections()
	return startProcess(ctx, c.apiServer, client, c.Config.Host+"/readyz")
}

// startClient starts a program that works through the API server, and waits until it is healthy.
func (c *ControlPlane) startClient(ctx context.Context, name string, port int, args ...string) error {
	args = append([]string{
		"--kubeconfig=" + c.Kubeconfig,
		"--leader-elect=false",
		"--bind-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(port),
	}, args...)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: anyCertificate()}}
	defer client.CloseIdleConnections()
	return c.startAndWait(ctx, c.program(name, args...), client, "https://"+loopback(port)+"/healthz")
}

// startAndWait starts a program and waits until its URL answers 200.
func (c *ControlPlane) startAndWait(ctx context.Context, p *process, client *http.Client, url string) error {
	c.processes = append(c.processes, p)
	return startProcess(ctx, p, client, url)
}

// startProcess starts a program that does not run, and waits until it is healthy.
func startProcess(ctx context.Context, p *process, client *http.Client, url string) error {
	if err := p.start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return p.waitHealthy(ctx, client, url)
}

// waitForDefaultNamespace waits for what the API server creates after it says that it is ready.
func (c *ControlPlane) waitForDefaultNamespace(ctx context.Context) error {
	namespaces := c.clients.CoreV1().Namespaces()
	exists := func(ctx context.Context) (bool, error) {
		_, err := namespaces.Get(ctx, metav1.NamespaceDefault, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	}
	if err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, startTimeout, true, exists); err != nil {
		return fmt.Errorf("wait for namespace default: %w", err)
	}
	return nil
}

// controllerFlags returns the flags of kube-controller-manager for a list of controllers. A node counts as lost
// only after minutes: on a busy machine guests may be silent for long.
func (c *ControlPlane) controllerFlags(controllers []string) []string {
	return []string{
		"--controllers=" + strings.Join(controllers, ","),
		"--root-ca-file=" + c.run.path("pki", "ca.crt"),
		"--node-monitor-grace-period=4m",
	}
}

// makesServiceAccounts reports whether among these controllers is the one that makes default accounts.
func makesServiceAccounts(controllers []string) bool {
	return slices.Contains(controllers, "serviceaccount-controller") || slices.Contains(controllers, "*")
}
