// SPDX-License-Identifier: Apache-2.0

package nodeagent

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/utils/clock"
	"sigs.k8s.io/yaml"

	"github.com/bridgehead-dev/bridgehead/nodeagent/journal"
	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
)

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

func TestTheBootUnitStaysWhileTheJournalCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	_, err := journal.Open(dir)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "policies", "p.json"), []byte("{"), 0o600))
	unit := new(bootUnit)
	k := newKeeper(t, kernel.NewModel(parse(t, reachable)), dir)
	require.Error(t, k.Restore())
	a := &Agent{keeper: k, cluster: &cluster{}, options: Options{BootUnit: unit}}
	a.cluster.addresses.Store(&[]netip.Addr{netip.MustParseAddr("198.51.100.7")})
	a.keepBootUnit()
	assert.Empty(t, unit.did)
}

func TestTheBootUnitIsThereBeforeAPolicyIsApplied(t *testing.T) {
	unit := new(bootUnit)
	k := startKeeper(t, kernel.NewModel(parse(t, reachable)), t.TempDir())
	a := &Agent{keeper: k, cluster: &cluster{}, attempts: map[string]attempt{}, options: Options{
		BootUnit: unit, Log: logr.Discard(), Clock: clock.RealClock{},
		RestoredAtBoot: func() (bool, error) { return true, nil },
	}}
	k.Probe = func(context.Context) func(context.Context) error {
		assert.Equal(t, []string{"install"}, unit.did)
		return func(context.Context) error { return nil }
	}
	p := Policy{Name: "p", Generation: 1, Selected: true}
	require.NoError(t, yaml.Unmarshal([]byte("desiredState: {interfaces: [{name: eth2, mtu: 1400}]}"), &p.Spec))
	require.NoError(t, a.apply(t.Context(), p).Err)
	assert.Equal(t, []string{"install"}, unit.did)
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
