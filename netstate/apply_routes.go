// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"errors"
	"reflect"
	"slices"
)

func (s *State) applyRoute(step Step) error {
	if from := step.From.Route; from != nil {
		before := len(s.Routes.Running) + len(s.Routes.Config) + len(s.Routes.Other)
		other := func(r Route) bool { return r.complete().key() == from.key() }
		s.Routes.Running = slices.DeleteFunc(slices.Clone(s.Routes.Running), other)
		s.Routes.Config = slices.DeleteFunc(slices.Clone(s.Routes.Config), other)
		s.Routes.Other = slices.DeleteFunc(slices.Clone(s.Routes.Other), other)
		if len(s.Routes.Running)+len(s.Routes.Config)+len(s.Routes.Other) == before {
			return errors.New("there is no such route")
		}
	}
	to := step.To.Route
	if to == nil {
		return nil
	}
	if link := s.link(to.NextHopInterface); to.NextHopInterface != "" && (link == nil || link.State == StateDown) {
		return errors.New("its link does not exist or is down")
	}
	if routeKeys(allRoutes(s.Routes))[to.key()] {
		return errors.New("the route exists already")
	}
	if !to.Shown() {
		s.Routes.Other = append(slices.Clone(s.Routes.Other), *to)
		return nil
	}
	s.Routes.Running = append(slices.Clone(s.Routes.Running), *to)
	if to.configured() {
		s.Routes.Config = append(slices.Clone(s.Routes.Config), *to)
	}
	return nil
}

func (s *State) applyRule(step Step) error {
	rules := slices.Clone(s.RouteRules.Config)
	if from := step.From.Rule; from != nil {
		at := slices.IndexFunc(rules, func(r RouteRule) bool { return reflect.DeepEqual(r.complete(), from.complete()) })
		if at < 0 {
			return errors.New("there is no such rule")
		}
		rules = slices.Delete(rules, at, at+1)
	}
	if to := step.To.Rule; to != nil {
		if hasRule(rules, *to) {
			return errors.New("the rule exists already")
		}
		rules = append(rules, *to)
	}
	s.RouteRules.Config = rules
	return nil
}
