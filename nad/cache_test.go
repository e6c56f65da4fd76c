// SPDX-License-Identifier: Apache-2.0

package nad

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"

	netv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

var _ cache.ReflectorStore = (*Cache)(nil)

func definition(namespace, name, bridge string) *netv1.NetworkAttachmentDefinition {
	return &netv1.NetworkAttachmentDefinition{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       netv1.NetworkAttachmentDefinitionSpec{Config: fmt.Sprintf(`{"type": "bridge", "bridge": %q}`, bridge)},
	}
}

func nobody(context.Context, Ref) (*netv1.NetworkAttachmentDefinition, error) {
	return nil, errors.New("it is not to be asked")
}

func TestCacheFollowsTheCluster(t *testing.T) {
	c := NewCache([]string{ResourceAnnotation}, nobody)
	assert.False(t, c.Synced())
	require.NoError(
		t, c.Replace([]any{definition("b", "l2", "br0"), definition("a", "l2", "br0"), definition("a", "old", "br0")}, "1"),
	)
	assert.True(t, c.Synced())
	require.NoError(t, c.Add(definition("a", "new", "br1")))
	require.NoError(t, c.Update(definition("a", "old", "br2")))

	found, err := c.Find(t.Context(), Ref{"a", "old"})
	require.NoError(t, err)
	assert.Equal(t, BridgePrefix+"br2", found.Derived())
	var onBridge []string
	for _, d := range c.OnBridge("br0") {
		onBridge = append(onBridge, d.String())
	}
	assert.Equal(t, []string{"a/l2", "b/l2"}, onBridge)

	require.NoError(t, c.Delete(definition("a", "new", "br1")))
	assert.Empty(t, c.OnBridge("br1"))
	require.NoError(t, c.Replace(nil, "2"))
	assert.Empty(t, c.OnBridge("br0"))
	for _, odd := range []func(any) error{
		c.Add, c.Update, c.Delete, func(o any) error { return c.Replace([]any{o}, "3") },
	} {
		assert.Error(t, odd("a text"))
	}
}

func TestPodsOnANetworkThatIsGoneTakeAddressesAsTheyDid(t *testing.T) {
	without := definition("a", "shared", "br0")
	without.Spec.Config = `{"type": "ipvlan", "master": "eth1"}`
	c := NewCache(nil, nobody)
	takes := func(name string) bool { return c.TakesMAC(Interface{Ref: Ref{"a", name}}, "") }
	for name, goes := range map[string]func() error{
		"deleted":                         func() error { return errors.Join(c.Delete(without), c.Delete(definition("a", "l2", "br0"))) },
		"deleted while nobody could tell": func() error { return c.Replace(nil, "2") },
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, c.Replace([]any{without, definition("a", "l2", "br0")}, "1"))
			assert.False(t, takes("shared"))
			require.NoError(t, goes())
			assert.False(t, takes("shared"), "all pods on it report the address of its master")
			assert.True(t, takes("l2"))
			require.NoError(t, c.Add(definition("a", "shared", "br0")))
			require.NoError(t, c.Delete(definition("a", "shared", "br0")))
			assert.True(t, takes("shared"), "it was another one")
		})
	}
}

func TestWhatIsMissingIsLookedForOnceHoweverManyAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		mayAnswer := make(chan struct{})
		c := NewCache(nil, func(context.Context, Ref) (*netv1.NetworkAttachmentDefinition, error) {
			asked.Add(1)
			<-mayAnswer
			return definition("a", "new", "br0"), nil
		})
		for range 100 {
			go func() {
				found, err := c.Find(t.Context(), Ref{"a", "new"})
				assert.NoError(t, err)
				assert.Equal(t, BridgePrefix+"br0", found.Derived())
			}()
		}
		synctest.Wait() // until all of them wait for the answer
		close(mayAnswer)
		synctest.Wait()
		assert.EqualValues(t, 1, asked.Load())
	})
}

