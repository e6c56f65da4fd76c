// SPDX-License-Identifier: Apache-2.0

package bootunit

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// host returns one with systemd, and a program to install.
func host(t *testing.T) (h Host, reloads *int) {
	t.Helper()
	h.Root, reloads = t.TempDir(), new(int)
	h.Program = filepath.Join(t.TempDir(), "program")
	require.NoError(t, os.WriteFile(h.Program, []byte("version 1"), 0o600))
	require.NoError(t, os.MkdirAll(filepath.Dir(h.at(unitFile)), 0o755))
	h.Enabled = func() (bool, error) { return false, nil }
	h.Reload = func() error {
		*reloads++
		return nil
	}
	return h, reloads
}

// files returns the files below the root, as the host names them.
func files(t *testing.T, h Host) []string {
	t.Helper()
	var found []string
	require.NoError(t, filepath.WalkDir(h.Root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			found = append(found, strings.TrimPrefix(path, h.Root))
		}
		return err
	}))
	return found
}

func TestTheUnitIsInstalledOnceAndRemovedWhole(t *testing.T) {
	h, reloads := host(t)
	require.NoError(t, h.Install())
	assert.ElementsMatch(t, []string{unitFile, wantFile, programFile}, files(t, h))
	target, err := os.Readlink(h.at(wantFile))
	require.NoError(t, err)
	assert.Equal(t, unitFile, target, "as the host names it")
	info, err := os.Stat(h.at(programFile))
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o755), info.Mode())

	require.NoError(t, h.Install())
	assert.Equal(t, 1, *reloads, "the second time there is nothing to do")

	require.NoError(t, h.Remove())
	assert.Empty(t, files(t, h))
	assert.Equal(t, 2, *reloads)
	require.NoError(t, h.Remove())
	assert.Equal(t, 2, *reloads)
}

func TestWhatChangedIsInstalledAgain(t *testing.T) {
	for name, change := range map[string]func(*testing.T, Host){
		"the program": func(t *testing.T, h Host) {
			require.NoError(t, os.WriteFile(h.Program, []byte("version 2"), 0o600))
		},
		"the unit": func(t *testing.T, h Host) {
			require.NoError(t, os.WriteFile(h.at(unitFile), []byte(mark+"[Unit]\n"), 0o600))
		},
		"a program that somebody removed": func(t *testing.T, h Host) { require.NoError(t, os.Remove(h.at(programFile))) },
		"a program that may not be run":   func(t *testing.T, h Host) { require.NoError(t, os.Chmod(h.at(programFile), 0o644)) },
		"a unit that was disabled":        func(t *testing.T, h Host) { require.NoError(t, os.Remove(h.at(wantFile))) },
		"what a crash left of an installation": func(t *testing.T, h Host) {
			require.NoError(t, errors.Join(os.Remove(h.at(wantFile)), os.Remove(h.at(programFile))))
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, reloads := host(t)
			require.NoError(t, h.Install())
			change(t, h)
			require.NoError(t, h.Install())
			assert.Equal(t, 2, *reloads)
			program, err := os.ReadFile(h.at(programFile))
			require.NoError(t, err)
			want, err := os.ReadFile(h.Program)
			require.NoError(t, err)
			assert.Equal(t, want, program)
			unit, err := os.ReadFile(h.at(unitFile))
			require.NoError(t, err)
			assert.Equal(t, ownText(), string(unit))
			target, err := os.Readlink(h.at(wantFile))
			require.NoError(t, err)
			assert.Equal(t, unitFile, target)
		})
	}
}

