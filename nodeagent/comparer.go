// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/netstate/render"
)

// nodeState returns the status of a NodeNetworkState after a snapshot, and whether it says anything that old did not.
func (c *comparer) nodeState(old nmstate.NodeStateStatus, s snapshot, version string, now metav1.Time) (
	nmstate.NodeStateStatus, bool, error,
) {
	next := *old.DeepCopy()
	const well = nmstate.ReasonSuccessfullyConfigured
	available := nmstate.Condition{Type: nmstate.NodeStateAvailable, Status: corev1.ConditionTrue, Reason: well}
	failing := nmstate.Condition{Type: nmstate.NodeStateFailing, Status: corev1.ConditionFalse, Reason: well}
	changed := next.HandlerNmstateVersion != version
	if s.err != nil {
		available.Status, failing.Status, failing.Message = corev1.ConditionFalse, corev1.ConditionTrue, oneLine(s.err)
		available.Reason, failing.Reason = nmstate.ReasonFailedToConfigure, nmstate.ReasonFailedToConfigure
	} else {
		reported := s.state.Reported()
		reported.RouteRules = netstate.RouteRules{} // kubernetes-nmstate has none, and its readers may be strict
		text, leftOut, err := bounded(reported, maxStateSize)
		if err != nil {
			return old, false, fmt.Errorf("write node state: %w", err)
		}
		available.Message = leftOut
		if next.CurrentState == nil || !c.same(next.CurrentState.Raw, text) {
			next.CurrentState, next.LastSuccessfulUpdateTime, changed = &runtime.RawExtension{Raw: text}, now, true
		}
	}
	if len(s.notUndone) > 0 {
		failing.Status, failing.Reason = corev1.ConditionTrue, nmstate.ReasonFailedToConfigure
		failing.Message = strings.TrimPrefix(failing.Message+"; ", "; ") +
			"changes of these policies could not be undone: " + strings.Join(s.notUndone, ", ")
	}
	for _, condition := range []nmstate.Condition{available, failing} {
		var news bool
		next.Conditions, news = nmstate.Set(next.Conditions, condition, now)
		changed = changed || news
	}
	next.HandlerNmstateVersion, next.HostNetworkManagerVersion = version, "N/A (kernel)"
	return next, changed, nil
}

// A comparer compares what two texts say, and remembers the last two that say the same: the API server sorts keys, so
// that what it has is never the text that was written, and an idle node would decode both at every pass.
type comparer struct{ stored, ours []byte }

func (c *comparer) same(stored, ours []byte) bool {
	if bytes.Equal(stored, c.stored) && bytes.Equal(ours, c.ours) {
		return true
	}
	x, errX := canonical(stored)
	y, errY := canonical(ours)
	same := errX == nil && errY == nil && bytes.Equal(x, y)
	if same {
		c.stored, c.ours = stored, ours
	}
	return same
}

func canonical(text []byte) ([]byte, error) {
	value, err := render.DecodeJSON(text)
	if err != nil {
		return nil, err
	}
	return json.Marshal(value)
}
