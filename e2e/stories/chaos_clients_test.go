// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/e2e/suite"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// create does what the API server does for one VM: admission within its time, then persistence, or not. It is to be
// called again if no decision was reached.
func (c *chaos) create(ctx context.Context, n int) (decided bool, err error) {
	name := fmt.Sprint("vm-", n)
	begun := time.Now()
	request, cancel := context.WithDeadline(ctx, begun.Add(chaosAdmission))
	defer cancel()
	admission, cancelAdmission := context.WithDeadline(request, begun.Add(chaosTimeout))
	defer cancelAdmission()
	grant, err := c.pick().ledger.Assign(admission, macpool.Request{
		Holder: macpool.Object{Kind: macpool.KindVM, Namespace: "default", Name: name}, Pool: c.pool, Asks: c.asks(),
	})
	var taken *macpool.TakenError
	var busy *macpool.BusyError
	switch {
	case errors.As(err, &taken), errors.As(err, &busy):
		c.stats.refused.Add(1)
		return true, nil
	case err != nil:
		c.stats.undecided.Add(1)
		return ctx.Err() != nil, nil
	case admission.Err() != nil || n%20 == 0:
		c.stats.dropped.Add(1) // too late, or refused by somebody after us
		return true, nil
	}
	if n%30 == 0 {
		suite.Pause(request, time.Until(begun.Add(chaosTimeout))) // a slow webhook after us
	}
	return true, c.persist(ctx, request, name, n, grant)
}

func (c *chaos) persist(ctx, request context.Context, name string, n int, grant macpool.Grant) error {
	err := c.client.Create(request, vmWith(name, grant.MACs))
	var answer apierrors.APIStatus
	switch {
	case err == nil:
		c.stats.created.Add(1)
	case errors.As(err, &answer) && answer.Status().Code < http.StatusInternalServerError:
		return fmt.Errorf("create %s: %w", name, err)
	default:
		c.stats.dropped.Add(1) // perhaps: the connection broke
	}
	if n%10 != 0 {
		return nil
	}
	c.stats.deleted.Add(1)
	return wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		return client.IgnoreNotFound(c.client.Delete(ctx, vmWith(name, nil))) == nil, nil
	})
}

// asks returns two NICs: mostly for any address, now and then for one that others want too, or that is in a window.
func (c *chaos) asks() []macpool.Ask {
	asks := []macpool.Ask{{Interface: "default"}, {Interface: "net"}}
	switch rand.N(10) {
	case 0:
		asks[1].MAC = macpool.MAC{0x52, 0x54, 0, 0, 0, byte(rand.N(64))}
	case 1:
		asks[1].MAC = c.pool.Set.At(rand.Uint64N(c.pool.Set.Size()))
	}
	return asks
}

// vmWith returns a VM with a NIC for each address; a zero address is left out.
func vmWith(name string, macs []macpool.MAC) *unstructured.Unstructured {
	var interfaces, networks []any
	for i, m := range macs {
		nic := fmt.Sprint("nic", i)
		face := map[string]any{"name": nic, "bridge": map[string]any{}}
		if m != (macpool.MAC{}) {
			face["macAddress"] = m.String()
		}
		interfaces = append(interfaces, face)
		networks = append(networks, map[string]any{"name": nic, "multus": map[string]any{"networkName": "net"}})
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine",
		"metadata": map[string]any{"namespace": "default", "name": name},
		"spec": map[string]any{"runStrategy": "Always", "template": map[string]any{"spec": map[string]any{
			"domain":   map[string]any{"devices": map[string]any{"interfaces": interfaces}},
			"networks": networks,
		}}},
	}}
}
