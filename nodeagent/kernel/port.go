// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// doPort attaches a link to a controller, detaches it, or changes its options as a port.
func (k *Kernel) doPort(step netstate.Step) error {
	from, to := step.From.Port, step.To.Port
	operation := describePort(step)
	l, err := k.getLink(0, step.Link)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	if d := controllerDifference(from, k.nameOf(l.controller)); d != "" {
		return &StaleError{operation, d}
	}
	switch {
	case to == nil && from == nil:
		return nil
	case to == nil:
		return refused(k.setController(l.index, 0), "%s", operation)
	case from == nil:
		return k.attach(l, *to, operation)
	}
	if err := k.setPort(l, *to); err != nil {
		_ = k.setPort(l, *from)
		return refused(err, "%s", operation)
	}
	return nil
}

// controllerDifference returns how a link's controller differs from the one a step expects.
func controllerDifference(from *netstate.Attachment, found string) string {
	expected := ""
	if from != nil {
		expected = from.Controller
	}
	if found == expected {
		return ""
	}
	none := func(name string) string {
		if name == "" {
			return "none"
		}
		return name
	}
	return fmt.Sprintf("controller is %s, the plan expects %s", none(found), none(expected))
}

// describePort returns what a step does, in words.
func describePort(step netstate.Step) string {
	switch {
	case step.From.Port == nil && step.To.Port != nil:
		return fmt.Sprintf("attach %s to %s", step.Link, step.To.Port.Controller)
	case step.To.Port == nil && step.From.Port != nil:
		return fmt.Sprintf("detach %s from %s", step.Link, step.From.Port.Controller)
	case step.To.Port != nil:
		return fmt.Sprintf("change port %s of %s", step.Link, step.To.Port.Controller)
	}
	return "port " + step.Link
}

// attach makes a link a port with its options; when the kernel refuses an option it is detached again.
func (k *Kernel) attach(l *link, to netstate.Attachment, operation string) error {
	controller := k.indexOf(to.Controller)
	if controller == 0 {
		return fmt.Errorf("%s: %s: %w", operation, to.Controller, errNoLink)
	}
	if err := k.setController(l.index, controller); err != nil {
		return refused(err, "%s", operation)
	}
	if err := k.setPort(l, to); err != nil {
		_ = k.setController(l.index, 0)
		return refused(err, "%s", operation)
	}
	return nil
}

// setController makes a link a port of another, of none when the index is 0.
func (k *Kernel) setController(index int, controller uint32) error {
	var attrs attributes
	attrs.addUint32(unix.IFLA_MASTER, controller)
	return k.request(unix.RTM_SETLINK, 0, message(unix.IfInfomsg{Index: int32(index)}), attrs)
}

// setPort gives a port its options. The VLANs of a bridge port become exactly what is wanted, whether or
// not the bridge filters at the moment.
func (k *Kernel) setPort(l *link, to netstate.Attachment) error {
	var options attributes
	switch {
	case to.Bridge != nil:
		encodeOptions(&options, bridgePortOptions(), to.Bridge)
	case to.Bond != nil:
		encodeOptions(&options, bondPortOptions(), to.Bond)
	}
	if len(options) > 0 {
		var info, attrs attributes
		info.addString(nl.IFLA_INFO_SLAVE_KIND, linkKind(to.Type))
		info.nest(nl.IFLA_INFO_SLAVE_DATA, options)
		attrs.nest(unix.IFLA_LINKINFO, info)
		if err := k.request(unix.RTM_NEWLINK, 0, message(unix.IfInfomsg{Index: int32(l.index)}), attrs); err != nil {
			return err
		}
	}
	if to.Active {
		k.activate(l.index, to.Controller)
	}
	if to.Type != netstate.TypeBridge {
		return nil
	}
	if err := k.setVLANs(l.index, to.Entries()); err != nil || to.Bridge == nil {
		return err
	}
	if err := k.restorePortDetails(l.index, to.Bridge.Details); err != nil {
		return err
	}
	return k.addStaticMACs(l.index, to.Bridge.Static)
}

// activate has a bond send through a port, if the port has a carrier: else the bond goes on choosing by itself.
func (k *Kernel) activate(port int, bond string) {
	var data, attrs attributes
	data.addUint32(nl.IFLA_BOND_ACTIVE_SLAVE, uint32(port))
	attrs.nest(unix.IFLA_LINKINFO, linkInfo("bond", data))
	_ = k.request(unix.RTM_NEWLINK, 0, message(unix.IfInfomsg{Index: int32(k.indexOf(bond))}), attrs)
}
