// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Warnings lists what a valid desired state asks for and will not get, or will get otherwise than from
// kubernetes-nmstate. Each is a sentence that begins with the path, for an admission response.
func Warnings(desired State, at *field.Path) []string {
	var warnings []string
	controllers := desired.statedControllers()
	for n, i := range desired.Interfaces {
		if !i.wanted() {
			continue
		}
		here := desired.pathOf(at, n)
		warn := func(key, text string) {
			warnings = append(warnings, here.Child(strings.Split(key, ".")[0],
				strings.Split(key, ".")[1:]...).String()+": "+text)
		}
		if i.Listens() && (i.Type == TypeBridge || i.Type == TypeBond) {
			warn("lldp.enabled", "neighbours are heard by the ports, not by the "+shortType(i.Type)+": enable it on those")
		}
		if i.WaitIP != nil && *i.WaitIP != "any" {
			warn("wait-ip", "has no effect: nothing waits for an address")
		}
		if i.MAC != nil && !i.byMAC() && controllers[i.Name].givesMAC() {
			warn("mac-address", "has no effect: a port of a bond has the bond's")
		}
		if i.State == StateDown && makeable(i.Type) {
			warn("state", "the link is kept and set down; use absent to remove it")
		}
	}
	return warnings
}
