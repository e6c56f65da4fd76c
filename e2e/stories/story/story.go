// SPDX-License-Identifier: Apache-2.0

// Package story tells the story of the suite on a cluster with real nodes, on which Bridgehead runs from its image by
// its manifests, and checks every word of it: two nodes get a bridge by a policy, two VMs get unique addresses, and
// their pods reach each other through the bridge on VLAN 100. `make demo` tells it to people; a test tells it to
// nobody.
package story

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bridgehead-dev/bridgehead/e2e/cluster"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
)

// maxWait is how long what follows from an answer may take on a busy machine.
const maxWait = 5 * time.Minute

// Tell tells the story on two nodes with Bridgehead installed. It returns an error as soon as something is not so.
func Tell(ctx context.Context, c *cluster.Cluster, out io.Writer) error {
	root, err := suite.Root()
	if err != nil {
		return err
	}
	t := &teller{Cluster: c, out: out, seen: map[string]string{}, testdata: filepath.Join(root, "e2e/stories/testdata")}
	for i, chapter := range t.chapters() {
		fmt.Fprintf(out, "\n%d. %s\n", i+1, chapter.title)
		if err := chapter.tell(ctx); err != nil {
			return fmt.Errorf("%s: %w", chapter.title, err)
		}
	}
	return nil
}

// A teller tells the story and checks it.
type teller struct {
	*cluster.Cluster
	out      io.Writer
	testdata string
	seen     map[string]string // addresses given out, to the NIC
}

// A chapter is a part of the story under a title.
type chapter struct {
	title string
	tell  func(context.Context) error
}

func (t *teller) chapters() []chapter {
	return []chapter{
		{"Bridgehead runs on two nodes, in its own pods", t.showPods},
		{"A policy gives both a bridge on their second NIC", t.applyPolicy},
		{"The nodes report the bridge, and offer it to pods", t.showNodes},
		{"A network definition with a missing comma is refused, pointing at it", t.refuseNAD},
		{"VLAN 100 of the bridge becomes a network", t.createNAD},
		{"Two VMs, as they are in the story, get unique addresses", t.createVMs},
		{"Pods as KubeVirt would make them are bound to nodes with the bridge, and attached to it", t.attachPods},
		{"vma reaches vmb, through VLAN 100 on the wire", t.ping},
		{"A pod on VLAN 200 reaches neither", t.isolate},
		{"A pod that must run on a node without the bridge that it needs waits for one", t.stayAway},
		{"A dry run answers like the real thing and holds nothing", t.dryRun},
		{"An address that is taken is refused, with the reason", t.askForTaken},
		{"A VM that is deleted and recreated at once keeps its addresses", t.recreate},
		{"One replica is killed, and creation goes on", t.killReplica},
		{"Who holds what, in the end", t.showLedger},
		{"The policy is deleted, and the bridge stays", t.deletePolicy},
	}
}

// file returns the path of a manifest.
func (t *teller) file(name string) string { return filepath.Join(t.testdata, name) }

// show runs kubectl before the reader's eyes.
func (t *teller) show(ctx context.Context, args ...string) error {
	_, err := t.read(ctx, args...)
	return err
}

// read is show, and returns what kubectl printed, warnings included.
func (t *teller) read(ctx context.Context, args ...string) (string, error) {
	shown := slices.Clone(args)
	for i, arg := range shown {
		if filepath.IsAbs(arg) {
			shown[i] = filepath.Base(arg)
		}
		if strings.ContainsAny(arg, "{}*?'\" ") {
			shown[i] = "'" + arg + "'"
		}
	}
	fmt.Fprintln(t.out, "$ kubectl "+strings.Join(shown, " "))
	return t.run(ctx, args...)
}

// run runs kubectl, and shows what it prints.
func (t *teller) run(ctx context.Context, args ...string) (string, error) {
	var out bytes.Buffer
	cmd := t.KubectlCommand(ctx, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	for line := range strings.Lines(strings.TrimSpace(out.String())) {
		fmt.Fprintln(t.out, "   "+strings.TrimRight(line, "\n"))
	}
	if err != nil {
		err = fmt.Errorf("kubectl %s: %w", args[0], err)
	}
	return out.String(), err
}

// expect is read, and fails if a part is missing from what kubectl printed.
func (t *teller) expect(ctx context.Context, parts []string, args ...string) error {
	out, err := t.read(ctx, args...)
	if err != nil {
		return err
	}
	return contains(out, parts)
}

func contains(out string, parts []string) error {
	for _, part := range parts {
		if !strings.Contains(out, part) {
			return fmt.Errorf("%q is not in what was printed:\n%s", part, out)
		}
	}
	return nil
}
