// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// A report is the figures of a run.
type report struct {
	Admission []*row `json:"admission"`
	Start     struct {
		VMs     int     `json:"vms"`
		Seconds float64 `json:"seconds"`
		MiB     float64 `json:"mebibytes"`
	} `json:"start"`
	Import struct {
		VMs     int     `json:"vms"`
		Seconds float64 `json:"seconds"`
		Writes  float64 `json:"blockWrites"`
	} `json:"import"`
	Block []blockWrite `json:"block"`
}

// A row is one mode at one concurrency. The ratios are to the mode it is compared with, in the same round.
type row struct {
	Mode        string    `json:"mode"`
	Concurrency int       `json:"concurrency"`
	Throughput  []float64 `json:"vmsPerSecond"`
	P50         []float64 `json:"p50Milliseconds"`
	P99         []float64 `json:"p99Milliseconds"`
	Writes      []float64 `json:"blockWritesPerVM"`
	Dials       []float64 `json:"connectionsPerObject"`
	// Processor time of the API server, of etcd and of webhooks, in milliseconds an object.
	APIServer []float64 `json:"apiServerMilliseconds"`
	Etcd      []float64 `json:"etcdMilliseconds"`
	Webhooks  []float64 `json:"webhookMilliseconds"`

	ThroughputRatio []float64 `json:"throughputRatio"`
	P50Ratio        []float64 `json:"p50Ratio"`
	CPURatio        []float64 `json:"cpuRatio"`
}

// add takes in a sample and the one it is compared with.
func (r *report) add(mode string, concurrency int, s, base sample) {
	i := slices.IndexFunc(r.Admission, func(x *row) bool { return x.Mode == mode && x.Concurrency == concurrency })
	if i < 0 {
		r.Admission = append(r.Admission, &row{Mode: mode, Concurrency: concurrency})
		i = len(r.Admission) - 1
	}
	x := r.Admission[i]
	x.Throughput = append(x.Throughput, s.throughput)
	x.P50 = append(x.P50, milliseconds(s.p50))
	x.P99 = append(x.P99, milliseconds(s.p99))
	x.Writes = append(x.Writes, s.writes)
	x.Dials = append(x.Dials, s.dials)
	x.APIServer = append(x.APIServer, milliseconds(s.cpu.apiServer))
	x.Etcd = append(x.Etcd, milliseconds(s.cpu.etcd))
	x.Webhooks = append(x.Webhooks, milliseconds(s.cpu.webhooks))
	x.CPURatio = append(x.CPURatio, float64(s.cpu.total())/float64(base.cpu.total()))
	x.ThroughputRatio = append(x.ThroughputRatio, s.throughput/base.throughput)
	x.P50Ratio = append(x.P50Ratio, float64(s.p50)/float64(base.p50))
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// median returns the middle of the values, which stay as they are.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// ratio is the median of ratios and how far the middle half of them reaches.
func ratio(values []float64) string {
	sorted := slices.Sorted(slices.Values(values))
	low, high := sorted[len(sorted)/4], sorted[len(sorted)-1-len(sorted)/4]
	return fmt.Sprintf("%.2f [%.2f-%.2f]", median(values), low, high)
}

// Targets. Those of throughput and p50 are ratios to what it is compared with.
const (
	throughputTarget = 0.95
	p50Target        = 1.1
	writesTarget     = 0.03 // a VM, where 64 are created at a time
	importTarget     = 8.0  // writes: one or two a block
	startTarget      = 3.0  // seconds
	memoryTarget     = 80.0
)

// write prints the figures as a table, medians over the rounds, with what was aimed at where it was missed. Behind a
// ratio is between what its middle half lies.
func (r *report) write(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "AT A TIME\tMODE\tOBJECTS/S\tP50 MS\tP99 MS\tTHROUGHPUT, RATIO\tP50, RATIO\tBLOCK WRITES/OBJECT\tCONNECTIONS/OBJECT\t"+
		"CPU MS/OBJECT: API SERVER\tETCD\tWEBHOOKS\tALL, RATIO\t")
	for _, x := range r.Admission {
		ours := strings.HasPrefix(x.Mode, "bridgehead")
		automatic := ours && x.Mode != "bridgehead, explicit MACs" && !strings.HasSuffix(x.Mode, behind)
		fmt.Fprintf(table, "%d\t%s\t%.0f\t%.1f\t%.1f\t%s%s\t%s%s\t%.3f%s\t%.3f\t%.2f\t%.2f\t%.2f\t%s\t\n", x.Concurrency, x.Mode,
			median(x.Throughput), median(x.P50), median(x.P99),
			ratio(x.ThroughputRatio), missed(automatic && median(x.ThroughputRatio) < throughputTarget, throughputTarget),
			ratio(x.P50Ratio), missed(automatic && median(x.P50Ratio) > p50Target, p50Target),
			median(x.Writes), missed(automatic && x.Concurrency >= 64 && median(x.Writes) > writesTarget, writesTarget),
			median(x.Dials), median(x.APIServer), median(x.Etcd), median(x.Webhooks), ratio(x.CPURatio))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if err := writeBlocks(out, r.Block); err != nil {
		return err
	}
	if r.Import.VMs > 0 {
		fmt.Fprintf(out, "\nFirst start with %d VMs that have addresses: %.2f s, %.0f writes of blocks%s\n", r.Import.VMs,
			r.Import.Seconds, r.Import.Writes, missed(r.Import.Writes > importTarget, importTarget))
	}
	if r.Start.VMs == 0 {
		return nil
	}
	_, err := fmt.Fprintf(out, "Start to ready with %d VMs: %.2f s%s, %.0f MiB resident%s\n", r.Start.VMs,
		r.Start.Seconds, missed(r.Start.Seconds > startTarget, startTarget),
		r.Start.MiB, missed(r.Start.MiB > memoryTarget, memoryTarget))
	return err
}

func missed(is bool, target float64) string {
	if !is {
		return ""
	}
	return fmt.Sprintf(" (target %.2f)", target)
}
