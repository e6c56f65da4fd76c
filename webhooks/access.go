package webhooks

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
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

func (a Access) allowed(ctx context.Context, user authenticationv1.UserInfo, what authorizationv1.ResourceAttributes) (bool, error) {
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
