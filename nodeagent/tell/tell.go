// SPDX-License-Identifier: Apache-2.0

// Package tell tells people what an agent did.
package tell

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"

	v1 "github.com/bridgehead-dev/bridgehead/api/nmstate/v1"
)

// Events returns what tells people of a policy, or without one of the Node, by events in the API server of cfg: of
// which kind ("Normal", "Warning"), why and what. It does not block; what cannot be told is lost. It ends with ctx.
func Events(ctx context.Context, cfg *rest.Config, node string) (func(policy, kind, reason, note string), error) {
	clients, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: clients.EventsV1()})
	if err := broadcaster.StartRecordingToSinkWithContext(ctx); err != nil {
		return nil, fmt.Errorf("set up events: %w", err)
	}
	recorder := broadcaster.NewRecorder(runtime.NewScheme(), "bridgehead-agent")
	return func(policy, kind, reason, note string) {
		about := &corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: node}
		if policy != "" {
			about = &corev1.ObjectReference{
				APIVersion: v1.GroupVersion().String(), Kind: "NodeNetworkConfigurationPolicy", Name: policy,
			}
		}
		recorder.Eventf(about, nil, kind, reason, reason, "%s", short(note))
	}, nil
}

// maxNote is how many bytes the API server takes as the note of an event (NoteLengthLimit of its validation).
const maxNote = 1024

// short cuts a note that would be refused.
func short(note string) string {
	const more = "…"
	if len(note) <= maxNote {
		return note
	}
	return strings.ToValidUTF8(note[:maxNote-len(more)], "") + more
}
