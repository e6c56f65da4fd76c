// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// removeProfiles deletes what kubernetes-nmstate left of the links of policies whose annotation says so, once for every
// generation that was applied. What fails is tried again at the next pass.
func (a *Agent) removeProfiles(policies []Policy) {
	if a.options.RemoveProfiles == nil {
		return
	}
	records := a.keeper.Records()
	for _, p := range policies {
		r, committed := records[p.key()]
		if !p.RemoveProfiles || !committed || r.Orphan || a.cleaned[p.key()] == r.Generation {
			continue
		}
		links := slices.Sorted(maps.Keys(netstate.Held(netstate.State(r.Desired))))
		names, err := a.options.RemoveProfiles(links)
		if len(names) > 0 {
			a.options.Event(p.Name, corev1.EventTypeNormal, "ProfilesRemoved", a.options.NodeName+
				": deleted what kubernetes-nmstate left with NetworkManager: "+strings.Join(names, ", "))
		}
		if err != nil {
			a.options.Log.Error(err, "Profiles of kubernetes-nmstate not deleted, trying again", "policy", p.Name)
			continue
		}
		a.cleaned[p.key()] = r.Generation
	}
}
