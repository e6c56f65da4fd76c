// Command demo tells the story of the suite on a real control plane, and fails if any of it is not so.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/bridgehead-dev/bridgehead/e2e/suite"
)

func main() {
	stay := flag.Bool("stay", false, "keep everything running until interrupted")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *stay); err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		os.Exit(1) //nolint:gocritic // nothing is left for the deferred stop to do
	}
}

func run(ctx context.Context, stay bool) error {
	fmt.Println("Starting etcd, kube-apiserver and two replicas of bridgehead. What is missing is built first.")
	s, err := suite.Start(ctx, suite.Options{
		Replicas: 2,
		// Every answer closes its connection, so that the requests of one kubectl after another reach both replicas.
		Flags: []string{"--connection-max-age=1ms"},
	})
	if err != nil {
		return err
	}
	defer s.Stop() //nolint:errcheck // the process ends
	t := &teller{Suite: s, seen: map[string]string{}}
	for i, chapter := range []struct {
		title string
		tell  func(context.Context) error
	}{
		{"Two VMs, as they are in the story, get unique addresses", t.createVMs},
		{"A dry run answers like the real thing and holds nothing", t.dryRun},
		{"An address that is taken is refused, with the reason", t.askForTaken},
		{"A VM that is deleted and recreated at once keeps its addresses", t.recreate},
		{"One replica is killed, and creation goes on", t.killReplica},
		{"Who holds what, in the end", t.showLedger},
	} {
		fmt.Printf("\n%d. %s\n", i+1, chapter.title)
		if err := chapter.tell(ctx); err != nil {
			return fmt.Errorf("%s: %w\n%s", chapter.title, err, s.Logs())
		}
	}
	fmt.Println("\nAll of it is so.")
	if stay {
		fmt.Printf("\nUse it with\n  export KUBECONFIG=%s\n  %s get vm,macpools,macblocks -A\nInterrupt to end.\n", s.Kubeconfig, s.KubectlCommand(ctx).Path)
		<-ctx.Done()
	}
	return nil
}
