// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

func TestWhatIsCounted(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := newMetrics(registry)
	m.heal(Healed{Policy: "p"})
	m.heal(Healed{Policy: "p"})
	m.heal(Healed{Policy: "p", Err: errors.New("no such device")})
	m.turn(nil, time.Second)
	m.turn(errors.New("no such device"), time.Second)
	m.turn(fmt.Errorf("apply: %w", &LostError{Cause: errors.New("no answer")}), time.Second)
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP bridgehead_agent_applied_total Turns taken: applied, failed, or undone because the node lost connectivity.
# TYPE bridgehead_agent_applied_total counter
bridgehead_agent_applied_total{result="applied"} 1
bridgehead_agent_applied_total{result="failed"} 1
bridgehead_agent_applied_total{result="undone"} 1
# HELP bridgehead_agent_healed_total How often something that a policy declares was restored after a change from outside, or could not be.
# TYPE bridgehead_agent_healed_total counter
bridgehead_agent_healed_total{policy="p",result="failed"} 1
bridgehead_agent_healed_total{policy="p",result="healed"} 2
`), "bridgehead_agent_applied_total", "bridgehead_agent_healed_total"))
}
