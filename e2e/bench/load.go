// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// A sample is one round of one mode.
type sample struct {
	throughput float64 // objects a second
	p50, p99   time.Duration
	writes     float64 // of blocks, a VM
	cpu        usage   // an object
	dials      float64 // connections that the API server made to webhooks, an object
}

// create creates n VMs in the namespace of a mode, so many at a time.
func (b *bench) create(ctx context.Context, m mode, n, concurrency int) (sample, error) {
	s, err := load(ctx, n, concurrency, func(ctx context.Context) error { return b.post(ctx, m) })
	if err != nil {
		return sample{}, fmt.Errorf("create VMs, %s: %w", m.name, err)
	}
	return s, nil
}

// load makes n requests, so many at a time.
func load(ctx context.Context, n, concurrency int, post func(context.Context) error) (sample, error) {
	latencies := make([]time.Duration, 0, n)
	var mu sync.Mutex
	var next atomic.Int64
	workers, ctx := errgroup.WithContext(ctx)
	begun := time.Now()
	for range concurrency {
		workers.Go(func() error {
			var mine []time.Duration
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				sent := time.Now()
				if err := post(ctx); err != nil {
					return err
				}
				mine = append(mine, time.Since(sent))
			}
			mu.Lock()
			defer mu.Unlock()
			latencies = append(latencies, mine...)
			return nil
		})
	}
	if err := workers.Wait(); err != nil {
		return sample{}, err
	}
	took := time.Since(begun)
	slices.Sort(latencies)
	return sample{
		throughput: float64(n) / took.Seconds(),
		p50:        percentile(latencies, 50),
		p99:        percentile(latencies, 99),
	}, nil
}

func (b *bench) post(ctx context.Context, m mode) error {
	n := b.names.Add(1)
	body := fmt.Sprintf(vmTemplate, "vm-"+strconv.FormatInt(n, 10), address(m, 2*n), address(m, 2*n+1))
	answer, err := b.postJSON(ctx, "/apis/kubevirt.io/v1/namespaces/"+namespaceOf(m.namespace)+"/virtualmachines", body)
	if err != nil {
		return err
	}
	if m.assigns && bytes.Count(answer, []byte(`"macAddress":`)) < 2 {
		return fmt.Errorf("a VM was created without addresses: %s", answer)
	}
	return nil
}

// postJSON creates an object and returns what became of it.
func (b *bench) postJSON(ctx context.Context, path, body string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, b.suite.Config.Host+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := b.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusCreated {
		return nil, fmt.Errorf("%s: %s", response.Status, answer)
	}
	return answer, nil
}

// address returns the field for an explicit address, different for every n; nothing for other modes.
func address(m mode, n int64) string {
	if !m.explicit {
		return ""
	}
	if m.namespace != "import" { // whose VMs got theirs one after the other
		// 40503 is coprime to 2^24: neighbours land in different blocks, as addresses that people choose do.
		n = n * 40503 % (1 << 24)
	}
	return fmt.Sprintf(`"macAddress":"52:54:00:%02x:%02x:%02x",`, n>>16&0xff, n>>8&0xff, n&0xff)
}

const vmTemplate = `{"apiVersion":"kubevirt.io/v1","kind":"VirtualMachine","metadata":{"name":%q},"spec":{"running":true,` +
	`"template":{"spec":{"domain":{"devices":{"disks":[{"name":"containerdisk","disk":{"bus":"virtio"}},` +
	`{"name":"cloudinitdisk","disk":{"bus":"virtio"}}],"interfaces":[{%s"name":"default","masquerade":{}},` +
	`{%s"name":"br0-100","bridge":{}}]},"machine":{"type":""},"resources":{"requests":{"memory":"1024M"}}},` +
	`"networks":[{"name":"default","pod":{}},{"name":"br0-100","multus":{"networkName":"br0-100-l2"}}],` +
	`"terminationGracePeriodSeconds":0,"volumes":[{"name":"containerdisk","containerDisk":{"image":"fedora"}},` +
	`{"name":"cloudinitdisk","cloudInitNoCloud":{"networkData":"version: 2\nethernets:\n  eth1:\n    addresses: [ 10.200.0.1/24 ]\n"}}]}}}}`

// blockWrites returns how often MACBlocks have been written since the API server started.
func (b *bench) blockWrites(ctx context.Context) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.suite.Config.Host+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	response, err := b.client.Do(request)
	if err != nil {
		return 0, fmt.Errorf("read metrics of the API server: %w", err)
	}
	defer response.Body.Close()
	var total float64
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if !strings.HasPrefix(line, "apiserver_request_total{") || !strings.Contains(line, `resource="macblocks"`) ||
			strings.Contains(line, `dry_run="All"`) { // replicas ask so whether the API server takes rows
			continue
		}
		for _, verb := range []string{"POST", "PUT", "PATCH", "DELETE"} {
			if strings.Contains(line, `verb="`+verb+`"`) {
				value, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
				if err != nil {
					return 0, fmt.Errorf("read metrics of the API server: %w", err)
				}
				total += value
			}
		}
	}
	return total, lines.Err()
}

// percentile returns the smallest of sorted values that p % of them do not exceed.
func percentile(sorted []time.Duration, p int) time.Duration {
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}
