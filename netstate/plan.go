// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Plan returns the steps that lead from current to what desired wants, in the order to take them; see
// Step for that order. It returns none when the two agree. The error holds everything that Validate and
// Check find, and then there are no steps.
func Plan(current, desired State) ([]Step, error) {
	if errs := checkLocated(desired); len(errs) > 0 {
		return nil, notLikeThat(errs)
	}
	if errs := Validate(desired, nil); len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	current = WithoutLeases(current.complete())
	desired = Resolve(current, desired)
	current = current.heeding(desired)
	target := Merge(current, desired)
	if errs := checkMerged(current, desired, target, nil); len(errs) > 0 {
		return nil, notLikeThat(errs)
	}
	return takeOver(current, desired, planBetween(current, target)), nil
}

func notLikeThat(errs field.ErrorList) error {
	return fmt.Errorf("the node cannot be configured like this: %w", errs.ToAggregate())
}

// planBetween returns the steps from one current state to another.
func planBetween(now, target State) []Step {
	p := newPlanner(now, target)
	p.cutRules(now.RouteRules.Config, target.RouteRules.Config)
	p.keepMACs()
	p.stopDHCP()
	p.stopListening()
	p.cutRoutes()
	p.cutAddresses()
	p.detachPorts()
	p.deleteLinks()
	p.shrinkLinks()
	p.changeLinks()
	p.attachPorts()
	p.changePorts()
	p.bringLinks()
	p.addAddresses()
	p.addRoutes()
	p.addRules(now.RouteRules.Config, target.RouteRules.Config)
	p.startDHCP()
	p.startListening()
	p.changeDNS(now.DNS.Config, target.DNS.Config)
	return p.steps
}

// changeDNS comes last: it is worth nothing before there is a route to the servers.
func (p *planner) changeDNS(now, target *DNSConfig) {
	if target == nil || now != nil && reflect.DeepEqual(*now, *target) {
		return
	}
	p.emit(StepDNS, "", Value{DNS: now}, Value{DNS: target})
}
