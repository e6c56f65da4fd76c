// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"errors"
	"net/netip"
	"strconv"
	"testing"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"

	"github.com/bridgehead-dev/bridgehead/netstate"
	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

// reachable is a node whose address is on a VLAN of a bond of eth0, with a pod's veth and eth1 on bridges beside it.
const reachable = `
interfaces:
- {name: eth0, type: ethernet, state: up, controller: bond0}
- {name: eth1, type: ethernet, state: up, controller: br1}
- {name: eth2, type: ethernet, state: up}
- {name: bond0, type: bond, state: up, link-aggregation: {mode: active-backup, port: [eth0]}}
- {name: br1, type: linux-bridge, state: up, bridge: {port: [{name: eth1}]}}
- name: bond0.100
  type: vlan
  state: up
  vlan: {base-iface: bond0, id: 100}
  ipv4: {enabled: true, address: [{ip: 198.51.100.7, prefix-length: 24}]}
routes:
  running: [{destination: 0.0.0.0/0, next-hop-address: 203.0.113.1, next-hop-interface: eth2}]
`

func TestTheOwnPathOfANodeIsKnown(t *testing.T) {
	own := []netip.Addr{netip.MustParseAddr("198.51.100.7")}
	tests := map[string]struct {
		desired   string
		addresses []netip.Addr
		want      string
	}{
		"the link with its address":        {"interfaces: [{name: bond0.100, mtu: 1500}]", own, "bond0.100"},
		"what that stands on":              {"interfaces: [{name: bond0, mtu: 1500}]", own, "bond0"},
		"a port below it":                  {"interfaces: [{name: eth0, mtu: 1500}]", own, "eth0"},
		"the default route":                {"interfaces: [{name: eth2, mtu: 1500}]", own, "eth2"},
		"a bridge beside it":               {"interfaces: [{name: br1, mtu: 1500}, {name: eth1}]", own, ""},
		"a link that is to be ignored":     {"interfaces: [{name: eth0, state: ignore}]", own, ""},
		"the address of nobody we know of": {"interfaces: [{name: bond0, mtu: 1500}]", nil, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, ownPath(parse(t, reachable), parse(t, test.desired), test.addresses))
		})
	}
}

// A bootUnit is a host that notes what is done about the unit.
type bootUnit struct {
	did  []string
	fail error
}

func (u *bootUnit) Install() error {
	u.did = append(u.did, "install")
	return u.fail
}

func (u *bootUnit) Remove() error {
	u.did = append(u.did, "remove")
	return u.fail
}

func TestTheBootUnitIsThereWhileAPolicyNeedsIt(t *testing.T) {
	own := []netip.Addr{netip.MustParseAddr("198.51.100.7")}
	desires := func(text string) journal.Record { return journal.Record{Desired: journal.State(parse(t, text))} }
	path, beside := desires("interfaces: [{name: bond0, mtu: 1500}]"), desires("interfaces: [{name: br1, mtu: 1500}]")
	refused, orphan := path, path
	refused.NoBootUnit, orphan.Orphan = true, true
	tests := map[string]struct {
		records   []journal.Record
		addresses []netip.Addr
		want      []string
	}{
		"a policy holds the path":                           {[]journal.Record{beside, path}, own, []string{"install"}},
		"a policy that is gone left it":                     {[]journal.Record{orphan}, own, []string{"install"}},
		"its annotation forbids it":                         {[]journal.Record{refused}, own, []string{"remove"}},
		"policies beside the path":                          {[]journal.Record{beside}, own, []string{"remove"}},
		"no policy":                                         {nil, own, []string{"remove"}},
		"no policy, and the node has not its address":       {nil, []netip.Addr{netip.MustParseAddr("192.0.2.9")}, nil},
		"no policy, and the node's addresses are not known": {nil, nil, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			unit := new(bootUnit)
			k := newKeeper(t, kernel.NewModel(parse(t, reachable)), t.TempDir())
			k.records = map[string]journal.Record{}
			for n, r := range test.records {
				k.records[strconv.Itoa(n)] = r
			}
			a := &Agent{keeper: k, cluster: &cluster{}, options: Options{BootUnit: unit}}
			a.cluster.addresses.Store(&test.addresses)
			a.keepBootUnit()
			a.keepBootUnit()
			assert.Equal(t, test.want, unit.did, "once")
		})
	}
}

func TestABootUnitThatCannotBeInstalledIsToldOfOnce(t *testing.T) {
	var told []string
	unit := &bootUnit{fail: errors.New("read-only file system")}
	k := newKeeper(t, kernel.NewModel(parse(t, reachable)), t.TempDir())
	k.records = map[string]journal.Record{"p": {Desired: journal.State(parse(t, "interfaces: [{name: eth2, mtu: 1500}]"))}}
	a := &Agent{keeper: k, cluster: &cluster{}, options: Options{BootUnit: unit, Event: func(_, _, reason, note string) {
		told = append(told, reason+": "+note)
	}}}
	a.keepBootUnit()
	a.keepBootUnit()
	assert.Equal(t, []string{"install", "install"}, unit.did, "it is tried again")
	assert.Equal(t, []string{"BootUnitFailed: read-only file system"}, told)
}

func TestAnEnactmentSaysWhatARebootMeans(t *testing.T) {
	desired := parse(t, "interfaces: [{name: eth2, mtu: 1500}]")
	for name, test := range map[string]struct {
		restored func() (bool, error)
		want     bool
	}{
		"no unit":         {func() (bool, error) { return false, nil }, true},
		"a unit":          {func() (bool, error) { return true, nil }, false},
		"nobody is asked": {nil, false},
		"it is not known": {func() (bool, error) { return false, errNoMemory }, false},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeeper(t, kernel.NewModel(parse(t, reachable)), t.TempDir())
			a := &Agent{keeper: k, cluster: &cluster{}, options: Options{RestoredAtBoot: test.restored, Log: logr.Discard()}}
			note := a.bootNote(desired)
			assert.Equal(t, test.want, note != "", note)
			if test.want {
				assert.Contains(t, note, "the node reaches others by eth2")
			}
			assert.Empty(t, a.bootNote(netstate.State{}))
		})
	}
}
