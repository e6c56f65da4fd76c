package nodeagent

import (
	"maps"
	"slices"
	"time"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

const (
	// firstWait is how long a policy that was healed is left alone; the wait doubles, up to longestWait, while it has to
	// be healed again and again, so as not to fight another manager of the network.
	firstWait   = time.Second
	longestWait = 5 * time.Minute
)

// A healing is the last time that a policy had to be healed. The zero healing is none.
type healing struct {
	at   time.Time
	wait time.Duration
}

// due says how long to wait before the policy may be healed again; zero if it may be now.
func (h healing) due(now time.Time) time.Duration {
	return max(0, h.wait-now.Sub(h.at))
}

// next is the healing after one at this time.
func (h healing) next(now time.Time) healing {
	wait := firstWait
	if h.wait > 0 && now.Sub(h.at) < 2*h.wait+firstWait {
		wait = min(2*h.wait, longestWait)
	}
	return healing{at: now, wait: wait}
}

// A Healed is a policy that somebody had changed behind our back.
type Healed struct {
	Policy string
	Steps  []netstate.Step
	// Err is why it could not be put back.
	Err error
}

// Heal puts back what somebody changed of the committed states whose policies want that, and says when to look again;
// zero if there is no need to.
func (k *Keeper) Heal() (healed []Healed, again time.Duration) {
	for _, name := range slices.Sorted(maps.Keys(k.records)) {
		r := k.records[name]
		if r.Orphan || !r.Heal {
			continue
		}
		now := k.Clock.Now()
		if wait := k.healings[name].due(now); wait > 0 {
			if again == 0 || wait < again {
				again = wait
			}
			continue
		}
		steps, err := k.putBack(r, "Healing")
		if len(steps) == 0 && err == nil {
			continue
		}
		k.healings[name] = k.healings[name].next(now)
		healed = append(healed, Healed{Policy: name, Steps: steps, Err: err})
		if again == 0 || firstWait < again {
			again = k.healings[name].due(now)
		}
	}
	return healed, again
}
