// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	"github.com/bridgehead-dev/bridgehead/api/nmstate/v1beta1"
)

// act takes the actions of a decision: the urgent ones first, and the others only when those are done.
func (r *Reconciler) act(ctx context.Context, policy string, view *reading, actions []Action) error {
	urgent := 0
	for urgent < len(actions) && actions[urgent].Urgent() {
		urgent++
	}
	if err := r.takeAll(ctx, policy, view, actions[:urgent]); err != nil {
		return err
	}
	return r.takeAll(ctx, policy, view, actions[urgent:])
}

// takeAll takes actions that do not depend on each other, several at a time. The error is of all that failed.
func (r *Reconciler) takeAll(ctx context.Context, policy string, view *reading, actions []Action) error {
	failed := make([]error, len(actions))
	var workers errgroup.Group
	workers.SetLimit(max(1, r.Workers))
	for i, a := range actions {
		workers.Go(func() error {
			failed[i] = r.take(ctx, policy, view, a)
			return nil
		})
	}
	_ = workers.Wait() // they report in failed
	return errors.Join(failed...)
}

func (r *Reconciler) take(ctx context.Context, policy string, view *reading, a Action) error {
	if a.Turn != 0 && r.Leads != nil {
		if err := r.Leads(); err != nil {
			return fmt.Errorf("%s: %w", a, err)
		}
	}
	e := view.enactments[a.Enactment]
	var wrote version
	var err error
	if a.Verb == Create {
		wrote, err = r.create(ctx, view, a)
	} else {
		wrote, err = r.change(ctx, view, a, e)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", a, err)
	}
	r.memory.wrote(policy, a.Enactment, wrote)
	r.Log.Info("Turn", "action", string(a.Verb), "enactment", a.Enactment, "turn", a.Turn)
	if a.Verb == Abort {
		r.announce(view, a.Enactment)
	}
	return nil
}

// create makes an enactment that belongs to its Node.
func (r *Reconciler) create(ctx context.Context, view *reading, a Action) (version, error) {
	e := &v1beta1.NodeNetworkConfigurationEnactment{ObjectMeta: metav1.ObjectMeta{
		Name:        a.Enactment,
		Labels:      map[string]string{nmstate.PolicyLabel: view.policy.Name, nmstate.NodeLabel: a.Node.Name},
		Annotations: map[string]string{nmstate.PolicyUIDAnnotation: string(view.policy.UID)},
		OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "v1", Kind: "Node", Name: a.Node.Name, UID: a.Node.UID},
		},
	}}
	if a.Turn != 0 {
		e.Annotations[nmstate.TurnAnnotation] = nmstate.FormatTurn(a.Turn)
	}
	err := r.Client.Create(ctx, e)
	if apierrors.IsAlreadyExists(err) {
		return version{}, errors.Join(err, r.evict(ctx, view.policy.Name, a.Enactment))
	}
	return versionOf(e), err
}

// evict deletes an enactment that is in the way, if it does not say whose it is. If it is another policy's, names with
// dots have come to the same; that is for people to resolve.
func (r *Reconciler) evict(ctx context.Context, policy, enactment string) error {
	var e v1beta1.NodeNetworkConfigurationEnactment
	if err := r.Live.Get(ctx, types.NamespacedName{Name: enactment}, &e); err != nil {
		return client.IgnoreNotFound(err)
	}
	if owner := e.Labels[nmstate.PolicyLabel]; owner != "" {
		if owner != policy {
			return fmt.Errorf("an enactment of policy %s has this name", owner)
		}
		return nil
	}
	return r.Client.Delete(ctx, &e, client.Preconditions{UID: &e.UID, ResourceVersion: &e.ResourceVersion})
}

// change writes to an enactment that exists, on the version that was decided on.
func (r *Reconciler) change(
	ctx context.Context, view *reading, a Action, e *v1beta1.NodeNetworkConfigurationEnactment,
) (version, error) {
	next := &v1beta1.NodeNetworkConfigurationEnactment{ObjectMeta: metav1.ObjectMeta{Name: e.Name}}
	switch a.Verb {
	case Delete:
		err := r.Client.Delete(ctx, next, client.Preconditions{UID: &e.UID, ResourceVersion: &e.ResourceVersion})
		return version{uid: e.UID, deleted: true}, err
	case Grant, Withdraw:
		var turn any // none
		if a.Verb == Grant {
			turn = nmstate.FormatTurn(a.Turn)
		}
		metadata := onVersion(e)
		metadata["annotations"] = map[string]any{nmstate.TurnAnnotation: turn}
		err := r.Client.Patch(ctx, next, mergePatch{"metadata": metadata})
		return versionOf(next), err
	}
	enactment := enactmentOf(e)
	err := r.Client.Status().Patch(ctx, next, mergePatch{"metadata": onVersion(e), "status": map[string]any{
		"policyGeneration": view.policy.Generation,
		"conditions":       enactment.Status(a.Verb, metav1.NewTime(r.Clock.Now())),
	}})
	return versionOf(next), err
}

// onVersion returns the metadata of a patch that applies to one version of an object only.
func onVersion(o client.Object) map[string]any {
	return map[string]any{"uid": o.GetUID(), "resourceVersion": o.GetResourceVersion()}
}

// A mergePatch is a JSON merge patch (RFC 7396).
type mergePatch map[string]any

// Type implements client.Patch.
func (mergePatch) Type() types.PatchType { return types.MergePatchType }

// Data implements client.Patch.
func (p mergePatch) Data(client.Object) ([]byte, error) { return json.Marshal(p) }
