// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// figures are those of one size.
type figures struct {
	VMs int `json:"vms"`
	// ImportSeconds and ReadySeconds are from the start of a replica until all addresses in use are known to be in the
	// ledger: where most were not yet, and where all were.
	ImportSeconds float64 `json:"importSeconds"`
	ReadySeconds  float64 `json:"readySeconds"`
	// MiB is resident once that is done, PeakMiB at most before.
	MiB     float64 `json:"mebibytes"`
	PeakMiB float64 `json:"peakMebibytes"`
	// P50 and P99 are of requests for two addresses.
	P50 float64 `json:"p50Microseconds"`
	P99 float64 `json:"p99Microseconds"`
	// Writes of blocks for each VM that was given addresses.
	Writes float64 `json:"blockWritesPerVM"`
	// SweepMilliseconds is the CPU of one sweep with the reports that go with it, SweepMiB what is allocated for it.
	SweepMilliseconds float64 `json:"sweepCPUMilliseconds"`
	SweepMiB          float64 `json:"sweepAllocatedMebibytes"`
	Blocks            int     `json:"blocks"`
	BlockBytes        int     `json:"blockBytes"`
}

// write prints the figures as a table.
func write(out io.Writer, all []figures) error {
	fmt.Fprintln(out, "Ledger, feed, lease and janitor of one replica; the API server is one in memory, not etcd.")
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "VMS\tIMPORT S\tSTART S\tRSS MIB\tPEAK MIB\tP50 µS\tP99 µS\tWRITES/VM\tSWEEP CPU MS\tSWEEP MIB\tBLOCKS\tBYTES\t")
	for _, f := range all {
		fmt.Fprintf(table, "%d\t%.2f\t%.2f\t%.0f\t%.0f\t%.0f\t%.0f\t%.3f\t%.0f\t%.1f\t%d\t%d\t\n", f.VMs, f.ImportSeconds,
			f.ReadySeconds, f.MiB, f.PeakMiB, f.P50, f.P99, f.Writes, f.SweepMilliseconds, f.SweepMiB, f.Blocks, f.BlockBytes)
	}
	return table.Flush()
}
