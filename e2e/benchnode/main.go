// SPDX-License-Identifier: Apache-2.0

// Command benchnode measures what a policy takes from nodes and from the API server: on two nodes with real kernels in
// qemu, and on fleets of hollow nodes, whose agents are real and whose kernels are models. It prints tables and writes
// JSON. Figures of guests are those of a processor that qemu emulates: compare them with the floor beside them.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
)

func main() {
	file := flag.String("json", "", "write the figures to this `file`, too")
	idle := flag.Duration("idle", 5*time.Minute, "how long to watch idle agents")
	rounds := flag.Int("rounds", 50, "how often to make a bridge by hand")
	fleets := flag.Bool("fleets", true, "measure hollow nodes")
	guests := flag.Bool("guests", true, "measure nodes in qemu")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctrl.SetLogger(logr.Discard()) // of hollow agents, only the figures count
	var r report
	err := func() error {
		if *guests {
			if err := r.measureGuests(ctx, *rounds, *idle); err != nil {
				return err
			}
		}
		if *fleets {
			return r.measureFleets(ctx)
		}
		return nil
	}()
	if err == nil && *file != "" {
		err = r.write(*file)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "\nbenchnode:", err)
		os.Exit(1) //nolint:gocritic // nothing is left for the deferred stop to do
	}
}

// A report is the figures of a run.
type report struct {
	Guests struct {
		// AvailableSeconds is from the creation of a policy to Available on two nodes.
		AvailableSeconds float64 `json:"availableSeconds"`
		// Seen are from a bridge coming up to what the API server says, in milliseconds; Floor is the same for a bare
		// listener that patches at once.
		Capacity  distribution `json:"capacityMilliseconds"`
		NodeState distribution `json:"nodeStateMilliseconds"`
		Floor     distribution `json:"floorMilliseconds"`
		// RSS is the resident memory of an agent, CPU what it took of a processor while idle, in per cent.
		RSSMiB     float64 `json:"rssMebibytes"`
		CPUPerCent float64 `json:"idleCPUPerCent"`
	} `json:"guests"`
	Fleets []fleet `json:"fleets"`
}

// A fleet is how a policy went over hollow nodes.
type fleet struct {
	Nodes            int     `json:"nodes"`
	AvailableSeconds float64 `json:"availableSeconds"`
	WritesPerNode    float64 `json:"writesPerNode"`
	ManagerMiB       float64 `json:"managerMebibytes"`
}

// A distribution is what many measurements come to.
type distribution struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

func (r *report) write(file string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
