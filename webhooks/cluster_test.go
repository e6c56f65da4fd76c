// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/nad"
)

// A hurried is a cluster without objects that is not to be asked for any without a deadline.
type hurried struct {
	client.Reader
	t *testing.T
}

// List implements client.Reader.
func (h hurried) List(ctx context.Context, list client.ObjectList, _ ...client.ListOption) error {
	_, bounded := ctx.Deadline()
	assert.True(h.t, bounded, "a list of %T is waited for as long as the client waits for us", list)
	return nil
}

func TestNoLookForWarningsTakesAsLongAsItLikes(t *testing.T) {
	for name, look := range map[string]func(ctx context.Context, c Cluster) error{
		"which nodes have a resource": func(ctx context.Context, c Cluster) error {
			_, err := c.Advertising(ctx, nad.BridgePrefix+"br0")
			return err
		},
		"where a bridge lacks VLANs": func(ctx context.Context, c Cluster) error {
			_, err := c.Unserved(ctx, nad.Bridge{Name: "br0", VLAN: 100})
			return err
		},
		"who uses a network": func(ctx context.Context, c Cluster) error {
			_, err := c.Users(ctx, nad.Ref{Namespace: "home", Name: "l2"})
			return err
		},
		"where a policy is applied": func(ctx context.Context, c Cluster) error {
			_, err := c.AppliedBy(ctx, "br0")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, look(t.Context(), Cluster{Reader: hurried{t: t}}))
		})
	}
}
