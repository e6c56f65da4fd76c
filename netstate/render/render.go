// SPDX-License-Identifier: Apache-2.0

// Package render works out what a policy comes to on a node. Admission and agent share it, so that they cannot
// disagree. Like netstate it knows no client, clock or logger.
package render

import (
	"bytes"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/netstate/capture"
)

// Policy returns what a policy comes to on a node in this state, checked as far as it can be without the node. What its
// captures found before is kept; found is all they have found by now.
func Policy(spec nmstate.PolicySpec, current netstate.State, before map[string]nmstate.CapturedState, now metav1.Time) (
	desired netstate.State, found map[string]nmstate.CapturedState, err error,
) {
	if spec.DesiredState == nil || len(spec.DesiredState.Raw) == 0 {
		return netstate.State{}, before, nil
	}
	text := spec.DesiredState.Raw
	if len(spec.Capture) > 0 {
		if text, found, err = renderCaptures(spec, current, before, now); err != nil {
			return netstate.State{}, before, err
		}
	}
	at := field.NewPath("spec", "desiredState")
	desired, problems := netstate.ParseAt(at, text)
	if len(problems) == 0 {
		problems = netstate.Validate(desired, at)
	}
	return netstate.Resolve(current, desired), found, problems.ToAggregate()
}

// renderCaptures puts what the captures find into the desired state.
func renderCaptures(
	spec nmstate.PolicySpec, current netstate.State, before map[string]nmstate.CapturedState, now metav1.Time,
) (
	text []byte, found map[string]nmstate.CapturedState, err error,
) {
	program, problems := capture.Parse(spec.Capture, field.NewPath("spec", "capture"))
	if len(problems) > 0 {
		return nil, nil, problems.ToAggregate()
	}
	state, err := values(current)
	if err != nil {
		return nil, nil, err
	}
	known := map[string]any{}
	for name, c := range before {
		if c.State == nil {
			continue
		}
		if known[name], err = DecodeJSON(c.State.Raw); err != nil {
			return nil, nil, fmt.Errorf("read capture %s: %w", name, err)
		}
	}
	all, err := program.Resolve(state, known)
	if err != nil {
		return nil, nil, err
	}
	if found, err = captured(all, before, now); err != nil {
		return nil, nil, err
	}
	wish, err := DecodeJSON(spec.DesiredState.Raw)
	if err != nil {
		return nil, nil, fmt.Errorf("spec.desiredState: %w", err)
	}
	rendered, err := capture.Render(wish, all)
	if err != nil {
		return nil, nil, fmt.Errorf("spec.desiredState: %w", err)
	}
	text, err = json.Marshal(rendered)
	return text, found, err
}

// captured returns what the captures found, for the enactment. What was there before stays as it was.
func captured(
	all map[string]any, before map[string]nmstate.CapturedState, now metav1.Time,
) (map[string]nmstate.CapturedState, error) {
	found := map[string]nmstate.CapturedState{}
	for name, value := range all {
		if old, ok := before[name]; ok && old.State != nil {
			found[name] = old
			continue
		}
		text, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("write capture %s: %w", name, err)
		}
		found[name] = nmstate.CapturedState{
			State:    &runtime.RawExtension{Raw: text},
			MetaInfo: &nmstate.StateMetaInfo{TimeStamp: now},
		}
	}
	return found, nil
}

// values returns a state as JSON decodes it, with the lifetimes of addresses that somebody renews: one that is captured
// is not taken for a static one.
func values(state netstate.State) (any, error) {
	text, err := json.Marshal(state)
	if err != nil {
		return nil, fmt.Errorf("write the current state: %w", err)
	}
	decoded, err := DecodeJSON(text)
	if err != nil {
		return nil, err
	}
	document, _ := decoded.(map[string]any)
	interfaces, _ := document["interfaces"].([]any)
	for n, i := range state.Interfaces {
		entry, _ := interfaces[n].(map[string]any)
		addLifetimes(entry["ipv4"], i.IPv4)
		addLifetimes(entry["ipv6"], i.IPv6)
	}
	return decoded, nil
}

// addLifetimes adds nmstate's keys of lifetimes to the addresses of an IP configuration.
func addLifetimes(decoded any, ip *netstate.IP) {
	document, _ := decoded.(map[string]any)
	addresses, _ := document["address"].([]any)
	for n := range addresses {
		if entry, is := addresses[n].(map[string]any); is && ip.Address[n].Dynamic() {
			entry["valid-life-time"] = fmt.Sprintf("%dsec", ip.Address[n].ValidLifeTime)
			entry["preferred-life-time"] = fmt.Sprintf("%dsec", ip.Address[n].PreferredLifeTime)
		}
	}
}

// DecodeJSON decodes a JSON text and keeps numbers as they are written.
func DecodeJSON(text []byte) (any, error) {
	var value any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	err := decoder.Decode(&value)
	return value, err
}
