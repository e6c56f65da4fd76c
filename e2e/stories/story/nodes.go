// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	policy   = "br0-eth1"
	bridge   = "br0"
	resource = "bridge.network.kubevirt.io/" + bridge
)

func (t *teller) showPods(ctx context.Context) error {
	if err := t.show(ctx, "get", "pods", "-A", "-o", "wide"); err != nil {
		return err
	}
	for _, n := range t.Nodes {
		if _, err := t.Kubectl(ctx, "wait", "nns/"+n.Name, "--for=create", "--timeout", maxWait.String()); err != nil {
			return fmt.Errorf("%s does not report its network: %w", n.Name, err)
		}
	}
	return t.expect(ctx, []string{"node01", "node02"}, "get", "nodes,nns")
}

func (t *teller) applyPolicy(ctx context.Context) error {
	if err := t.show(ctx, "apply", "-f", t.file("10-policy-br0-eth1.yaml")); err != nil {
		return err
	}
	if err := t.show(
		ctx, "wait", "nncp", policy, "--for", "condition=Available", "--timeout", maxWait.String(),
	); err != nil {
		return errors.Join(err, t.show(ctx, "get", "nnce", "-o", "yaml"))
	}
	if err := t.expect(ctx, []string{policy, "SuccessfullyConfigured"}, "get", "nncp"); err != nil {
		return err
	}
	out, err := t.read(ctx, "get", "nnce")
	if err != nil {
		return err
	}
	if n := strings.Count(out, "SuccessfullyConfigured"); n != len(t.Nodes) {
		return fmt.Errorf("%d of %d enactments are SuccessfullyConfigured", n, len(t.Nodes))
	}
	return contains(out, []string{"node01." + policy, "node02." + policy})
}

func (t *teller) showNodes(ctx context.Context) error {
	state := `jsonpath={.status.currentState.interfaces[?(@.name=="br0")].state}`
	for _, n := range t.Nodes {
		if err := t.eventually(ctx, "up", "get", "nns", n.Name, "-o="+state); err != nil {
			return err
		}
	}
	key := strings.ReplaceAll(resource, ".", `\.`)
	for _, n := range t.Nodes {
		for _, list := range []string{"capacity", "allocatable"} {
			if err := t.eventually(ctx, "1k", "get", "node", n.Name, "-o=jsonpath={.status."+list+"."+key+"}"); err != nil {
				return err
			}
		}
	}
	return nil
}

// eventually shows a kubectl command once it prints what it should.
func (t *teller) eventually(ctx context.Context, want string, args ...string) error {
	var got string
	err := wait.PollUntilContextTimeout(
		ctx,
		wait.Jitter(50e6, 0.1),
		maxWait,
		true,
		func(ctx context.Context) (bool, error) {
			var err error
			got, err = t.Kubectl(ctx, args...)
			return err == nil && strings.TrimSpace(got) == want, nil
		},
	)
	if err != nil {
		return fmt.Errorf("kubectl %s prints %q, not %q: %w", strings.Join(args, " "), got, want, err)
	}
	return t.show(ctx, args...)
}

func (t *teller) deletePolicy(ctx context.Context) error {
	out, err := t.read(ctx, "delete", "nncp", policy)
	if err != nil {
		return err
	}
	if !strings.Contains(out, "Warning:") {
		return errors.New("nobody says that the configuration stays")
	}
	if err := t.show(
		ctx, "wait", "nnce", "--for=delete", "-l", "nmstate.io/policy="+policy, "--timeout", maxWait.String(),
	); err != nil {
		return err
	}
	for _, n := range t.Nodes {
		links, err := t.onNode(ctx, n.Name, "ip", "-br", "link", "show", "master", bridge)
		if err != nil {
			return err
		}
		if !strings.Contains(links, "eth1") {
			return fmt.Errorf("eth1 is not on %s of %s any more", bridge, n.Name)
		}
	}
	return nil
}

// onNode runs a program in a guest before the reader's eyes.
func (t *teller) onNode(ctx context.Context, name string, argv ...string) (string, error) {
	fmt.Fprintf(t.out, "%s# %s\n", name, strings.Join(argv, " "))
	n, err := t.Node(name)
	if err != nil {
		return "", err
	}
	out, err := n.Exec(ctx, argv...)
	for line := range strings.Lines(strings.TrimSpace(out)) {
		fmt.Fprintln(t.out, "   "+strings.TrimRight(line, "\n"))
	}
	return out, err
}
