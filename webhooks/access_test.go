// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// A cluster of VMs, by <namespace>/<name>, with what they have in macpool.ShareAnnotation, and of users who may change
// all of them.
type sharingCluster struct {
	client.Client
	vms  map[string]string
	may  map[string]bool
	down bool
}

// Create answers a SubjectAccessReview.
func (c sharingCluster) Create(_ context.Context, o client.Object, _ ...client.CreateOption) error {
	review := o.(*authorizationv1.SubjectAccessReview)
	what := review.Spec.ResourceAttributes
	review.Status.Allowed = c.may[review.Spec.User] && what.Verb == "update" && what.Group == "kubevirt.io" &&
		what.Resource == "virtualmachines" && what.Namespace != "" && what.Name != ""
	if c.down {
		return apierrors.NewInternalError(assert.AnError)
	}
	return nil
}

// Get reads the metadata of a VM.
func (c sharingCluster) Get(_ context.Context, key types.NamespacedName, o client.Object, _ ...client.GetOption) error {
	with, there := c.vms[key.String()]
	if !there {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "virtualmachines"}, key.Name)
	}
	o.SetAnnotations(map[string]string{macpool.ShareAnnotation: with})
	return nil
}

func TestWhoMayShareAddresses(t *testing.T) {
	const kubevirt = "system:serviceaccount:kubevirt:kubevirt-controller"
	holders := map[string]string{"theirs/willing": "home/vm", "theirs/vm": "", "theirs/other": "home/another"}
	for name, c := range map[string]struct {
		user, holder, newcomer string
		want                   bool
	}{
		"who may change the holder": {
			user: "owner", holder: "theirs/vm", newcomer: "home/vm", want: true,
		},
		"for a VM that has no name yet, too": {
			user: "owner", holder: "theirs/vm", newcomer: "home/vm-*", want: true,
		},
		"who may not": {
			user: "stranger", holder: "theirs/vm", newcomer: "home/vm",
		},
		"who may not, and the holder names the newcomer": {
			user: "stranger", holder: "theirs/willing", newcomer: "home/vm", want: true,
		},
		"who may not, and the holder names another": {
			user: "stranger", holder: "theirs/other", newcomer: "home/vm",
		},
		"who may not, and the newcomer has no name yet": {
			user: "stranger", holder: "theirs/willing", newcomer: "home/vm-*",
		},
		"who may not, and the holder is gone": {
			user: "stranger", holder: "theirs/gone", newcomer: "home/vm",
		},
		"KubeVirt, which makes the clone that somebody asked for": {
			user: kubevirt, holder: "theirs/vm", newcomer: "home/vm",
		},
		"KubeVirt, and the holder names the clone": {
			user: kubevirt, holder: "theirs/willing", newcomer: "home/vm", want: true,
		},
		"KubeVirt, which makes one that has no name yet": {
			user: kubevirt, holder: "theirs/vm", newcomer: "home/vm-*",
		},
		"an account of another name, which may change the holder": {
			user: kubevirt + "-2", holder: "theirs/vm", newcomer: "home/vm", want: true,
		},
		"a user who is called like that account, and may change it": {
			user: "oidc:" + kubevirt, holder: "theirs/vm", newcomer: "home/vm", want: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := sharingCluster{vms: holders, may: map[string]bool{
				"owner": true, kubevirt: true, kubevirt + "-2": true, "oidc:" + kubevirt: true,
			}}
			user := authenticationv1.UserInfo{Username: c.user}
			may, err := Access{Client: cluster}.MayShare(t.Context(), user, object(c.holder), object(c.newcomer))
			require.NoError(t, err)
			assert.Equal(t, c.want, may)
		})
	}
	t.Run("what cannot be found out is no answer", func(t *testing.T) {
		user := authenticationv1.UserInfo{Username: "owner"}
		cluster := sharingCluster{down: true}
		_, err := Access{Client: cluster}.MayShare(t.Context(), user, object("theirs/vm"), object("home/vm"))
		require.Error(t, err)
	})
}

// A clusterOfTenants lets everybody make instances in a namespace, and its administrator make them in all.
type clusterOfTenants struct{ client.Client }

func (clusterOfTenants) Create(_ context.Context, o client.Object, _ ...client.CreateOption) error {
	review := o.(*authorizationv1.SubjectAccessReview)
	what := review.Spec.ResourceAttributes
	instances := what.Group == "kubevirt.io" && what.Resource == "virtualmachineinstances"
	review.Status.Allowed = instances && what.Verb == "create" && (what.Namespace != "" || review.Spec.User == "admin")
	return nil
}

func TestATenantMakesNoPodsOfVMs(t *testing.T) {
	for user, want := range map[string]bool{"admin": true, "system:serviceaccount:home:kubevirt-controller": false} {
		may, err := Access{Client: clusterOfTenants{}}.MayLaunch(t.Context(), authenticationv1.UserInfo{Username: user})
		require.NoError(t, err)
		assert.Equal(t, want, may, user)
	}
}
