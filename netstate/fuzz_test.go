// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzParse checks that no bytes make Parse, Validate, Merge or Check panic, and that what parses survives
// Marshal and Parse.
func FuzzParse(f *testing.F) {
	addDocuments(f, func(text string) { f.Add([]byte(text)) })
	f.Add([]byte(`{"interfaces":[{"name":60e2,"mtu":"1500","state":"absent"}]}`))
	f.Add([]byte("a: &a [x]\nb: *a\n? [k]\n: v\n<<: {c: 1}"))
	node := loadState(f, "testdata/states/02-bridge-trunk.yaml").complete()
	f.Fuzz(func(t *testing.T, data []byte) {
		state, errs := Parse(data)
		Validate(state, nil)
		Check(node, state, nil)
		Warnings(state, nil)
		text, err := Marshal(state)
		require.NoError(t, err)
		if len(errs) > 0 {
			return
		}
		again, errs := Parse(text)
		require.Empty(t, errs, "%s", text)
		wantSameText(t, "parsed again", again, state)
	})
}

// FuzzPlanInverse takes a walk through the desired states its bytes choose, on a node with four NICs, and
// checks that each plan leads where it says and needs no second one, and that its inverses restore the
// start from anywhere. More than a few hundred bytes would only take longer, not find more.
func FuzzPlanInverse(f *testing.F) {
	for seed := range 64 {
		f.Add(randomBytes(seed, 400))
	}
	bare := loadState(f, "testdata/states/01-bare.yaml").complete()
	f.Fuzz(func(t *testing.T, data []byte) { walk(t, bare, data[:min(len(data), 400)]) })
}

// TestALongWalk is FuzzPlanInverse with enough bytes for a few hundred policies.
func TestALongWalk(t *testing.T) {
	bare := loadState(t, "testdata/states/01-bare.yaml").complete()
	applied, refused := 0, 0
	for seed := range 20 {
		a, r := walk(t, bare, randomBytes(1000+seed, 4000))
		applied, refused = applied+a, refused+r
	}
	assert.GreaterOrEqual(t, applied, 200, "%d policies were refused: the walk tests too little", refused)
}

// walk applies the policies that data chooses until it is used up, and counts them.
func walk(t *testing.T, current State, data []byte) (applied, refused int) {
	choices := choices(data)
	for len(choices) > 0 {
		current = asRead(current)
		desired := choices.policy()
		steps, err := Plan(current, desired)
		if err != nil {
			refused++
			continue
		}
		applied++
		after := apply(t, current, steps)
		again, err := Plan(after, desired)
		if err != nil || len(again) > 0 {
			t.Fatalf("planned again: %v\n%safter\n%s", err, Format(again), Format(steps))
		}
		for n := range steps {
			wantEqual(t, "undone\n"+Format(steps[:n+1]), apply(t, apply(t, current, steps[:n+1]), Invert(steps[:n+1])), current)
		}
		wantBack(t, current, after, desired)
		current = after
	}
	return applied, refused
}

// asRead returns a state with the options that a kernel always knows and the generator changes.
func asRead(s State) State {
	s.Interfaces = slices.Clone(s.Interfaces)
	for n, i := range s.Interfaces {
		if i.Description == nil {
			s.Interfaces[n].Description = new("")
		}
		if i.Bond != nil && i.Bond.Mode != nil {
			bond, options := *i.Bond, bondDefaults(*i.Bond.Mode)
			bond.Options = overlayPart(applicable(options, nil, *i.Bond.Mode), bond.Options)
			s.Interfaces[n].Bond = &bond
		}
		if i.Bridge == nil {
			continue
		}
		bridge := *i.Bridge
		bridge.Options = overlayPart(&BridgeOptions{STP: &STP{Enabled: new(false), Priority: new(32768)}}, bridge.Options)
		bridge.Port = slices.Clone(bridge.Port)
		for p := range bridge.Port {
			bridge.Port[p] = overlay(BridgePort{STPPathCost: new(100)}, bridge.Port[p])
		}
		s.Interfaces[n].Bridge = &bridge
	}
	return s
}

// wantBack checks that what a policy did is undone by what Revert wishes, and that the way back is planned also
// when a NIC went away meanwhile.
func wantBack(t *testing.T, before, after, desired State) {
	t.Helper()
	wish := Revert(before, desired)
	back := PlanBack(Own(after, desired), wish)
	steps, err := Plan(before, desired)
	require.NoError(t, err)
	wantEqual(t, "the plan\n"+Format(steps)+"was reverted by\n"+Format(back), apply(t, after, back), before)
	lost := withoutLink(after, "eth1")
	apply(t, lost, PlanBack(Own(lost, desired), wish))
}

// withoutLink returns a state after a NIC was pulled: what stood on it, its places in port lists and its routes
// are gone too.
func withoutLink(s State, name string) State {
	var on []string
	s.Interfaces = slices.Clone(s.Interfaces)
	for n, i := range s.Interfaces {
		if i.Base() == name {
			on = append(on, i.Name)
		}
		i.dropPort(name)
		s.Interfaces[n] = i
	}
	s.Interfaces = slices.DeleteFunc(s.Interfaces, func(i Interface) bool { return i.Name == name })
	through := func(r Route) bool { return r.NextHopInterface == name }
	s.Routes.Running = slices.DeleteFunc(slices.Clone(s.Routes.Running), through)
	s.Routes.Config = slices.DeleteFunc(slices.Clone(s.Routes.Config), through)
	for _, other := range on {
		s = withoutLink(s, other)
	}
	return s
}

func randomBytes(seed, length int) []byte {
	random := rand.New(rand.NewPCG(uint64(seed), 1))
	data := make([]byte, length)
	for n := range data {
		data[n] = byte(random.Uint32())
	}
	return data
}

