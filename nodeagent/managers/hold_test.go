// SPDX-License-Identifier: Apache-2.0

package managers

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

func TestLinksAreHeld(t *testing.T) {
	tests := map[string]struct {
		runs  netstate.Manager
		holds [][]string
		told  []string
	}{
		"NetworkManager lets go before it reads of it": {netstate.NetworkManager, [][]string{{"eth1", "br1"}},
			[]string{"release eth1", "reload without br1 eth1"}},
		"the same again is nothing": {netstate.NetworkManager, [][]string{{"eth1"}, {"eth1"}},
			[]string{"release eth1", "reload without eth1"}},
		"NetworkManager gets back what is not held any more": {
			netstate.NetworkManager,
			[][]string{{"eth1", "eth2"}, {"eth2"}, nil},
			[]string{
				"release eth1",
				"release eth2",
				"reload without eth1 eth2",
				"reload without eth2",
				"take eth1 u1",
				"reload without ",
				"take eth2",
			},
		},
		"networkd reads of it": {netstate.Networkd, [][]string{{"eth1"}, {"eth1"}}, []string{"reload without eth1"}},
		"networkd gets back what is not held any more": {netstate.Networkd, [][]string{{"eth1", "eth2"}, {"eth2"}},
			[]string{"reload without eth1 eth2", "reload without eth2", "take eth1"}},
		"where no manager runs nobody is told": {"", [][]string{{"eth1"}, nil}, []string{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m, program := node(t, test.runs)
			for _, links := range test.holds {
				require.NoError(t, m.Hold(links))
				held, _, err := m.Files.unmanaged()
				require.NoError(t, err)
				assert.ElementsMatch(t, links, held, "whichever manager starts later")
				held, err = m.Files.networks()
				require.NoError(t, err)
				assert.ElementsMatch(t, links, held, "whichever manager starts later")
			}
			assert.Equal(t, test.told, *program.told)
		})
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	m, _ := node(t, netstate.NetworkManager)
	require.NoError(t, m.Hold([]string{"eth1"}))
	require.NoError(t, m.Hold(nil))
	for _, file := range []string{unmanagedFile, releasedFile, foreignFile, networkFile("eth1")} {
		assert.NoFileExists(t, m.Files.at(file))
	}
}

func TestAManagerThatFailsIsToldAgain(t *testing.T) {
	m, program := node(t, netstate.Networkd)
	program.fails = true
	require.ErrorContains(t, m.Hold([]string{"eth1"}), "have systemd-networkd read its files: it hangs")
	program.fails = false
	require.NoError(t, m.Hold([]string{"eth1"}))
	assert.Equal(t, []string{"reload without eth1", "reload without eth1"}, *program.told)
}

func TestALinkIsGivenBackUntilThatWorks(t *testing.T) {
	m, program := node(t, netstate.NetworkManager)
	require.NoError(t, m.Hold([]string{"eth1"}))
	program.fails = true
	require.ErrorContains(t, m.Hold(nil), "tell NetworkManager of the links that are not its own: it hangs")
	program.fails = false
	require.NoError(t, m.Hold(nil))
	require.NoError(t, m.Hold(nil))
	assert.Equal(t, []string{
		"release eth1", "reload without eth1", "reload without ", "reload without ", "take eth1 u1",
	}, *program.told)
}

func TestAStepThatNobodyUndidIsUndoneByHold(t *testing.T) {
	m, program := node(t, netstate.NetworkManager)
	require.NoError(t, m.Do(netstate.Step{
		Kind: netstate.StepManager, Link: "eth1", From: netstate.Value{Manager: netstate.NetworkManager},
	}))
	delete(program.devices, "eth2")
	again := &Managers{Files: m.Files, NetworkManager: m.NetworkManager, Networkd: m.Networkd}
	require.NoError(t, again.Hold(nil))
	assert.Equal(t, []string{"release eth1", "reload without ", "take eth1 u1"}, *program.told)
	assert.NoFileExists(t, m.Files.at(releasedFile))
}

func TestWhatAManagerShowsThoughItReadsOfItIsReleased(t *testing.T) {
	m, program := node(t, netstate.NetworkManager)
	program.devices = map[string]Device{"br1": {Shown: true}, "eth1": {Shown: true}, "eth2": {Shown: true}}
	program.deaf = true // a file below /etc counts instead of ours
	require.NoError(t, m.Hold([]string{"br1", "eth1"}))
	require.NoError(t, m.Hold([]string{"br1", "eth1"}))
	program.devices["br1"] = Device{Shown: true} // people have it managed again
	require.NoError(t, m.Hold([]string{"br1", "eth1"}))
	assert.Equal(t, []string{"reload without br1 eth1", "release br1", "release eth1"}, *program.told, "each once")
	require.NoError(t, m.Hold([]string{"br1"}))
	assert.Equal(t, []string{"reload without br1", "take eth1"}, (*program.told)[3:])
}

func TestALinkThatIsMadeAgainIsReleasedAgain(t *testing.T) {
	m, program := node(t, netstate.NetworkManager)
	program.devices = map[string]Device{"br1": {Shown: true, ID: ":1.4/3"}}
	program.deaf = true // a file below /etc counts instead of ours
	hold := func(id string) {
		program.devices["br1"] = Device{Shown: true, ID: id}
		require.NoError(t, m.Hold([]string{"br1"}))
	}
	hold(":1.4/3")
	hold(":1.4/3")
	hold(":1.4/3")
	assert.Equal(t, []string{"reload without br1", "release br1"}, *program.told)
	hold(":1.4/4")
	hold(":1.4/4")
	assert.Equal(t, []string{"release br1"}, (*program.told)[2:], "somebody deleted it, and it was made again")
	hold(":1.9/4")
	assert.Equal(t, []string{"release br1"}, (*program.told)[3:], "NetworkManager crashed, and does not remember")
}

func TestALinkThatWasRenamedIsGivenBackByItsNewName(t *testing.T) {
	m, program := node(t, netstate.NetworkManager)
	for name, id := range map[string]string{"eth1": ":1.4/3", "eth2": ":1.4/4"} {
		d := program.devices[name]
		d.ID = id
		program.devices[name] = d
	}
	require.NoError(t, m.Hold([]string{"eth1", "eth2"}))
	program.devices = map[string]Device{"ens1": {ID: ":1.4/3"}, "eth1": {ID: ":1.4/4"}} // eth2 is eth1 now
	require.NoError(t, m.Hold([]string{"ens1", "eth1"}))
	require.NoError(t, m.Hold(nil))
	assert.Equal(t, []string{"take ens1 u1", "take eth1"}, (*program.told)[len(*program.told)-2:])
	assert.NoFileExists(t, m.Files.at(releasedFile))
}

func TestLinksAreKnownByTheirNamesToAnotherProcessOfNetworkManager(t *testing.T) {
	released := map[string]letGo{"eth1": {"u1", ":1.4/3"}, "eth2": {"u2", ""}, "eth3": {"u3", ":1.4/5"}}
	devices := map[string]Device{"eth1": {ID: ":1.9/4"}, "eth2": {ID: ":1.9/3"}, "br1": {}}
	assert.Equal(t, map[string]letGo{
		"eth1": {"u1", ":1.9/4"}, "eth2": {"u2", ":1.9/3"}, "eth3": {"u3", ":1.4/5"},
	}, nowCalled(released, devices))
}

func TestALinkThatTakesTheNameOfOneThatWentIsItself(t *testing.T) {
	released := map[string]letGo{"eth1": {"u1", ":1.4/3"}, "eth2": {"u2", ":1.4/4"}}
	for range 20 {
		require.Equal(t, map[string]letGo{"eth2": {"u1", ":1.4/3"}},
			nowCalled(released, map[string]Device{"eth2": {ID: ":1.4/3"}}), "whichever is looked at first")
	}
}

func TestWhatIsHeldIsKnownByItsFiles(t *testing.T) {
	for _, runs := range []netstate.Manager{"", netstate.NetworkManager, netstate.Networkd} {
		m, _ := node(t, runs)
		held, err := m.Held()
		require.NoError(t, err)
		assert.Empty(t, held)
		require.NoError(t, m.Hold([]string{"eth1", "br1"}))
		held, err = again(m).Held()
		require.NoError(t, err)
		assert.Equal(t, []string{"br1", "eth1"}, held, runs)
	}
	m, _ := node(t, netstate.NetworkManager)
	require.NoError(t, m.Do(takeOver("eth2")))
	held, err := m.Held()
	require.NoError(t, err)
	assert.Equal(t, []string{"eth2"}, held, "as in the middle of a change")
}

// again returns what a process that starts has of a node's managers.
func again(m *Managers) *Managers {
	return &Managers{Files: m.Files, NetworkManager: m.NetworkManager, Networkd: m.Networkd}
}

func TestAnAgentWithNothingToHoldTellsNobody(t *testing.T) {
	for _, runs := range []netstate.Manager{netstate.NetworkManager, netstate.Networkd} {
		m, program := node(t, runs)
		require.NoError(t, m.Hold(nil))
		require.NoError(t, m.Hold(nil))
		assert.Empty(t, *program.told, "people may be in the middle of something")
	}
}

func TestAnAgentThatDiedBeforeAManagerReadItsFilesTellsItAgain(t *testing.T) {
	for _, runs := range []netstate.Manager{netstate.NetworkManager, netstate.Networkd} {
		t.Run(string(runs), func(t *testing.T) {
			m, _ := node(t, "")
			require.NoError(t, m.Hold([]string{"eth1"}), "as at boot, before a manager starts")
			running, program := node(t, runs)
			program.files, running.Files = m.Files, m.Files
			program.devices["eth1"], program.fails = Device{}, true
			require.Error(t, running.Hold(nil), "it dies here")
			program.fails = false
			require.NoError(t, again(running).Hold(nil))
			assert.Equal(t, []string{"reload without ", "reload without "}, *program.told)
			for _, file := range []string{unmanagedFile, releasedFile, foreignFile, networkFile("eth1")} {
				assert.NoFileExists(t, m.Files.at(file))
			}
			require.NoError(t, again(running).Hold(nil))
			assert.Len(t, *program.told, 2, "once it has read them there is nothing to be told")
		})
	}
}

// gone has a manager end when it is asked next, and another process of it run then, or none.
func gone(m *Managers, program *model, next *model) {
	find := func() (Program, error) {
		switch {
		case !program.ended:
			return program, nil
		case next == nil:
			return nil, nil
		}
		return next, nil
	}
	program.ends = true
	if program.manager == netstate.Networkd {
		m.Networkd = find
	} else {
		m.NetworkManager = find
	}
}

func TestAManagerThatEndsMeanwhileHasNothingToBeTold(t *testing.T) {
	for _, runs := range []netstate.Manager{netstate.NetworkManager, netstate.Networkd} {
		t.Run(string(runs), func(t *testing.T) {
			step := netstate.Step{Kind: netstate.StepManager, Link: "eth1", From: netstate.Value{Manager: runs}}
			for name, do := range map[string]func(m *Managers) error{
				"read":      func(m *Managers) error { _, err := m.Read(netstate.State{}); return err },
				"take over": func(m *Managers) error { return m.Do(step) },
				"give back": func(m *Managers) error { return m.Do(step.Inverse()) },
				"hold":      func(m *Managers) error { return m.Hold([]string{"eth1"}) },
			} {
				m, program := node(t, runs)
				gone(m, program, nil)
				require.NoError(t, do(m), name)
			}
			m, program := node(t, runs)
			gone(m, program, nil)
			require.NoError(t, m.Hold([]string{"eth1"}))
			assert.FileExists(t, m.Files.at(unmanagedFile), "it finds this when it is started again")
			assert.FileExists(t, m.Files.at(networkFile("eth1")))
		})
	}
}

func TestAManagerThatIsRestartedMeanwhileIsToldAnew(t *testing.T) {
	for _, runs := range []netstate.Manager{netstate.NetworkManager, netstate.Networkd} {
		t.Run(string(runs), func(t *testing.T) {
			m, program := node(t, runs)
			_, next := node(t, runs)
			next.files = m.Files
			gone(m, program, next)
			step := netstate.Step{Kind: netstate.StepManager, Link: "eth1", From: netstate.Value{Manager: runs}}
			require.NoError(t, m.Do(step))
			assert.Equal(t, []string{"release eth1"}, *next.told)
			require.NoError(t, m.Do(step.Inverse()))
			require.NoError(t, m.Hold(nil))
			assert.Contains(t, [][]string{
				{"release eth1", "take eth1 u1"}, {"release eth1", "reload without "},
			}, *next.told)
		})
	}
}
