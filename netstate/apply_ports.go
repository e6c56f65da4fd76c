// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

func (s *State) applyPort(step Step) error {
	link := s.link(step.Link)
	if link == nil {
		return errNoLink
	}
	from, to := step.From.Port, step.To.Port
	if from != nil && to != nil && from.Controller != to.Controller {
		return errors.New("a move is a detach and an attach")
	}
	if from != nil {
		if err := s.detach(link, *from, to == nil); err != nil {
			return err
		}
	}
	if to != nil {
		return s.attach(link, *to, from == nil)
	}
	return nil
}

func (s *State) detach(link *Interface, from Attachment, leaves bool) error {
	controller := s.link(from.Controller)
	if controller == nil || deref(link.Controller) != from.Controller || controller.Type != from.Type {
		return fmt.Errorf("it is a port of %q", deref(link.Controller))
	}
	if leaves && from.Type == TypeBond {
		if primary(controller) == link.Name {
			return errors.New("it is the primary")
		}
		if err := s.refuseDown(*link); err != nil {
			return err
		}
	}
	if leaves && from.Type == TypeVRF {
		if err := s.refuseDown(*link); err != nil {
			return err
		}
	}
	controller.dropPort(link.Name)
	link.Controller = nil
	if leaves && from.Type == TypeVRF {
		s.restart(*link)
	}
	if leaves && from.Type == TypeBond {
		link.State = StateDown
		s.cascade(link.Name, StateDown)
	}
	return nil
}

func (s *State) attach(link *Interface, to Attachment, comes bool) error {
	controller := s.link(to.Controller)
	switch {
	case controller == nil || controller.Type != to.Type:
		return errors.New("there is no such controller")
	case link.Controller != nil:
		return fmt.Errorf("it is a port of %q", *link.Controller)
	case comes && to.Type == TypeBond && link.State != StateDown:
		return errors.New("it is up")
	case comes && to.Type == TypeBond && link.followsBase() && s.isDown(link.Base()):
		return errors.New("its base is down")
	case comes && to.Active && !controller.Bond.hasActivePort():
		return errors.New("the mode of the bond has no active port")
	case comes && to.Type == TypeVRF:
		if err := s.refuseDown(*link); err != nil {
			return err
		}
		s.restart(*link)
	}
	controller.addPort(link.Name, to)
	link.Controller = &to.Controller
	if comes && to.Type == TypeBond {
		link.State = StateUp
		s.cascade(link.Name, StateUp)
	}
	return nil
}

// restart brings up what follows a link that the kernel takes down and up again.
func (s *State) restart(link Interface) {
	if link.State == StateUp {
		s.cascade(link.Name, StateUp)
	}
}

func (s *State) isDown(name string) bool {
	link := s.link(name)
	return link != nil && link.State == StateDown
}

func (i *Interface) dropPort(name string) {
	switch {
	case i.Bridge != nil:
		bridge := *i.Bridge
		bridge.Port = slices.DeleteFunc(slices.Clone(bridge.Port), func(p BridgePort) bool { return p.Name == name })
		i.Bridge = &bridge
	case i.Bond != nil:
		bond := *i.Bond
		bond.Port = slices.DeleteFunc(slices.Clone(bond.Port), func(p string) bool { return p == name })
		bond.PortsConfig = slices.DeleteFunc(slices.Clone(bond.PortsConfig), func(p BondPort) bool { return p.Name == name })
		if bond.Active == name {
			bond.Active = ""
		}
		i.Bond = &bond
	case i.VRF != nil:
		vrf := *i.VRF
		vrf.Port = slices.DeleteFunc(slices.Clone(vrf.Port), func(p string) bool { return p == name })
		i.VRF = &vrf
	}
}

func (i *Interface) addPort(name string, a Attachment) {
	switch {
	case i.Bridge != nil:
		bridge, port := *i.Bridge, BridgePort{Name: name}
		if a.Bridge != nil {
			port = *a.Bridge
		}
		bridge.Port = append(slices.Clone(bridge.Port), port)
		slices.SortFunc(bridge.Port, func(p, q BridgePort) int { return cmp.Compare(p.Name, q.Name) })
		i.Bridge = &bridge
	case i.Bond != nil:
		bond := *i.Bond
		bond.Port = append(slices.Clone(bond.Port), name)
		slices.Sort(bond.Port)
		if a.Active {
			bond.Active = name
		}
		if a.Bond != nil {
			bond.PortsConfig = append(slices.Clone(bond.PortsConfig), *a.Bond)
			slices.SortFunc(bond.PortsConfig, func(p, q BondPort) int { return cmp.Compare(p.Name, q.Name) })
		}
		i.Bond = &bond
	case i.VRF != nil:
		vrf := *i.VRF
		vrf.Port = append(slices.Clone(vrf.Port), name)
		slices.Sort(vrf.Port)
		i.VRF = &vrf
	}
}
