// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"fmt"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// Access asks the API server what users may do. Its client must know SubjectAccessReviews.
type Access struct {
	Client client.Client
}

// MayReadNADs reports whether a user may read the NADs of a namespace.
func (a Access) MayReadNADs(ctx context.Context, user authenticationv1.UserInfo, namespace string) (bool, error) {
	return a.allowed(ctx, user, authorizationv1.ResourceAttributes{
		Verb: "get", Group: "k8s.cni.cncf.io", Resource: "network-attachment-definitions", Namespace: namespace,
	})
}

// MayLaunch reports whether a user may make instances in every namespace, as KubeVirt's controller may, and no tenant.
func (a Access) MayLaunch(ctx context.Context, user authenticationv1.UserInfo) (bool, error) {
	return a.allowed(ctx, user, authorizationv1.ResourceAttributes{
		Verb: "create", Group: "kubevirt.io", Resource: "virtualmachineinstances",
	})
}

// MayShare reports whether a newcomer that a user writes may have the addresses of another VM: the user may change that
// one, unless it is an account that acts for others, or it names the newcomer in its macpool.ShareAnnotation.
func (a Access) MayShare(
	ctx context.Context, user authenticationv1.UserInfo, holder, newcomer macpool.Object,
) (bool, error) {
	if !actsForOthers(user) {
		allowed, err := a.allowed(ctx, user, authorizationv1.ResourceAttributes{
			Verb: "update", Group: "kubevirt.io", Resource: "virtualmachines", Namespace: holder.Namespace, Name: holder.Name,
		})
		if err != nil || allowed {
			return allowed, err
		}
	}
	if newcomer.Name == "" {
		return false, nil
	}
	vm := &metav1.PartialObjectMetadata{}
	vm.SetGroupVersionKind(schema.GroupVersionKind{Group: "kubevirt.io", Version: "v1", Kind: "VirtualMachine"})
	if err := a.Client.Get(ctx, types.NamespacedName{Namespace: holder.Namespace, Name: holder.Name}, vm); err != nil {
		if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
			return false, nil
		}
		return false, fmt.Errorf("ask %s whether it shares its addresses: %w", holder, err)
	}
	share, err := macpool.ReadSharing("", vm.Annotations)
	return err == nil && share.With == newcomer, nil
}

// actsForOthers reports whether a user is the account of KubeVirt's virt-controller. It may change every VM, and makes
// those that somebody else asks for by a clone, a restore or a pool, with the annotations and the addresses that are
// written there: what it may do says nothing of who asked.
func actsForOthers(user authenticationv1.UserInfo) bool {
	account, ok := strings.CutPrefix(user.Username, "system:serviceaccount:")
	_, name, _ := strings.Cut(account, ":")
	return ok && name == "kubevirt-controller"
}

func (a Access) allowed(
	ctx context.Context, user authenticationv1.UserInfo, what authorizationv1.ResourceAttributes,
) (bool, error) {
	extra := map[string]authorizationv1.ExtraValue{}
	for key, values := range user.Extra {
		extra[key] = authorizationv1.ExtraValue(values)
	}
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, UID: user.UID, Groups: user.Groups, Extra: extra, ResourceAttributes: &what,
	}}
	if err := a.Client.Create(ctx, review); err != nil {
		return false, fmt.Errorf("ask whether %s may %s %s: %w", user.Username, what.Verb, what.Resource, err)
	}
	return review.Status.Allowed, nil
}
