// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bridgehead-dev/bridgehead/nad"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// podAddressRules returns everything that can be wrong with the addresses that a pod asks for, where the ledger lends
// them.
func podAddressRules() []podRule {
	return []podRule{
		validatePodInterfaceCount,
		validatePodBlocks,
		validatePodAddresses,
		validatePodAddressesUnique,
		validatePodArguments,
	}
}

// lends reports whether the addresses of a pod are the ledger's to give: those of a launched pod are its VM's, which
// checkLauncher sees to. What the pod says of how it was attached proves nothing when it is created.
func (w PodReviewer) lends(p *pod) bool {
	return w.Lending != nil && !nad.IsLauncher(p.Metadata.Labels, p.Metadata.OwnerReferences)
}

// checkLauncher refuses the addresses that a pod asks for which says that a VM runs in it, and which that VM does not
// have: nothing else looks after them.
func (w PodReviewer) checkLauncher(
	ctx context.Context, request *admissionv1.AdmissionRequest, networks podNetworks, verdict Verdict,
) (Verdict, error) {
	asking := slices.DeleteFunc(networks.nics(), func(n nic) bool { return n.name == "" || n.mac == (macpool.MAC{}) })
	denied, err := w.checkMachine(ctx, request, networks.pod, asking)
	if err != nil || len(denied.Denied) > 0 {
		return denied, err
	}
	return verdict, nil
}

// checkMachine is checkLauncher for some interfaces. A pod that somebody other than KubeVirt makes may have none: it
// does not go with its VM, and would keep what is given to another then.
func (w PodReviewer) checkMachine(
	ctx context.Context, request *admissionv1.AdmissionRequest, p *pod, asking []nic,
) (Verdict, error) {
	machine := macpool.Object{
		Kind: macpool.KindVM, Namespace: request.Namespace, Name: nad.MachineOf(p.Metadata.OwnerReferences),
	}
	if len(asking) == 0 || w.Lending.Having == nil {
		return Verdict{}, nil
	}
	var macs []macpool.MAC
	for _, n := range asking {
		macs = append(macs, n.mac)
	}
	var denied Verdict
	if machine.Name == "" {
		for _, n := range asking {
			denied.deny(field.Forbidden(n.path, fmt.Sprintf(
				"label %s: %s says that this is the pod of a VM, but no VirtualMachineInstance controls it: remove the label, "+
					"or leave the address out", nad.LauncherLabel, nad.Launcher,
			)))
		}
		return denied, nil
	}
	if w.MayLaunch != nil {
		if may, err := w.MayLaunch(ctx, request.UserInfo); err != nil || !may {
			return saidToBeOf(machine, asking), err
		}
	}
	had, err := w.Lending.Having(ctx, machine, macs...)
	if err != nil {
		return Verdict{}, fmt.Errorf("look which addresses %s has: %w", machine, err)
	}
	for _, n := range asking {
		if !slices.Contains(had, n.mac) {
			denied.deny(field.Forbidden(n.path, fmt.Sprintf(
				"this is the pod of %s, which does not have %s: only addresses of the VM can be asked for here", machine, n.mac,
			)))
		}
	}
	return denied, nil
}

// saidToBeOf refuses addresses of a pod that somebody other than KubeVirt makes and says to be that of a VM.
func saidToBeOf(machine macpool.Object, asking []nic) Verdict {
	var denied Verdict
	for _, n := range asking {
		denied.deny(field.Forbidden(n.path, fmt.Sprintf(
			"this is said to be the pod of %s, which only KubeVirt makes: remove the owner and the label %s, or leave the address "+
				"out", machine, nad.LauncherLabel,
		)))
	}
	return denied
}

// assign has the ledger give every additional network of a pod an address and writes them into the annotation.
func (w PodReviewer) assign(
	ctx context.Context, request *admissionv1.AdmissionRequest, networks podNetworks, verdict Verdict,
) (Verdict, error) {
	o := order{path: annotationPath(nad.NetworksAnnotation)}
	var indexes []int // of the selection that each ask is for
	for i, n := range networks.nics() {
		if n.name != "" {
			o.asking, indexes = append(o.asking, n), append(indexes, i)
		}
	}
	if len(o.asking) == 0 {
		return verdict, nil
	}
	problems, err := w.Lending.identify(ctx, &o, macpool.KindPod, request, networks.pod.Metadata, &verdict.Patch)
	if err != nil || len(problems) > 0 {
		return Verdict{Denied: problems}, err
	}
	macs, err := w.Lending.lend(ctx, request, o, &verdict)
	if err != nil {
		return Verdict{}, err
	}
	given := map[int]string{}
	for i, m := range macs {
		if o.asking[i].text == "" {
			given[indexes[i]] = m.String()
		}
	}
	if len(given) == 0 {
		return verdict, nil
	}
	written, err := networks.additional.WithMACs(given)
	if err != nil {
		return Verdict{}, err
	}
	verdict.Patch.Set(pointer("metadata", "annotations", nad.NetworksAnnotation), written)
	return verdict, nil
}