// choices are bytes to choose with. When they are used up the first of everything is chosen.
type choices []byte

func (c *choices) below(n int) int {
	if len(*c) == 0 {
		return 0
	}
	first := (*c)[0]
	*c = (*c)[1:]
	return int(first) % n
}

func pick[T any](c *choices, of ...T) T { return of[c.below(len(of))] }

// policy chooses a desired state of up to four interfaces.
func (c *choices) policy() State {
	var desired State
	for range 1 + c.below(4) {
		i := c.link()
		if _, twice := desired.Interface(i.Name); !twice {
			desired.Interfaces = append(desired.Interfaces, i)
		}
	}
	if c.below(4) == 0 {
		desired.Routes.Config = []Route{{
			State:            pick(c, "", "", StateAbsent),
			Destination:      netip.MustParsePrefix(pick(c, "10.0.0.0/8", "0.0.0.0/0", "2001:db8:a::/48")),
			NextHopInterface: pick(c, "eth0", "eth1", "br0", "eth1.5", "bond0"),
		}}
	}
	return desired
}

func (c *choices) link() Interface {
	i := Interface{
		Name:  pick(c, "eth1", "eth2", "eth3", "br0", "br1", "bond0", "eth1.5", "bond0.5", "br0.5", "eth1.5.6", "vrf1", "x"),
		State: pick(c, StateUp, StateUp, StateUp, StateUp, "", StateDown, StateAbsent),
		MTU:   pick(c, nil, nil, nil, new(1500), new(1400), new(9000)),
	}
	if i.State == StateAbsent {
		return i
	}
	if c.below(3) == 0 {
		i.IPv4 = &IP{Enabled: new(true), Address: c.addresses("192.0.2.%d", 24)}
	}
	if c.below(3) == 0 {
		i.IPv6 = &IP{Enabled: new(true), Autoconf: new(c.below(2) == 0), Address: c.addresses("2001:db8::%d", 64),
			Token: pick(c, nil, nil, nil, new("::5"), new(""))}
	}
	if c.below(8) == 0 {
		i.Description = new(pick(c, "", "text"))
	}
	c.kind(&i)
	return i
}

func (c *choices) addresses(format string, length int) []Address {
	var chosen []Address
	for range c.below(3) {
		address := Address{IP: netip.MustParseAddr(fmt.Sprintf(format, 1+c.below(5))), PrefixLength: length}
		if !contains(chosen, address) {
			chosen = append(chosen, address)
		}
	}
	return chosen
}

func (c *choices) ports() []string {
	return pick(c, nil, []string{}, []string{"eth1"}, []string{"eth2"}, []string{"eth1", "eth2"}, []string{"eth3"},
		[]string{"bond0"}, []string{"eth1.5"}, []string{"bond0.5", "x"})
}

func (c *choices) kind(i *Interface) {
	switch i.Name {
	case "br0", "br1":
		i.Type = TypeBridge
		i.Bridge = &Bridge{Options: &BridgeOptions{STP: &STP{Enabled: new(c.below(2) == 0), Priority: new(c.below(3))}}}
		if ports := c.ports(); ports != nil {
			i.Bridge.Port = []BridgePort{}
			for _, port := range ports {
				vlan := pick(c, nil, &PortVLAN{}, &PortVLAN{Mode: new(ModeAccess), Tag: new(1 + c.below(3))})
				i.Bridge.Port = append(i.Bridge.Port,
					BridgePort{Name: port, VLAN: vlan, STPPathCost: pick(c, nil, new(10), new(20))})
			}
		}
	case "bond0":
		i.Type = TypeBond
		i.Bond = &Bond{Mode: new(pick(c, "active-backup", "802.3ad", "balance-xor")), Port: c.ports()}
		if *i.Bond.Mode == "active-backup" && len(i.Bond.Port) > 0 {
			i.Bond.Options = &BondOptions{Miimon: new(100), Primary: new(i.Bond.Port[0]),
				FailOverMAC: pick(c, nil, new("none"), new("follow"))}
		}
		if *i.Bond.Mode == "802.3ad" {
			i.Bond.Options = &BondOptions{LACPRate: new(pick(c, "slow", "fast"))}
		}
	case "eth1.5", "bond0.5", "br0.5", "eth1.5.6":
		i.Type = TypeVLAN
		base := i.Name[:strings.LastIndex(i.Name, ".")]
		i.VLAN = &VLAN{BaseIface: &base, ID: new(5 + c.below(2)), LooseBinding: pick(c, nil, nil, new(true))}
	case "vrf1":
		i.Type = TypeVRF
		i.VRF = &VRF{Port: c.ports(), RouteTableID: new(100 + c.below(2))}
	case "x":
		i.Type = pick(c, TypeDummy, TypeMACVLAN, TypeVXLAN, TypeVeth)
		switch i.Type {
		case TypeMACVLAN:
			i.MACVLAN = &MACVLAN{BaseIface: new(pick(c, "eth1", "br0")), Mode: new(pick(c, "bridge", "passthru", "vepa"))}
		case TypeVXLAN:
			i.VXLAN = &VXLAN{BaseIface: new(pick(c, "", "eth2")), ID: new(7 + c.below(2))}
		case TypeVeth:
			i.Veth = &Veth{Peer: pick(c, "y", "z")}
		}
	}
}

// addDocuments calls add with every state and every plan's documents under testdata.
func addDocuments(f *testing.F, add func(text string)) {
	f.Helper()
	files, err := filepath.Glob("testdata/states/*.yaml")
	require.NoError(f, err)
	require.NotEmpty(f, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(f, err)
		add(string(text))
	}
	for _, c := range loadPlans(f) {
		for _, text := range []json.RawMessage{c.Current, c.Desired} {
			add(string(text))
		}
	}
}
