// SPDX-License-Identifier: Apache-2.0

package managers

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

const (
	// interfacesFile and what it sources say what ifupdown configures (interfaces(5)).
	interfacesFile = "/etc/network/interfaces"
	// ifcfgFolder has a file for each link that wicked configures (ifcfg(5)).
	ifcfgFolder = "/etc/sysconfig/network"
	ifcfgPrefix = "ifcfg-"
	// maxIncluded bounds files that source each other.
	maxIncluded = 64
	// connmanFile and dhcpcdFile say which cards are to be left alone (connman.conf(5), dhcpcd.conf(5)).
	connmanFile = "/etc/connman/main.conf"
	dhcpcdFile  = "/etc/dhcpcd.conf"
	// netifrcPrefix begins the service of each link that netifrc configures.
	netifrcPrefix = "net."
	// osRelease says what the host runs (os-release(5)); on many it leads to what the agent's container does not see.
	osRelease = "/etc/os-release"
)

func isCard(i netstate.Interface) bool { return i.Type == netstate.TypeEthernet }

func (f Files) ofNetifrc() (func(netstate.Interface) bool, error) {
	services, err := filepath.Glob(f.at(runlevels) + "/*/" + netifrcPrefix + "*")
	return isNamedBy(services, netifrcPrefix), err
}

// isTalos reports whether the host runs Talos, which configures every card that its own configuration does not ignore.
func (f Files) isTalos() (bool, error) {
	lines, err := f.lines(osRelease)
	return slices.Contains(lines, "ID=talos") || slices.Contains(lines, `ID="talos"`), err
}

// ofConnman: connman takes every card that it was not told to leave alone.
func (f Files) ofConnman() (func(netstate.Interface) bool, error) {
	lines, err := f.lines(connmanFile)
	var prefixes []string
	for _, line := range lines {
		word, value, _ := strings.Cut(line, "=")
		if strings.TrimSpace(word) == "NetworkInterfaceBlacklist" {
			prefixes = listed(value)
		}
	}
	return func(i netstate.Interface) bool {
		return isCard(i) && !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(i.Name, p) })
	}, err
}

// ofDhcpcd: dhcpcd takes every card that it was not told to leave alone, or those it was told to take.
func (f Files) ofDhcpcd() (func(netstate.Interface) bool, error) {
	lines, err := f.lines(dhcpcdFile)
	var denied, allowed []string
	for _, line := range lines {
		switch words := listed(line); {
		case len(words) == 0:
		case words[0] == "denyinterfaces":
			denied = append(denied, words[1:]...)
		case words[0] == "allowinterfaces":
			allowed = append(allowed, words[1:]...)
		}
	}
	return func(i netstate.Interface) bool {
		matches := func(pattern string) bool { is, err := path.Match(pattern, i.Name); return is && err == nil }
		return isCard(i) && !slices.ContainsFunc(denied, matches) &&
			(len(allowed) == 0 || slices.ContainsFunc(allowed, matches))
	}, err
}

// listed returns the words of a list with spaces or commas between them.
func listed(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' })
}

// lines returns those of a file; none if it is not there.
func (f Files) lines(file string) ([]string, error) {
	text, err := os.ReadFile(f.at(file))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return strings.Split(string(text), "\n"), err
}

func (f Files) ofWicked() (func(netstate.Interface) bool, error) {
	files, err := filepath.Glob(f.at(ifcfgFolder) + "/" + ifcfgPrefix + "*")
	if err != nil {
		return nil, err
	}
	return isNamedBy(files, ifcfgPrefix), nil
}

// isNamedBy returns the question whether one of some files is called by a prefix and the name of a link other than lo.
func isNamedBy(files []string, prefix string) func(netstate.Interface) bool {
	return func(i netstate.Interface) bool {
		return i.Name != "lo" && slices.ContainsFunc(files, func(file string) bool {
			return strings.TrimPrefix(filepath.Base(file), prefix) == i.Name
		})
	}
}

func (f Files) ofIfupdown() (func(netstate.Interface) bool, error) {
	names, err := f.stanzas(interfacesFile, maxIncluded)
	if err != nil {
		return nil, err
	}
	return func(i netstate.Interface) bool { return i.Name != "lo" && slices.Contains(names, i.Name) }, nil
}

// stanzas returns the links that a file of ifupdown and those it sources configure. A file that is not there has none.
func (f Files) stanzas(file string, depth int) ([]string, error) {
	if depth == 0 {
		return nil, nil
	}
	lines, err := f.lines(file)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, line := range lines {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "iface":
			names = append(names, words[1])
		case "source", "source-directory":
			more, err := f.sourced(file, words[0], words[1], depth-1)
			if err != nil {
				return nil, err
			}
			names = append(names, more...)
		}
	}
	return names, nil
}

// sourced returns the links of the files that a line of a file names.
func (f Files) sourced(from, how, pattern string, depth int) ([]string, error) {
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(filepath.Dir(from), pattern)
	}
	if how == "source-directory" {
		pattern += "/*"
	}
	files, err := filepath.Glob(f.at(pattern))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.IsDir() {
			continue
		}
		inside, err := filepath.Rel(f.at("/"), file)
		if err != nil {
			return nil, err
		}
		more, err := f.stanzas("/"+inside, depth)
		if err != nil {
			return nil, err
		}
		names = append(names, more...)
	}
	return names, nil
}