func TestAUnitOfPeopleIsTheirs(t *testing.T) {
	for name, put := range map[string]func(*testing.T, *Host) []string{
		"a file": func(t *testing.T, h *Host) []string {
			require.NoError(t, os.WriteFile(h.at(unitFile), []byte(Text), 0o600))
			return []string{unitFile}
		},
		"a link to what the container does not see": func(t *testing.T, h *Host) []string {
			require.NoError(t, os.Symlink("/opt/site/"+Name, h.at(unitFile)))
			return []string{unitFile}
		},
		"one of a package": func(_ *testing.T, h *Host) []string {
			h.Enabled = func() (bool, error) { return true, nil }
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, reloads := host(t)
			want := put(t, &h)
			require.NoError(t, h.Install())
			require.NoError(t, h.Remove())
			assert.Equal(t, want, files(t, h))
			assert.Zero(t, *reloads)
		})
	}
}

func TestAProgramOfPeopleIsTheirs(t *testing.T) {
	h, _ := host(t)
	require.NoError(t, os.MkdirAll(filepath.Dir(h.at(handProgram)), 0o755))
	require.NoError(t, os.WriteFile(h.at(handProgram), []byte("theirs"), 0o600))
	require.NoError(t, h.Install())
	require.NoError(t, h.Remove())
	assert.Equal(t, []string{handProgram}, files(t, h))
}

func TestAHostThatCannotBeWrittenSaysSo(t *testing.T) {
	h, _ := host(t)
	require.NoError(t, os.RemoveAll(filepath.Dir(h.at(unitFile))))
	require.ErrorContains(t, h.Install(), "install bridgehead-restore.service on the host: ")
	assert.Empty(t, files(t, h), "nothing half done")
	h, _ = host(t)
	h.Enabled = func() (bool, error) { return false, nil }
	h.Reload = func() error { return errors.New("it hangs") }
	require.ErrorContains(t, h.Install(), "it hangs")
}

func TestTheDocumentationShowsTheUnit(t *testing.T) {
	text, err := os.ReadFile("../../docs/boot.md")
	require.NoError(t, err)
	assert.Contains(t, string(text), "```ini\n# "+unitFile+"\n"+Text+"```\n")
}

func TestTheUnitComesAfterWhoRenamesNICsAndBeforeWhoUsesThem(t *testing.T) {
	order := map[string][]string{}
	for line := range strings.Lines(Text) {
		word, units, _ := strings.Cut(strings.TrimSpace(line), "=")
		order[word] = append(order[word], strings.Fields(units)...)
	}
	assert.Subset(t, order["After"], []string{"systemd-udev-trigger.service", "cloud-init-local.service"})
	assert.Subset(t, order["Before"], []string{
		"network-pre.target", "NetworkManager.service", "systemd-networkd.service", "network-online.target", "kubelet.service",
	})
}

func TestFilesForHostsHaveTheUnitAndItsProgram(t *testing.T) {
	var cloudInit struct {
		WriteFiles []struct{ Path, Content string } `json:"write_files"`
		RunCmd     []string                         `json:"runcmd"`
	}
	readHostFile(t, "cloud-init.yaml", &cloudInit)
	require.Len(t, cloudInit.WriteFiles, 1)
	assert.Equal(t, unitFile, cloudInit.WriteFiles[0].Path)
	assert.Equal(t, Text, cloudInit.WriteFiles[0].Content)
	assert.Contains(t, strings.Join(cloudInit.RunCmd, "\n"), "/usr/local/bin/bridgehead-agent "+handProgram)
	assert.Contains(t, cloudInit.RunCmd, "systemctl enable "+Name)

	type unit struct {
		Name, Contents string
		Enabled        bool
	}
	var machineConfig struct {
		Spec struct {
			Config struct{ Systemd struct{ Units []unit } }
		}
	}
	readHostFile(t, "machine-config.yaml", &machineConfig)
	units := machineConfig.Spec.Config.Systemd.Units
	require.Len(t, units, 2)
	assert.Contains(t, units[0].Contents, "podman cp bridgehead-program:/usr/local/bin/bridgehead-agent "+handProgram+"\n")
	assert.Equal(t, unit{Name: Name, Contents: Text, Enabled: true}, units[1])
}

// readHostFile reads one of the files from which hosts are made.
func readHostFile(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs/hosts", name))
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, into))
}
