// SPDX-License-Identifier: Apache-2.0

package resolver

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

func servers(list ...string) netstate.DNSConfig { return netstate.DNSConfig{Server: list} }

func TestMerge(t *testing.T) {
	tests := map[string]struct{ static, leased, want netstate.DNSConfig }{
		"nothing is nothing":      {},
		"configured servers only": {static: servers("192.0.2.1"), want: servers("192.0.2.1")},
		"leased servers only":     {leased: servers("192.0.2.2"), want: servers("192.0.2.2")},
		"configured ones come first": {
			static: servers("192.0.2.1"), leased: servers("192.0.2.2"), want: servers("192.0.2.1", "192.0.2.2"),
		},
		"each comes once": {
			static: servers("192.0.2.1", "192.0.2.2"), leased: servers("192.0.2.3", "192.0.2.1"),
			want: servers("192.0.2.1", "192.0.2.2", "192.0.2.3"),
		},
		"every list on its own": {
			static: netstate.DNSConfig{Search: []string{"a.example"}, Options: []string{"rotate"}},
			leased: netstate.DNSConfig{Search: []string{"b.example"}, Server: []string{"192.0.2.2"}},
			want: netstate.DNSConfig{
				Search: []string{"a.example", "b.example"}, Server: []string{"192.0.2.2"}, Options: []string{"rotate"},
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { assert.Equal(t, test.want, Merge(test.static, test.leased)) })
	}
}

func TestFormatAndParse(t *testing.T) {
	static := netstate.DNSConfig{
		Search: []string{"a.example"}, Server: []string{"192.0.2.1", "fe80::1%eth1"}, Options: []string{"rotate", "ndots:2"},
	}
	leased := netstate.DNSConfig{Search: []string{"b.example"}, Server: []string{"192.0.2.2"}}
	text := Format(static, leased)
	assert.Equal(t, `# Written by bridgehead, which writes it again when a policy or a lease changes.
# config: {"search":["a.example"],"server":["192.0.2.1","fe80::1%eth1"],"options":["rotate","ndots:2"]}
search a.example b.example
nameserver 192.0.2.1
nameserver fe80::1%eth1
nameserver 192.0.2.2
options rotate ndots:2
`, text)
	dns := Parse(text)
	assert.Equal(t, Merge(static, leased), *dns.Running)
	assert.Equal(t, static, *dns.Config, "what was leased is not configured")
}

func TestParse(t *testing.T) {
	none := []string{}
	nothing := netstate.DNSConfig{Search: none, Server: none, Options: none}
	only := func(server string) netstate.DNSConfig {
		return netstate.DNSConfig{Search: none, Server: []string{server}, Options: none}
	}
	byHand := netstate.DNSConfig{
		Search: []string{"a.example", "b.example"}, Server: []string{"192.0.2.1"}, Options: []string{"rotate", "edns0"},
	}
	const handMade = "# by hand\ndomain old.example\nsearch a.example b.example\n\n" +
		"nameserver 192.0.2.1\nnameserver\noptions rotate\noptions edns0\nsortlist 1\n"
	tests := map[string]struct {
		text            string
		running, config netstate.DNSConfig
	}{
		"an empty file": {"", nothing, nothing},
		"everything in a file that is not ours is configured": {handMade, byHand, byHand},
		"nothing in a file of leased servers is": {
			Format(netstate.DNSConfig{}, servers("192.0.2.2")), only("192.0.2.2"), nothing,
		},
		"a file of ours that somebody edited is all configured": {
			marker + "\nnameserver 192.0.2.3\n", only("192.0.2.3"), only("192.0.2.3"),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dns := Parse(test.text)
			assert.Equal(t, test.running, *dns.Running)
			assert.Equal(t, test.config, *dns.Config)
		})
	}
}

// found returns a resolver configuration as a node may have it; an empty text is no file.
func found(t *testing.T, text string) File {
	folder := t.TempDir()
	f := File{Path: filepath.Join(folder, "etc", "resolv.conf"), Original: filepath.Join(folder, "state", "resolv.conf")}
	require.NoError(t, os.Mkdir(filepath.Dir(f.Path), 0o755))
	if text != "" {
		require.NoError(t, os.WriteFile(f.Path, []byte(text), 0o600))
	}
	return f
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := read(path)
	require.NoError(t, err)
	return text
}

func TestAFileIsTakenOverAndPutBack(t *testing.T) {
	const original = "nameserver 203.0.113.53\n"
	f := found(t, original)
	require.NoError(t, f.Write(netstate.DNSConfig{}, netstate.DNSConfig{}))
	assert.Equal(t, original, content(t, f.Path), "nothing to say")

	require.NoError(t, f.Write(servers("192.0.2.1"), netstate.DNSConfig{}))
	assert.Equal(t, Format(servers("192.0.2.1"), netstate.DNSConfig{}), content(t, f.Path))
	info, err := os.Stat(f.Path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o644), info.Mode().Perm(), "every program may read it")

	require.NoError(t, f.Write(servers("192.0.2.1"), servers("192.0.2.2")))
	assert.Equal(t, Format(servers("192.0.2.1"), servers("192.0.2.2")), content(t, f.Path))
	assert.Equal(t, original, content(t, f.Original), "our own file is not an original")
	before, err := os.Stat(f.Path)
	require.NoError(t, err)
	require.NoError(t, f.Write(servers("192.0.2.1"), servers("192.0.2.2")))
	after, err := os.Stat(f.Path)
	require.NoError(t, err)
	assert.True(t, os.SameFile(before, after), "the same again writes nothing")

	require.NoError(t, f.Write(netstate.DNSConfig{}, netstate.DNSConfig{}))
	assert.Equal(t, original, content(t, f.Path))
	left, err := filepath.Glob(filepath.Join(filepath.Dir(f.Path), "*"))
	require.NoError(t, err)
	assert.Equal(t, []string{f.Path}, left, "no traces")
}

