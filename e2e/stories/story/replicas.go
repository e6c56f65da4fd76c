// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"errors"
	"fmt"
	"strings"

	virtv1 "kubevirt.io/api/core/v1"

	"github.com/bridgehead-dev/bridgehead/e2e/cluster"
)

// maxAttempts is how often one VM is created again in the seconds for which a Service still leads to a pod that
// crashed.
const maxAttempts = 30

// A replica is a pod of the manager, and what it has done.
type replica struct {
	pod, node string
	reviews   int
}

// killReplica crashes the replica that answered most, and creates VMs without waiting for another.
func (t *teller) killReplica(ctx context.Context) error {
	replicas, err := t.replicas(ctx)
	if err != nil {
		return err
	}
	victim := replicas[0]
	for _, r := range replicas {
		fmt.Fprintf(t.out, "   %s on %s answered %d requests\n", r.pod, r.node, r.reviews)
		if r.reviews > victim.reviews {
			victim = r
		}
	}
	if len(replicas) < 2 || victim.reviews == 0 {
		return errors.New("there are not two replicas of which one answered")
	}
	if _, err := t.onNode(ctx, victim.node, "killall", "-9", "bridgehead"); err != nil {
		return err
	}
	return t.createMany(ctx, 10)
}

// replicas returns the pods of the manager.
func (t *teller) replicas(ctx context.Context) (all []replica, err error) {
	out, err := t.Kubectl(ctx, "get", "pods", "-n", cluster.Namespace, "-l", "app.kubernetes.io/name=bridgehead",
		`-o=jsonpath={range .items[*]}{.metadata.name} {.spec.nodeName}{"\n"}{end}`)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(out) {
		var r replica
		if _, err := fmt.Sscan(line, &r.pod, &r.node); err != nil {
			return nil, fmt.Errorf("read the list of replicas: %w", err)
		}
		log, err := t.Kubectl(ctx, "logs", "-n", cluster.Namespace, r.pod)
		if err != nil {
			return nil, err
		}
		r.reviews = strings.Count(log, `"msg":"Reviewed"`)
		all = append(all, r)
	}
	return all, nil
}

// createMany creates VMs. A creation that is refused because the Service still leads to who is gone is tried again, as
// users do.
func (t *teller) createMany(ctx context.Context, count int) error {
	var names []string
	refused := 0
	for i := range count {
		name := fmt.Sprintf("vm-%02d", i)
		vm, err := t.copyOf(ctx, "vma", name, func(*virtv1.Interface) string { return "" })
		if err != nil {
			return err
		}
		_, err = t.KubectlInput(ctx, vm, "create", "-f", "-")
		for attempt := 1; err != nil; attempt++ {
			if attempt == maxAttempts || !strings.Contains(err.Error(), "failed calling webhook") {
				return err
			}
			refused++
			_, err = t.KubectlInput(ctx, vm, "create", "-f", "-")
		}
		names = append(names, name)
	}
	fmt.Fprintf(
		t.out, "   %d VMs created since; %d attempts in the first seconds still met who was gone\n", len(names), refused,
	)
	return t.printNICs(ctx, names...)
}