// nics returns the interfaces of the attachments, in their order, with the names they will have. One that has no
// Ethernet address of its own, or none that is ours to look after, has no name here.
func (n podNetworks) nics() []nic {
	var nics []nic
	for i, a := range n.attachments {
		one := nic{name: a.InterfaceName(i), text: a.MAC, path: a.path.Child("mac")}
		takes := a.network.TakesMAC()
		if i >= len(n.additional.Selections) { // its address is the network's to give, but what the pod asks for it may get
			one.name, takes = nad.PrimaryInterface, a.MAC != "" && a.network.TakesPrimaryMAC()
		}
		if a.Infiniband || !takes {
			nics = append(nics, nic{path: one.path})
			continue
		}
		one.mac, _ = macpool.ParseInterfaceMAC(a.MAC) // what is wrong with it is a rule's to say
		nics = append(nics, one)
	}
	return nics
}

// validateUnicast refuses Ethernet addresses that no interface can have, in every namespace. InfiniBand has longer
// ones.
func validateUnicast(n podNetworks) field.ErrorList {
	var problems field.ErrorList
	for _, a := range n.attachments {
		for _, asked := range []nic{
			{path: a.path.Child("mac"), text: a.MAC}, {path: a.path.Child("cni-args", "mac"), text: a.Argument},
		} {
			if octets, err := net.ParseMAC(asked.text); err != nil || len(octets) != len(macpool.MAC{}) {
				continue // an empty one, one of InfiniBand, or one that could not be read
			}
			if _, err := macpool.ParseInterfaceMAC(asked.text); err != nil {
				problems = append(problems, field.Invalid(asked.path, asked.text, err.Error()))
			}
		}
	}
	return problems
}

// validateLengths refuses IP addresses without the length of their prefix where the plugin for addresses fails without.
func validateLengths(n podNetworks) field.ErrorList {
	var problems field.ErrorList
	for _, a := range n.attachments {
		for i, ip := range a.IPs {
			if a.network.Lengths && !strings.Contains(ip, "/") {
				problems = append(problems, field.Invalid(a.path.Child("ips").Index(i), ip, fmt.Sprintf(
					"network %s takes addresses with a prefix length only, such as 10.0.0.1/24 (ipam static or whereabouts)", a.Ref)))
			}
		}
	}
	return problems
}

// validateIPCounts refuses several IP addresses where the plugin for addresses takes one. Multus hands them on in one
// argument, which host-local cannot read.
func validateIPCounts(n podNetworks) field.ErrorList {
	var problems field.ErrorList
	for _, a := range n.attachments {
		if a.network.OneIP && len(a.IPs) > 1 {
			problems = append(problems, field.Invalid(a.path.Child("ips"), strings.Join(a.IPs, ","), fmt.Sprintf(
				"network %s takes one address that is asked for (ipam host-local): leave out the others", a.Ref)))
		}
	}
	return problems
}

// validatePodAddresses refuses addresses that are not of Ethernet.
func validatePodAddresses(n podNetworks) field.ErrorList {
	var problems field.ErrorList
	for _, one := range n.nics() {
		octets, err := net.ParseMAC(one.text)
		if one.name == "" || err != nil || len(octets) == len(macpool.MAC{}) {
			continue // another rule's
		}
		if _, err := macpool.ParseInterfaceMAC(one.text); err != nil {
			problems = append(problems, field.Invalid(one.path, one.text, err.Error()))
		}
	}
	return problems
}

// validatePodAddressesUnique refuses an address that two interfaces of the pod ask for.
func validatePodAddressesUnique(n podNetworks) field.ErrorList {
	var problems field.ErrorList
	first := map[macpool.MAC]int{}
	for i, one := range n.nics() {
		if one.mac == (macpool.MAC{}) {
			continue
		}
		if other, twice := first[one.mac]; twice {
			problems = append(problems, field.Invalid(one.path, one.text, fmt.Sprintf(
				"attachment %d has the same address: give one of them another, or leave it out to have one assigned", other)))
			continue
		}
		first[one.mac] = i
	}
	return problems
}

// validatePodArguments refuses addresses that a pod asks for as an argument of the plugin, which the ledger does not
// look after.
func validatePodArguments(n podNetworks) field.ErrorList {
	var problems field.ErrorList
	for _, a := range n.attachments {
		if a.Argument != "" && !sameAddress(a.Argument, a.MAC) {
			problems = append(problems, field.Invalid(a.path.Child("cni-args", "mac"), a.Argument,
				`write the address as "mac" beside "name": the plugin may prefer this one to the one that is assigned`))
		}
	}
	return problems
}

// sameAddress reports whether two texts spell one address.
func sameAddress(a, b string) bool {
	first, errFirst := macpool.ParseMAC(a)
	second, errSecond := macpool.ParseMAC(b)
	return a == b || errFirst == nil && errSecond == nil && first == second
}
