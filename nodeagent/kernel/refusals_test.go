// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// refusals returns steps that a node refuses when it is in the state 02-bridge-trunk (br0 over eth1).
func refusals() map[string]struct {
	step  netstate.Step
	errno unix.Errno // 0 for refusals that are not the kernel's
	says  string     // by the kernel; a model has its own words
} {
	link := func(i netstate.Interface) netstate.Value { return netstate.Value{Link: &i} }
	port := func(bridge string) netstate.Value {
		return netstate.Value{Port: &netstate.Attachment{Controller: bridge, Type: netstate.TypeBridge}}
	}
	return map[string]struct {
		step  netstate.Step
		errno unix.Errno
		says  string
	}{
		"a bridge cannot be a port of a bridge": {
			step:  netstate.Step{Kind: netstate.StepPort, Link: "br1", To: port("br0")},
			errno: unix.ELOOP, says: "attach br1 to br0: Can not enslave a bridge to a bridge (ELOOP)",
		},
		"the loopback cannot be a port": {
			step:  netstate.Step{Kind: netstate.StepPort, Link: "lo", To: port("br0")},
			errno: unix.EINVAL, says: "attach lo to br0: ",
		},
		"a port of a bridge carries no mac-vlan": {
			step: netstate.Step{Kind: netstate.StepLink, Link: "mv1", To: link(netstate.Interface{
				Name: "mv1", Type: netstate.TypeMACVLAN, MACVLAN: &netstate.MACVLAN{BaseIface: new("eth1"), Mode: new("bridge")}})},
			errno: unix.EBUSY, says: "make mac-vlan mv1: ",
		},
		"what carries a mac-vlan cannot be a port of a bridge": {
			step:  netstate.Step{Kind: netstate.StepPort, Link: "eth2", To: port("br1")},
			errno: unix.EBUSY, says: "attach eth2 to br1: ",
		},
		"the loopback carries no mac-vlan": {
			step: netstate.Step{Kind: netstate.StepLink, Link: "mv1", To: link(netstate.Interface{
				Name: "mv1", Type: netstate.TypeMACVLAN, MACVLAN: &netstate.MACVLAN{BaseIface: new("lo"), Mode: new("bridge")}})},
			errno: unix.EINVAL, says: "make mac-vlan mv1: ",
		},
		"the loopback carries no VLAN": {
			step: netstate.Step{Kind: netstate.StepLink, Link: "lo.7", To: link(netstate.Interface{
				Name: "lo.7", Type: netstate.TypeVLAN, VLAN: &netstate.VLAN{BaseIface: new("lo"), ID: new(7)}})},
			errno: unix.EOPNOTSUPP, says: "make vlan lo.7: 8021q: VLANs not supported on device (ENOTSUP)",
		},
		"a VLAN exists once on its base": {
			step: netstate.Step{Kind: netstate.StepLink, Link: "again", To: link(netstate.Interface{
				Name: "again", Type: netstate.TypeVLAN, VLAN: &netstate.VLAN{BaseIface: new("eth2"), ID: new(7)}})},
			errno: unix.EEXIST, says: "make vlan again: 8021q: VLAN device already exists (EEXIST)",
		},
		"a name is at most 15 bytes long": {
			step: netstate.Step{Kind: netstate.StepLink, Link: "sixteen-bytes-xx", To: link(netstate.Interface{
				Name: "sixteen-bytes-xx", Type: netstate.TypeDummy})},
			errno: unix.ERANGE, says: "make dummy sixteen-bytes-xx: ",
		},
		"the loopback has no token": {
			step: netstate.Step{Kind: netstate.StepSet, Link: "lo",
				From: link(netstate.Interface{Name: "lo", Type: netstate.TypeLoopback, IPv6: &netstate.IP{Token: new("")}}),
				To:   link(netstate.Interface{Name: "lo", Type: netstate.TypeLoopback, IPv6: &netstate.IP{Token: new("::5")}})},
			errno: unix.EINVAL, says: "set lo: ipv6: Device is loopback (EINVAL)",
		},
		"an MTU is at least the driver's least": {
			step: netstate.Step{Kind: netstate.StepSet, Link: "eth2",
				From: link(netstate.Interface{Name: "eth2", MTU: new(1500)}),
				To:   link(netstate.Interface{Name: "eth2", MTU: new(10)})},
			errno: unix.EINVAL, says: "set eth2: mtu less than device minimum (EINVAL)",
		},
		"a next hop has to be on a subnet of its link": {
			step: netstate.Step{Kind: netstate.StepRoute, Link: "eth0", To: netstate.Value{Route: &netstate.Route{
				Destination: netip.MustParsePrefix("10.0.0.0/8"), NextHopInterface: "eth0",
				NextHopAddress: netip.MustParseAddr("172.16.0.1"), TableID: new(254), Metric: new(0)}}},
			errno: unix.ENETUNREACH, says: "add route 10.0.0.0/8 via 172.16.0.1 dev eth0: Nexthop has invalid gateway (ENETUNREACH)",
		},
		"a plan that is out of date": {
			step: netstate.Step{Kind: netstate.StepSet, Link: "eth2",
				From: link(netstate.Interface{Name: "eth2", MTU: new(1400)}),
				To:   link(netstate.Interface{Name: "eth2", MTU: new(1300)})},
			says: "set eth2: the node changed since the plan was made: mtu is 1500, the plan expects 1400",
		},
		"a port that moved to another controller meanwhile": {
			step: netstate.Step{Kind: netstate.StepPort, Link: "eth1", From: port("br9")},
			says: "detach eth1 from br9: the node changed since the plan was made: controller is br0, the plan expects br9",
		},
		"a link that exists": {
			step: netstate.Step{Kind: netstate.StepLink, Link: "br0",
				To: link(netstate.Interface{Name: "br0", Type: netstate.TypeDummy})},
			says: "make dummy br0: the node changed since the plan was made: a link of that name exists now",
		},
		"a link that does not exist": {
			step: netstate.Step{Kind: netstate.StepSet, Link: "no0",
				From: link(netstate.Interface{Name: "no0"}), To: link(netstate.Interface{Name: "no0", MTU: new(1300)})},
			says: "set no0: no such link",
		},
		"a NIC cannot be deleted": {
			step: netstate.Step{Kind: netstate.StepLink, Link: "eth2",
				From: link(netstate.Interface{Name: "eth2", Type: netstate.TypeEthernet})},
			says: "delete ethernet eth2: it is a physical device",
		},
		"a bridge is not taken away from under a port": {
			step: netstate.Step{Kind: netstate.StepLink, Link: "br0",
				From: link(netstate.Interface{Name: "br0", Type: netstate.TypeBridge})},
			says: "delete linux-bridge br0: the node changed since the plan was made: it still has the ports eth1",
		},
		"an address exists once on its link": {
			step: netstate.Step{Kind: netstate.StepAddress, Link: "eth0", To: netstate.Value{Address: &netstate.Address{
				IP: netip.MustParseAddr("192.0.2.10"), PrefixLength: 24}}},
			errno: unix.EEXIST, says: "add 192.0.2.10/24 to eth0: exists already (EEXIST)",
		},
		"an address that is not there": {
			step: netstate.Step{Kind: netstate.StepAddress, Link: "eth0", From: netstate.Value{Address: &netstate.Address{
				IP: netip.MustParseAddr("192.0.2.77"), PrefixLength: 24}}},
			errno: unix.EADDRNOTAVAIL, says: "remove 192.0.2.77/24 from eth0: ",
		},
	}
}

// refuse checks that a node refuses every step and is as before. exact also compares the words.
func refuse(t *testing.T, node Node, exact bool) {
	start := loadStates(t)["02-bridge-trunk"]
	twins := readFile(t, "testdata/refusals.yaml")
	start.Interfaces = append(start.Interfaces, twins.Interfaces...)
	goTo(t, node, start)
	for name, test := range refusals() {
		t.Run(name, func(t *testing.T) {
			before := read(t, node)
			err := node.Do(test.step)
			require.Error(t, err)
			same(t, node, before, name, []netstate.Step{test.step})
			if !exact {
				return
			}
			assert.ErrorContains(t, err, test.says)
			var refused *RefusedError
			if assert.Equal(t, test.errno != 0, errors.As(err, &refused)) && refused != nil {
				assert.Equal(t, test.errno, refused.Errno)
			}
		})
	}
	goTo(t, node, loadStates(t)["01-bare"])
}

func TestTheModelRefusesWhatTheKernelRefuses(t *testing.T) {
	refuse(t, NewModel(loadStates(t)["01-bare"]), false)
}
