// SPDX-License-Identifier: Apache-2.0

package managers

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The files we write, as the host names them. All are below /run: a boot without us is a boot without them.
const (
	// unmanagedFile tells NetworkManager of links (NetworkManager.conf(5), unmanaged-devices).
	unmanagedFile = "/run/NetworkManager/conf.d/95-bridgehead.conf"
	// releasedFile notes, one a line, the links that NetworkManager was told to let go of, each with the UUID of the
	// profile it had, if any, and its ID. NetworkManager reads no file with such a name.
	releasedFile = "/run/NetworkManager/conf.d/95-bridgehead.released"
	// networkFolder has a file for each link (systemd.network(5)), whose name comes before any other: the first file that
	// matches a link counts.
	networkFolder = "/run/systemd/network"
	networkPrefix = "0-bridgehead-"
	networkSuffix = ".network"
	// foreignFile has networkd leave routes and rules that are not its own (networkd.conf(5)). It is read when networkd
	// starts, and that is when networkd removes them. It is there from before the first link is taken over until the last
	// one is given back, and so says that there may be something to give back.
	foreignFile = "/run/systemd/networkd.conf.d/95-bridgehead.conf"
)

const (
	note       = "# Written by bridgehead-agent while policies need it.\n"
	foreign    = note + "[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no\n"
	unmanaging = "unmanaged-devices+="
	exactly    = "interface-name:="
)

// Files are the files that keep links from managers.
type Files struct {
	// Root is the folder in which the host's files are found, "" for /.
	Root string
}

func (f Files) at(path string) string { return filepath.Join(f.Root, path) }

// formatUnmanaged returns the drop-in of NetworkManager for links. For none it says nothing.
func formatUnmanaged(links []string) string {
	if len(links) == 0 {
		return note
	}
	escape := strings.NewReplacer(`\`, `\\`, ";", `\;`, ",", `\,`) // as NetworkManager splits a list of devices
	devices := make([]string, len(links))
	for n, link := range links {
		devices[n] = exactly + escape.Replace(link)
	}
	return note + "[keyfile]\n" + unmanaging + strings.Join(devices, ";") + "\n"
}

// parseUnmanaged returns the links of a drop-in.
func parseUnmanaged(text string) []string {
	var links []string
	for line := range strings.Lines(text) {
		devices, found := strings.CutPrefix(strings.TrimSuffix(line, "\n"), unmanaging)
		for found && devices != "" {
			var device string
			device, devices = cutDevice(devices)
			links = append(links, strings.TrimPrefix(device, exactly))
		}
	}
	return links
}

// cutDevice returns the first device of a list without its escapes, and the rest of the list.
func cutDevice(list string) (device, rest string) {
	var text strings.Builder
	for n := 0; n < len(list); n++ {
		switch {
		case list[n] == ';':
			return text.String(), list[n+1:]
		case list[n] == '\\' && n+1 < len(list):
			n++
		}
		text.WriteByte(list[n])
	}
	return text.String(), ""
}

// formatNetwork returns the file of a link for networkd. Its name is a pattern there, and a backslash counts in the
// list of patterns before it does in the pattern.
func formatNetwork(link string) string {
	escape := strings.NewReplacer(`\`, `\\\\`, "*", `\\*`, "?", `\\?`, "[", `\\[`, "!", `\\!`)
	return note + "[Match]\nName=" + escape.Replace(link) + "\n\n[Link]\nUnmanaged=yes\n"
}

// unmanaged returns the links that are kept from NetworkManager, sorted, and whether there is a drop-in: one without
// links is there until NetworkManager has read it.
func (f Files) unmanaged() (links []string, there bool, err error) {
	text, err := os.ReadFile(f.at(unmanagedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read which links are kept from NetworkManager: %w", err)
	}
	return slices.Sorted(slices.Values(parseUnmanaged(string(text)))), true, nil
}

func (f Files) writeUnmanaged(links []string) error {
	return f.put(unmanagedFile, formatUnmanaged(links))
}

func (f Files) removeUnmanaged() error { return f.put(unmanagedFile, "") }

// A letGo is what is noted of a link that NetworkManager was told to let go of: the UUID of the profile it had and its
// ID, each "" for none.
type letGo struct{ uuid, id string }

// none stands for a UUID that is not.
const none = "-"

// released returns what is noted of the links that NetworkManager was told to let go of.
func (f Files) released() (map[string]letGo, error) {
	links := map[string]letGo{}
	text, err := os.ReadFile(f.at(releasedFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read which links NetworkManager was told to let go of: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		link, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		uuid, id, _ := strings.Cut(rest, " ")
		if uuid == none {
			uuid = ""
		}
		links[link] = letGo{uuid, id}
	}
	return links, nil
}

func (f Files) writeReleased(links map[string]letGo) error {
	var text strings.Builder
	for _, link := range slices.Sorted(maps.Keys(links)) {
		noted := links[link]
		text.WriteString(strings.TrimSpace(link+" "+cmp.Or(noted.uuid, none)+" "+noted.id) + "\n")
	}
	return f.put(releasedFile, text.String())
}

// networks returns the links that are kept from networkd, sorted.
func (f Files) networks() ([]string, error) {
	files, err := filepath.Glob(f.at(networkFolder) + "/" + networkPrefix + "*" + networkSuffix)
	if err != nil {
		return nil, fmt.Errorf("read which links are kept from systemd-networkd: %w", err)
	}
	var links []string
	for _, file := range files {
		name := strings.TrimPrefix(filepath.Base(file), networkPrefix)
		links = append(links, strings.TrimSuffix(name, networkSuffix))
	}
	return slices.Sorted(slices.Values(links)), nil
}

func networkFile(link string) string {
	return networkFolder + "/" + networkPrefix + link + networkSuffix
}

func (f Files) writeNetwork(link string) error { return f.put(networkFile(link), formatNetwork(link)) }

func (f Files) removeNetwork(link string) error { return f.put(networkFile(link), "") }

func (f Files) writeForeign() error { return f.put(foreignFile, foreign) }

func (f Files) removeForeign() error { return f.put(foreignFile, "") }

// hasForeign reports whether the file is there.
func (f Files) hasForeign() (bool, error) {
	_, err := os.Stat(f.at(foreignFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read whether links are kept from systemd-networkd: %w", err)
	}
	return true, nil
}

// put makes a file be there whole with a text, or, for an empty text, not be there. The file is everybody's to read.
func (f Files) put(path, text string) error {
	if text == "" {
		if err := os.Remove(f.at(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("give links back to their managers: %w", err)
		}
		return nil
	}
	err := os.MkdirAll(filepath.Dir(f.at(path)), 0o755)
	next := filepath.Join(filepath.Dir(f.at(path)), "."+filepath.Base(path)+".new")
	if err == nil {
		err = os.WriteFile(next, []byte(text), 0o644)
	}
	if err == nil {
		err = os.Rename(next, f.at(path))
	}
	if err != nil {
		return fmt.Errorf("keep links from their managers: %w", err)
	}
	return nil
}
