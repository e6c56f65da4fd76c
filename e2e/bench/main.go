// SPDX-License-Identifier: Apache-2.0

// Command bench compares the creation of VMs and pods with ours and with other webhooks, on a real control plane.
// Throughput and latency are told as ratios, too, for the most part to a webhook that gives every VM addresses and
// keeps no record of them: both are measured in the same run in turns, so that a busy machine slows both alike. Starts,
// imports and writes of blocks are measured by themselves.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Options says how much is measured.
type Options struct {
	// Rounds is how often every mode is measured at every concurrency.
	Rounds int
	// At are the concurrencies that are measured.
	At []int
	// Brief leaves out what nothing is aimed at.
	Brief bool
	// Fleet is how many VMs exist when a start is measured.
	Fleet int
	// Parts are what is measured.
	Parts []part
	// JSON is the file for the figures; empty for none.
	JSON string
	// Profiles is the folder for profiles of the API server, one of each mode; empty for none.
	Profiles string
}

func main() {
	var o Options
	serve := flag.String("serve", "", "internal: serve as a webhook of this `kind` and do nothing else")
	flag.IntVar(&o.Rounds, "rounds", 6, "how often every mode is measured")
	at := flag.String("at", "1,16,64", "how many requests are made at a time, `list` of numbers")
	flag.BoolVar(&o.Brief, "brief", false, "leave out what nothing is aimed at")
	flag.IntVar(&o.Fleet, "vms", 10000, "how many VMs exist when a start is measured")
	only := flag.String("parts", "admission,replicas,pods,block,import,start", "what is measured, `list` of names")
	flag.StringVar(&o.JSON, "json", "", "`file` to write the figures to")
	flag.StringVar(&o.Profiles, "profiles", "", "`folder` for profiles of the API server's processor time, one of each mode")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := errors.Join(o.readConcurrencies(*at), o.readParts(*only))
	switch {
	case err != nil:
	case *serve != "":
		err = serveWebhook(ctx, *serve, os.Getenv("KUBECONFIG"))
	default:
		err = run(ctx, o)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// readConcurrencies takes in a list of those that are measured.
func (o *Options) readConcurrencies(list string) error {
	var known []string
	for _, load := range loads() {
		known = append(known, strconv.Itoa(load[0]))
	}
	for word := range strings.SplitSeq(list, ",") {
		i := slices.Index(known, word)
		if i < 0 {
			return fmt.Errorf("-at: %q is none of %s", word, strings.Join(known, ", "))
		}
		o.At = append(o.At, loads()[i][0])
	}
	return nil
}

// readParts takes in a list of the names of parts.
func (o *Options) readParts(list string) error {
	var known []string
	for _, p := range parts() {
		known = append(known, p.name)
	}
	for word := range strings.SplitSeq(list, ",") {
		i := slices.Index(known, word)
		if i < 0 {
			return fmt.Errorf("-parts: %q is none of %s", word, strings.Join(known, ", "))
		}
		o.Parts = append(o.Parts, parts()[i])
	}
	return nil
}

// A part is one of the things that are measured, each on a cluster of its own.
type part struct {
	name    string
	measure func(*bench, context.Context) error
}

func parts() []part {
	return []part{
		{"admission", (*bench).measureAdmission},
		{"replicas", (*bench).measureReplicas},
		{"pods", (*bench).measurePods},
		{"block", (*bench).measureBlock},
		{"import", (*bench).measureImport},
		{"start", (*bench).measureStart},
	}
}

// run takes the figures of the parts that are asked for. They are reported as far as they were taken even if one part
// fails.
func run(ctx context.Context, o Options) error {
	var figures report
	failed := measure(ctx, o, &figures)
	if err := figures.write(os.Stdout); err != nil {
		return err
	}
	if o.JSON == "" {
		return failed
	}
	text, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	return errors.Join(failed, os.WriteFile(o.JSON, append(text, '\n'), 0o644))
}

func measure(ctx context.Context, o Options, figures *report) error {
	for _, p := range o.Parts {
		if err := onCluster(ctx, o, figures, p.measure); err != nil {
			return fmt.Errorf("measure %s: %w", p.name, err)
		}
	}
	return nil
}

func onCluster(ctx context.Context, o Options, figures *report, measure func(*bench, context.Context) error) error {
	b, err := newBench(ctx, o, figures)
	if err != nil {
		return err
	}
	defer b.stop()
	if err := measure(b, ctx); err != nil {
		return fmt.Errorf("%w\n%s", err, b.suite.Logs())
	}
	return nil
}