func TestALeaseTakesNoNameServersAway(t *testing.T) {
	f := found(t, "search a.example\nnameserver 203.0.113.53\n")
	require.NoError(t, f.Write(netstate.DNSConfig{}, servers("192.0.2.2")))
	dns, err := f.Read()
	require.NoError(t, err)
	assert.Equal(t, []string{"203.0.113.53", "192.0.2.2"}, dns.Running.Server)
	assert.Equal(t, []string{"203.0.113.53"}, dns.Config.Server, "what was there before counts as configured")
	assert.Equal(t, []string{"a.example"}, dns.Running.Search)
	require.NoError(t, f.Write(servers("192.0.2.1"), servers("192.0.2.2")), "unless something else is configured")
	dns, err = f.Read()
	require.NoError(t, err)
	assert.Equal(t, []string{"192.0.2.1", "192.0.2.2"}, dns.Running.Server)
}

func TestWithoutAFileOneIsMade(t *testing.T) {
	f := found(t, "")
	require.NoError(t, f.Write(netstate.DNSConfig{}, servers("192.0.2.2")))
	dns, err := f.Read()
	require.NoError(t, err)
	assert.Equal(t, []string{"192.0.2.2"}, dns.Running.Server)
	assert.Empty(t, dns.Config.Server)
}

func TestAFileThatAnotherProgramKeepsIsNotTouched(t *testing.T) {
	tests := map[string]struct{ target, text, want string }{
		"a link to systemd-resolved": {
			target: "../run/systemd/resolve/stub-resolv.conf",
			want: ", a link to ../run/systemd/resolve/stub-resolv.conf, is managed by systemd-resolved" +
				": configure DNS there, or make it a plain file of its own",
		},
		"a link to somebody": {
			target: "/opt/dns.conf",
			want:   ", a link to /opt/dns.conf, is managed by another program: configure DNS there, or make it a plain file",
		},
		"a file of NetworkManager": {
			text: "# Generated by NetworkManager\nnameserver 203.0.113.53\n",
			want: " is managed by NetworkManager: configure DNS there, or make it a plain file of its own",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := found(t, test.text)
			if test.target != "" {
				require.NoError(t, os.Symlink(test.target, f.Path))
			}
			require.NoError(t, f.Write(netstate.DNSConfig{}, netstate.DNSConfig{}), "nothing to say, nothing to refuse")
			err := f.Write(servers("192.0.2.1"), netstate.DNSConfig{})
			var kept *KeptError
			require.ErrorAs(t, err, &kept)
			require.EqualError(t, err, f.Path+test.want)
			assert.Equal(t, test.text, content(t, f.Path))
		})
	}
}

func TestLinksAreFollowedAsTheHostWould(t *testing.T) {
	tests := map[string]string{
		"relative, out of /etc": "../run/systemd/resolve/stub-resolv.conf",
		"absolute":              "/run/systemd/resolve/stub-resolv.conf",
		"over another link":     "/etc/other",
		"through a folder that is an absolute link":             "/etc/resolve/stub-resolv.conf",
		"through /var/run, which a container has not":           "/var/run/systemd/resolve/stub-resolv.conf",
		"through /var/run, which a container has not, relative": "../var/run/systemd/resolve/stub-resolv.conf",
	}
	for name, target := range tests {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			require.NoError(t, os.MkdirAll(filepath.Join(root, "etc"), 0o755))
			require.NoError(t, os.MkdirAll(filepath.Join(root, "run/systemd/resolve"), 0o755))
			stub := filepath.Join(root, "run/systemd/resolve/stub-resolv.conf")
			require.NoError(t, os.WriteFile(stub, []byte("nameserver 127.0.0.53\n"), 0o600))
			require.NoError(t, os.Symlink("../run/systemd/resolve/stub-resolv.conf", filepath.Join(root, "etc/other")))
			require.NoError(t, os.Symlink("/run/systemd/resolve", filepath.Join(root, "etc/resolve")))
			require.NoError(t, os.Symlink(target, filepath.Join(root, "etc/resolv.conf")))
			f := File{Root: root, Path: "/etc/resolv.conf", Original: filepath.Join(root, "original")}
			dns, err := f.Read()
			require.NoError(t, err)
			assert.Equal(t, []string{"127.0.0.53"}, dns.Running.Server)
			var kept *KeptError
			require.ErrorAs(t, f.Write(servers("192.0.2.1"), netstate.DNSConfig{}), &kept)
			assert.Equal(t, "/etc/resolv.conf", kept.Path, "people know the file by the host's name of it")
		})
	}
}
