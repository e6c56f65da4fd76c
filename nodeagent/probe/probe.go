// SPDX-License-Identifier: Apache-2.0

// Package probe finds out whether a node can still reach what it could reach before its network was changed:
// its default gateways, the API server, and DNS.
//
// Before the change, Probes.Before chooses what is worth asking. After it, Chosen.After asks until everything
// has answered or time is up. Where to ask is read from the node each time, since a change may be meant to
// move the default gateway or the name servers.
package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// A Probe asks for one answer that a node lives by.
type Probe interface {
	// String names who should answer, for errors and logs: "default gateway".
	String() string
	// Ask asks once and returns nil when there was an answer. The error says, in a few words, who was asked
	// and what came instead. It returns soon after ctx is done.
	Ask(ctx context.Context) error
}

// Probes are what can be asked, and how patiently.
type Probes struct {
	// Always are asked after every change, answering before or not.
	Always []Probe
	// Optional are asked after a change if they answered before it.
	Optional []Probe
	// Patience is how long to wait for an answer before a change; 2 s when zero. How long to wait after a
	// change is the caller's deadline.
	Patience time.Duration
	// Attempt ends one question that nobody answers, so that the next can be asked; 1 s when zero.
	Attempt time.Duration
}

// Chosen are the probes that must be answered after a change.
type Chosen struct {
	Probes []Probe
	// Attempt is as in Probes.
	Attempt time.Duration
}

// pause is the time between two questions of one probe when an answer of sorts came at once.
const pause = 200 * time.Millisecond

// Before chooses the probes for a change that is about to be made. It asks all optional ones at the same time,
// and returns as soon as all have answered, or have nobody to ask, or patience is at an end.
func (p Probes) Before(ctx context.Context) Chosen {
	patience, attempt := p.Patience, p.Attempt
	if patience == 0 {
		patience = 2 * time.Second
	}
	if attempt == 0 {
		attempt = time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	chosen := Chosen{Probes: p.Always[:len(p.Always):len(p.Always)], Attempt: attempt}
	for n, err := range ask(ctx, p.Optional, attempt, false) {
		if err == nil {
			chosen.Probes = append(chosen.Probes, p.Optional[n])
		}
	}
	return chosen
}

// After asks all that were chosen at the same time, again and again until ctx is done. The error is a
// *LostError with those that have not answered by then; nil when all have.
func (c Chosen) After(ctx context.Context) error {
	var lost LostError
	for n, err := range ask(ctx, c.Probes, c.Attempt, true) {
		if err != nil {
			lost.Silent = append(lost.Silent, Silence{Probe: c.Probes[n], Reason: err})
		}
	}
	if len(lost.Silent) > 0 {
		return &lost
	}
	return nil
}

// answerAttempt ends one question of Answers that nobody answers: on a node that boots, it takes its time to find out
// whom to ask.
const answerAttempt = 3 * time.Second

// Answers asks all probes at the same time, again and again until each has answered or ctx is done, and returns how the
// last question of each went, by its name. Where there is nobody to ask, it asks again only if again says so.
func Answers(ctx context.Context, probes []Probe, again bool) map[string]error {
	answers := map[string]error{}
	for n, err := range ask(ctx, probes, answerAttempt, again) {
		answers[probes[n].String()] = err
	}
	return answers
}

// ErrNobody is the reason of a silence where the node has nobody to ask, such as no default gateway.
var ErrNobody = errors.New("nobody to ask")

// A LostError says what does not answer any more.
type LostError struct{ Silent []Silence }

// A Silence is one probe without an answer, and how its last question went.
type Silence struct {
	Probe  Probe
	Reason error
}

// Error returns one line: "no answer from default gateway (192.0.2.1 through eth0: no ARP reply), DNS (…)".
func (e *LostError) Error() string {
	parts := make([]string, len(e.Silent))
	for n, s := range e.Silent {
		parts[n] = fmt.Sprintf("%s (%s)", s.Probe, strings.ReplaceAll(s.Reason.Error(), "\n", "; "))
	}
	return "no answer from " + strings.Join(parts, ", ")
}

// Unwrap returns why each of them is silent.
func (e *LostError) Unwrap() []error {
	reasons := make([]error, len(e.Silent))
	for n, s := range e.Silent {
		reasons[n] = s.Reason
	}
	return reasons
}

// ask asks all probes until each has answered or ctx is done, and returns how the last question of each went.
// again is as for insist.
func ask(ctx context.Context, probes []Probe, attempt time.Duration, again bool) []error {
	last := make([]error, len(probes))
	var all sync.WaitGroup
	for n, p := range probes {
		all.Go(func() { last[n] = insist(ctx, p, attempt, again) })
	}
	all.Wait()
	return last
}

// insist asks one probe until it answers or ctx is done. Where there is nobody to ask, it asks again only when
// again says that somebody may still come.
func insist(ctx context.Context, p Probe, attempt time.Duration, again bool) error {
	var last error
	for {
		err := once(ctx, p, attempt)
		if err == nil {
			return nil
		}
		if errors.Is(err, ErrNobody) && !again {
			return err
		}
		if last == nil || ctx.Err() == nil { // what ends with ctx says less than what ended before
			last = err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return last
		}
	}
}

// once asks one probe, for as long as an attempt may take.
func once(ctx context.Context, p Probe, attempt time.Duration) error {
	if attempt > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, attempt)
		defer cancel()
	}
	return p.Ask(ctx)
}
