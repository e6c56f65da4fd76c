// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/nad"
)

// launchersFor is how long a list of the pods of VMs is good for. A pod that it misses would be of an instance that
// came, and was taken away from its pod, since then.
const launchersFor = 2 * time.Second

// domainAnnotation on the pod of a VM has the name of its instance (KubeVirt).
const domainAnnotation = "kubevirt.io/domain"

// Launchers remembers for a moment which addresses the pods of VMs have, so that many VMs that go together cost one
// list a namespace. They are of interest where the instance is gone and its pod is not: somebody took away its
// finalizers, for the node does not answer, on which the guest may go on. The zero Launchers is empty.
type Launchers struct {
	mu   sync.Mutex // guards seen; it is held while a list is made, which others wait for
	seen map[string]launched
}

// launched is what the pods of the VMs of a namespace had.
type launched struct {
	asOf time.Time
	by   map[string]map[macpool.MAC]string // by the name of the VM
}

// of returns the addresses that the pods of a VM have. nil makes a list of its own.
func (l *Launchers) of(ctx context.Context, c Objects, key types.NamespacedName) (map[macpool.MAC]string, error) {
	if l == nil {
		l = &Launchers{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.seen, func(_ string, s launched) bool { return time.Since(s.asOf) >= launchersFor })
	s, fresh := l.seen[key.Namespace]
	if !fresh {
		var err error
		if s, err = c.launched(ctx, key.Namespace); err != nil {
			return nil, err
		}
		if l.seen == nil {
			l.seen = map[string]launched{}
		}
		l.seen[key.Namespace] = s
	}
	return s.by[key.Name], nil
}

// launched lists the pods of VMs that have not ended.
func (c Objects) launched(ctx context.Context, namespace string) (launched, error) {
	found := launched{asOf: time.Now(), by: map[string]map[macpool.MAC]string{}}
	selected := []client.ListOption{
		client.InNamespace(namespace), client.MatchingLabels{nad.LauncherLabel: nad.Launcher},
		client.MatchingFieldsSelector{Selector: mayHold()},
	}
	err := c.pages(ctx, func() client.ObjectList { return podList() }, selected, func(list client.ObjectList) {
		pods := list.(*metav1.PartialObjectMetadataList)
		for i := range pods.Items {
			p := &pods.Items[i]
			name := nad.MachineOf(p.OwnerReferences)
			if name == "" {
				name = p.Annotations[domainAnnotation]
			}
			if found.by[name] == nil {
				found.by[name] = map[macpool.MAC]string{}
			}
			maps.Copy(found.by[name], attachedAddresses(p, c.TakesMAC))
		}
	})
	if err != nil {
		return launched{}, fmt.Errorf("list the Pods of VMs: %w", err)
	}
	return found, nil
}
