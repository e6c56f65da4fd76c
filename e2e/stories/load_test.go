// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/e2e/suite"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// A load is clients that create VMs, one after the other, until one of them fails or they are told to stop.
type load struct {
	clients *errgroup.Group
	ctx     context.Context //nolint:containedctx // is done when a client has failed
	cancel  context.CancelFunc
	created atomic.Int64
}

// startLoad starts clients that create VMs with two NICs in namespace default.
func startLoad(t *testing.T, s *suite.Suite, clients int) *load {
	return startClients(t, s, clients, func(number, n int) client.Object {
		return vmWith(fmt.Sprintf("vm-%d-%d", number, n), make([]macpool.MAC, 2))
	}, func(o client.Object) error { return bothNICsHaveAddresses(o.(*unstructured.Unstructured)) })
}

// startPods starts clients that create pods with one network in namespace default.
func startPods(t *testing.T, s *suite.Suite, clients int) *load {
	return startClients(t, s, clients, func(number, n int) client.Object {
		pod := podWith("default", fmt.Sprintf("pod-%d-%d", number, n), "", nil)
		pod.Annotations["k8s.v1.cni.cncf.io/networks"] = `[{"name":"l2"}]`
		return pod
	}, func(o client.Object) error {
		if networks := o.GetAnnotations()["k8s.v1.cni.cncf.io/networks"]; !strings.Contains(networks, `"mac":"02:`) {
			return fmt.Errorf("%s was created without an address: %s", o.GetName(), networks)
		}
		return nil
	})
}

// startClients starts clients that create objects, which check looks at as they are then.
func startClients(
	t *testing.T, s *suite.Suite, clients int, object func(number, n int) client.Object, check func(client.Object) error,
) *load {
	l := &load{}
	creating, cancel := context.WithCancel(t.Context())
	l.cancel = cancel
	l.clients, l.ctx = errgroup.WithContext(creating)
	for number := range clients {
		l.clients.Go(func() error {
			for n := 0; l.ctx.Err() == nil; n++ {
				o := object(number, n)
				// The request is not cut short when the test has seen enough.
				if err := s.Client.Create(context.WithoutCancel(l.ctx), o); err != nil {
					return err
				}
				if err := check(o); err != nil {
					return err
				}
				l.created.Add(1)
			}
			return nil
		})
	}
	return l
}

func bothNICsHaveAddresses(vm *unstructured.Unstructured) error {
	interfaces, _, err := unstructured.NestedSlice(
		vm.Object, "spec", "template", "spec", "domain", "devices", "interfaces",
	)
	if err != nil {
		return err
	}
	for _, nic := range interfaces {
		if at(nic, "/macAddress") == nil {
			return fmt.Errorf("%s was created without an address", vm.GetName())
		}
	}
	return nil
}

// waitFor waits until so many more VMs have been created, or a client has failed.
func (l *load) waitFor(t *testing.T, more int64) {
	t.Helper()
	sofar := l.created.Load()
	waitUntil(t, func() bool { return l.created.Load() > sofar+more || l.ctx.Err() != nil })
}

// stop waits for the clients and fails the test if one of them has failed.
func (l *load) stop(t *testing.T) {
	t.Helper()
	l.cancel()
	require.NoError(t, l.clients.Wait())
}
