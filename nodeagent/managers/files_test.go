// SPDX-License-Identifier: Apache-2.0

package managers

import (
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// oddNames are names that the kernel takes and that mean something to a manager.
func oddNames() []string {
	return []string{`!eth1`, `*`, `a,b`, `a;b`, `a\b`, `a\`, `e?h1`, `eth[1]`, `except:eth1`, `~eth1`}
}

func TestLinksWithOddNamesAreKeptFromNetworkManager(t *testing.T) {
	names := oddNames()
	slices.Sort(names)
	f := Files{Root: t.TempDir()}
	require.NoError(t, f.writeUnmanaged(names))
	read, there, err := f.unmanaged()
	require.NoError(t, err)
	assert.True(t, there)
	assert.Equal(t, names, read)
	assert.Contains(t, formatUnmanaged(names), `interface-name:=a\,b;interface-name:=a\;b;interface-name:=a\\;`)
	noted := map[string]letGo{`a;b`: {"u1", ":1.4/3"}, `a,b`: {"u2", ""}, `!eth1`: {"", ":1.4/5"}, `*`: {}}
	require.NoError(t, f.writeReleased(noted))
	released, err := f.released()
	require.NoError(t, err)
	assert.Equal(t, noted, released)
}

func TestLinksWithOddNamesAndNoOthersAreKeptFromNetworkd(t *testing.T) {
	names := oddNames()
	slices.Sort(names)
	f := Files{Root: t.TempDir()}
	for _, name := range names {
		require.NoError(t, f.writeNetwork(name))
		_, rest, found := strings.Cut(formatNetwork(name), "[Match]\nName=")
		require.True(t, found)
		listed, _, _ := strings.Cut(rest, "\n")
		assert.False(t, strings.HasPrefix(listed, "!"), "all but %s", name)
		// systemd takes a backslash off when it splits the list (extract_first_word), and fnmatch(3) the other.
		pattern := unescaped(listed)
		for _, other := range append(oddNames(), "eth1", "eth0", "abc") {
			matches, err := path.Match(pattern, other)
			require.NoError(t, err)
			assert.Equal(t, name == other, matches, "%s is kept, and %s is matched", name, other)
		}
	}
	read, err := f.networks()
	require.NoError(t, err)
	assert.Equal(t, names, read)
}

func TestTheFileOfALinkComesBeforeOthers(t *testing.T) {
	ours := path.Base(networkFile("eth1"))
	for _, theirs := range []string{
		"00-eth1.network", "01-eth1.network", "10-netplan-eth1.network", "20-wired.network", "70-eth1.network",
		"80-ec2.network", "eth1.network", "zz-default.network", "_.network",
	} {
		assert.Less(t, ours, theirs, "networkd takes the first that matches, whatever folder it is in")
	}
}

// unescaped takes one backslash off each escaped byte.
func unescaped(text string) string {
	var out strings.Builder
	for n := 0; n < len(text); n++ {
		if text[n] == '\\' {
			n++
		}
		out.WriteByte(text[n])
	}
	return out.String()
}
