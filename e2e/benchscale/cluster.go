// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"

	"github.com/bridgehead-dev/bridgehead/macpool/cluster/apimodel"
)

// A cluster is an API server in memory that grows.
type cluster struct {
	api    *apimodel.Server
	client *http.Client
	server *http.Server
	url    string
	vms    int
}

func newCluster() (*cluster, error) {
	c := &cluster{api: apimodel.New(
		kind("", "v1", "Pod", "pods", false), kind("", "v1", "Namespace", "namespaces", true),
		kind("", "v1", "ConfigMap", "configmaps", false),
		kind("coordination.k8s.io", "v1", "Lease", "leases", false),
		kind(v1alpha1.Group, "v1alpha1", "MACPool", "macpools", true),
		kind(v1alpha1.Group, "v1alpha1", "MACBlock", "macblocks", true),
		kind("kubevirt.io", "v1", "VirtualMachine", "virtualmachines", false),
		kind("kubevirt.io", "v1", "VirtualMachineInstance", "virtualmachineinstances", false),
	)}
	c.client = &http.Client{Transport: c.api}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	c.url = "http://" + listener.Addr().String()
	model, err := url.Parse(c.api.Config().Host)
	if err != nil {
		return nil, fmt.Errorf("find the model: %w", err)
	}
	c.server = &http.Server{
		Handler: &httputil.ReverseProxy{
			Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(model) },
			Transport: c.api, FlushInterval: -1,
		},
		ReadHeaderTimeout: time.Minute,
	}
	go func() { _ = c.server.Serve(listener) }() // until it is closed
	return c, c.post("/apis/bridgehead.dev/v1alpha1/macpools", `{"metadata":{"name":"default"},"spec":{"ranges":[`+
		`{"start":"02:00:00:00:00:00","end":"02:00:00:ff:ff:ff"}]}}`)
}

func kind(group, version, name, resource string, inCluster bool) apimodel.Kind {
	return apimodel.Kind{
		GroupVersionKind: schema.GroupVersionKind{Group: group, Version: version, Kind: name}, Resource: resource,
		Cluster: inCluster,
	}
}

func (c *cluster) stop() { _ = c.server.Close() } // it ends anyway

func (c *cluster) post(path, body string) error {
	return post(c.client, c.api.Config().Host+path, body)
}

// post creates an object.
func post(client *http.Client, url, body string) error {
	response, err := client.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		return fmt.Errorf("create an object: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("create an object at %s: %s", url, response.Status)
	}
	return nil
}

// grow has VMs that run, with two addresses each, up to so many.
func (c *cluster) grow(to int) error {
	for ; c.vms < to; c.vms++ {
		first := 2 * c.vms
		if err := createVM(c.post, "vm"+strconv.Itoa(c.vms), modelMAC(first), modelMAC(first+1)); err != nil {
			return err
		}
	}
	return nil
}

// modelMAC returns the n-th address of the lower half of the pool, which other VMs than those admitted have.
func modelMAC(n int) string {
	return fmt.Sprintf("02:00:00:%02x:%02x:%02x", n>>16&0xff, n>>8&0xff, n&0xff)
}

// createVM creates a VM and its instance.
func createVM(post func(path, body string) error, name, mac0, mac1 string) error {
	spec := fmt.Sprintf(`{"domain":{"devices":{"interfaces":[{"name":"a","macAddress":%q,"bridge":{}},`+
		`{"name":"b","macAddress":%q,"bridge":{}}]},"resources":{"requests":{"memory":"1024M"}}},`+
		`"networks":[{"name":"a","multus":{"networkName":"l2"}},{"name":"b","multus":{"networkName":"l3"}}]}`, mac0, mac1)
	vm := fmt.Sprintf(`{"metadata":{"name":%q},"spec":{"runStrategy":"Always","template":{"spec":%s}}}`, name, spec)
	if err := post("/apis/kubevirt.io/v1/namespaces/default/virtualmachines", vm); err != nil {
		return err
	}
	vmi := fmt.Sprintf(`{"metadata":{"name":%q,"ownerReferences":[{"apiVersion":"kubevirt.io/v1","kind":"VirtualMachine",`+
		`"name":%q,"uid":"u","controller":true}]},"spec":%s,"status":{"phase":"Running","interfaces":[`+
		`{"name":"a","mac":%q},{"name":"b","mac":%q}]}}`, name, name, spec, mac0, mac1)
	return post("/apis/kubevirt.io/v1/namespaces/default/virtualmachineinstances", vmi)
}

// measure takes the figures with so many VMs: of a replica that imports those that came since the last size, and of one
// that finds them in the blocks.
func (c *cluster) measure(ctx context.Context, o Options, size int) (figures, error) {
	fmt.Fprintf(os.Stderr, "%d VMs ", size)
	if err := c.grow(size); err != nil {
		return figures{}, err
	}
	first, err := c.replica(ctx, 0)
	if err != nil {
		return figures{}, err
	}
	f, err := c.replica(ctx, o.Admitted)
	if err != nil {
		return figures{}, err
	}
	f.VMs, f.ImportSeconds = size, first.ReadySeconds
	f.Blocks, f.BlockBytes, err = c.blocks()
	fmt.Fprintln(os.Stderr)
	return f, err
}

// replica returns what a replica in a process of its own reports.
func (c *cluster) replica(ctx context.Context, admitted int) (f figures, err error) {
	fmt.Fprint(os.Stderr, ".")
	self, err := os.Executable()
	if err != nil {
		return f, fmt.Errorf("find this program: %w", err)
	}
	process := exec.CommandContext(ctx, self, "-replica", c.url, "-admitted", strconv.Itoa(admitted))
	process.Stderr = os.Stderr
	process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := process.Output()
	if err != nil {
		return f, fmt.Errorf("run a replica: %w", err)
	}
	if err := json.Unmarshal(out, &f); err != nil {
		return f, fmt.Errorf("read what a replica reports: %w", err)
	}
	return f, nil
}

// blocks returns how many blocks there are, and their bytes as JSON.
func (c *cluster) blocks() (n, size int, err error) {
	response, err := c.client.Get(c.api.Config().Host + "/apis/bridgehead.dev/v1alpha1/macblocks")
	if err != nil {
		return 0, 0, fmt.Errorf("list blocks: %w", err)
	}
	defer response.Body.Close()
	var list struct{ Items []json.RawMessage }
	if err := json.NewDecoder(response.Body).Decode(&list); err != nil {
		return 0, 0, fmt.Errorf("list blocks: %w", err)
	}
	for _, b := range list.Items {
		size += len(b)
	}
	return len(list.Items), size, nil
}
