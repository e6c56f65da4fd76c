// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

func TestCollisionsOfVMsThatPassedAdmissionAreReported(t *testing.T) {
	t.Parallel()
	s := suite.StartForTest(t, suite.Options{})
	m := macpool.MAC{0x02, 0xaa, 0xbb, 0, 0, 1}
	pool := poolFor(
		v1alpha1.DefaultPool, "default", "", v1alpha1.MACRange{Start: "02:aa:bb:00:00:00", End: "02:aa:bb:00:00:ff"},
	)
	pool.Spec.NamespaceSelector = nil
	require.NoError(t, s.Client.Create(t.Context(), pool))
	receiver := vmWith("receiver", []macpool.MAC{{0x02, 0xaa, 0xbb, 0, 0, 2}})
	require.NoError(t, unstructured.SetNestedField(receiver.Object, "WaitAsReceiver", "spec", "runStrategy"))
	for _, vm := range []client.Object{
		vmWith("vma", []macpool.MAC{m}), vmWith("vmb", []macpool.MAC{m}),
		vmWith("source", []macpool.MAC{{0x02, 0xaa, 0xbb, 0, 0, 2}}), receiver,
	} {
		require.NoError(t, s.Client.Create(t.Context(), vm))
	}
	replica, err := s.StartReplica(t.Context())
	require.NoError(t, err)

	waitUntil(t, func() bool {
		require.NoError(t, s.Client.Get(t.Context(), client.ObjectKeyFromObject(pool), pool))
		return meta.IsStatusConditionTrue(pool.Status.Conditions, v1alpha1.ConditionCollided)
	})
	message := meta.FindStatusCondition(pool.Status.Conditions, v1alpha1.ConditionCollided).Message
	assert.Contains(t, message, m.String()+" is the address of ")
	assert.NotContains(t, message, "receiver", "it shares on purpose")

	var events eventsv1.EventList
	waitUntil(t, func() bool {
		require.NoError(t, s.Client.List(t.Context(), &events, client.InNamespace("default")))
		events.Items = collisionsAmong(events.Items)
		return len(events.Items) == 2
	})
	for _, e := range events.Items {
		other := map[string]string{"vma": "vmb", "vmb": "vma"}[e.Regarding.Name]
		assert.Contains(t, e.Note, m.String()+" is held by VirtualMachine default/"+other)
	}

	text := scrape(t, replica.Metrics)
	assert.Contains(t, text, "bridgehead_mac_collisions 1")
	assert.Contains(t, text, `bridgehead_macpool_addresses{pool="default",state="total"} 256`)
	assert.Contains(t, text, `bridgehead_macpool_addresses{pool="default",state="used"} 2`)
	assert.Contains(t, text, `bridgehead_macblock_writes_total{outcome="written"}`)

	require.NoError(t, s.Client.Delete(t.Context(), vmWith("vmb", nil)))
	optIn(t, s)
	assert.Contains(t, scrape(t, replica.Metrics), `bridgehead_admission_reviews_total{verdict="patched",webhook="/mutate-virtualmachines"}`)
}

func collisionsAmong(all []eventsv1.Event) []eventsv1.Event {
	var found []eventsv1.Event
	for _, e := range all {
		if e.Reason == v1alpha1.ReasonMACCollision {
			found = append(found, e)
		}
	}
	return found
}

func scrape(t *testing.T, address string) string {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/metrics", nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return strings.TrimSpace(string(text))
}