func TestWhatIsMissingAfterALook(t *testing.T) {
	none := func(context.Context, Ref) (*netv1.NetworkAttachmentDefinition, error) { return nil, nil }
	t.Run("it is said where the name exists", func(t *testing.T) {
		c := NewCache(nil, none)
		require.NoError(
			t, c.Replace([]any{definition("c", "l2", "br0"), definition("b", "l2", "br0"), definition("b", "l3", "br0")}, "1"),
		)
		_, err := c.Find(t.Context(), Ref{"a", "l2"})
		var missing *MissingError
		require.ErrorAs(t, err, &missing)
		assert.Equal(t, &MissingError{Ref: Ref{"a", "l2"}, Namespaces: []string{"b", "c"}}, missing)
	})
	t.Run("a failure is not an absence", func(t *testing.T) {
		_, err := NewCache(nil, nobody).Find(t.Context(), Ref{"a", "l2"})
		assert.ErrorContains(t, err, "get NetworkAttachmentDefinition a/l2: it is not to be asked")
	})
	t.Run("who gives up does not take the answer from others", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			mayAnswer := make(chan struct{})
			c := NewCache(nil, func(ctx context.Context, _ Ref) (*netv1.NetworkAttachmentDefinition, error) {
				<-mayAnswer
				return definition("a", "l2", "br0"), ctx.Err()
			})
			impatient, giveUp := context.WithCancel(t.Context())
			answers := map[context.Context]chan error{impatient: make(chan error, 1), t.Context(): make(chan error, 1)}
			find := func(ctx context.Context) {
				_, err := c.Find(ctx, Ref{"a", "l2"})
				answers[ctx] <- err
			}
			go find(impatient)
			synctest.Wait()
			go find(t.Context())
			synctest.Wait()
			giveUp()
			require.ErrorIs(t, <-answers[impatient], context.Canceled)
			close(mayAnswer)
			assert.NoError(t, <-answers[t.Context()])
		})
	})
}

func TestWhichInterfacesTakeAddresses(t *testing.T) {
	cache := NewCache(nil, nil)
	for ref, config := range map[Ref]string{
		{"lan", "l2"}: `{"type":"ipvlan"}`, {"home", "l2"}: `{"type":"bridge"}`,
		{"home", "udn"}: `{"type":"ovn-k8s-cni-overlay"}`,
	} {
		require.NoError(t, cache.Add(&netv1.NetworkAttachmentDefinition{
			ObjectMeta: metav1.ObjectMeta{Namespace: ref.Namespace, Name: ref.Name},
			Spec:       netv1.NetworkAttachmentDefinitionSpec{Config: config},
		}))
	}
	for name, c := range map[string]struct {
		takes bool
		i     Interface
	}{
		"an additional one":                         {true, Interface{Ref: Ref{"home", "l2"}}},
		"one that lives on an address of another":   {false, Interface{Ref: Ref{"lan", "l2"}}},
		"one of a network that is not known":        {true, Interface{Ref: Ref{"lan", "l3"}}},
		"a primary one":                             {true, Interface{Ref: Ref{"home", "l2"}, Primary: true}},
		"a primary one where Multus is":             {false, Interface{Ref: Ref{"", "l2"}, Primary: true}},
		"a secondary one of OVN-Kubernetes":         {true, Interface{Ref: Ref{"home", "udn"}}},
		"a primary one of OVN-Kubernetes is OVN's":  {false, Interface{Ref: Ref{"home", "udn"}, Primary: true}},
		"an additional one of which nobody says it": {true, Interface{}},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.takes, cache.TakesMAC(c.i, "lan")) })
	}
}

func TestOfNADsThatAreGoneSoManyAreRemembered(t *testing.T) {
	c := NewCache(nil, nil)
	gone := func(i int) *netv1.NetworkAttachmentDefinition {
		n := definition("a", fmt.Sprintf("l2-%d", i), "br0")
		n.Spec.Config = `{"type": "ipvlan", "master": "eth1"}`
		return n
	}
	for i := range maxGone + 10 {
		require.NoError(t, c.Add(gone(i)))
		require.NoError(t, c.Delete(gone(i)))
	}
	assert.Len(t, c.without, maxGone)
	assert.False(t, c.TakesMAC(Interface{Ref: Ref{Namespace: "a", Name: fmt.Sprintf("l2-%d", maxGone+9)}}, ""))
}
