// Command bench compares the creation of VMs with no webhook, with a webhook that only allows, and with ours, on a real
// control plane. All figures are ratios to the webhook that only allows, taken in the same run in turns, so that a busy
// machine slows both alike.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Options says how much is measured.
type Options struct {
	// Rounds is how often every mode is measured at every concurrency.
	Rounds int
	// Fleet is how many VMs exist when a start is measured.
	Fleet int
	// JSON is the file for the figures; empty for none.
	JSON string
}

func main() {
	var o Options
	serve := flag.String("serve", "", "internal: serve as a webhook of this `kind` and do nothing else")
	flag.IntVar(&o.Rounds, "rounds", 7, "how often every mode is measured")
	flag.IntVar(&o.Fleet, "vms", 10000, "how many VMs exist when a start is measured")
	flag.StringVar(&o.JSON, "json", "", "`file` to write the figures to")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := error(nil)
	if *serve != "" {
		err = serveWebhook(ctx, *serve, os.Getenv("KUBECONFIG"))
	} else {
		err = run(ctx, o)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o Options) error {
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	defer b.stop()
	if err := b.measure(ctx); err != nil {
		return fmt.Errorf("%w\n%s", err, b.suite.Logs())
	}
	if err := b.report.write(os.Stdout); err != nil {
		return err
	}
	if o.JSON == "" {
		return nil
	}
	text, err := json.MarshalIndent(b.report, "", "  ")
	if err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	return os.WriteFile(o.JSON, append(text, '\n'), 0o644)
}
