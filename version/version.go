// SPDX-License-Identifier: Apache-2.0

// Package version says which build of Bridgehead this is: one stamp for --version, for the metric
// bridgehead_build_info, for the labels of the image and for NodeNetworkStates.
package version

import (
	"cmp"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
)

// What the linker sets: see LinkerFlags.
var stamp, commit string //nolint:gochecknoglobals // the linker sets nothing else

// LinkerFlags returns the flags that stamp a program with a version, as v1.2.3, and the commit it is built from.
func LinkerFlags(version, commit string) string {
	const pkg = "github.com/bridgehead-dev/bridgehead/version"
	return "-X " + pkg + ".stamp=" + version + " -X " + pkg + ".commit=" + commit
}

// String returns the version that was stamped in. A program that was built without a stamp is a "dev" build, with the
// commit it was built from if the go command noted it.
func String() string {
	if stamp != "" {
		return stamp
	}
	if r := revision(); r != "" {
		return "dev-" + r[:min(len(r), 12)]
	}
	return "dev"
}

// Line returns what --version prints: program, version, Go version and platform.
func Line(program string) string {
	return program + " " + String() + " (" + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH + ")"
}

// Metric returns bridgehead_build_info, which is always 1 and says in its labels what runs.
func Metric() prometheus.Collector {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "bridgehead_build_info",
		Help: "Always 1. The labels say which version runs, the commit it was built from, and with which Go.",
		ConstLabels: prometheus.Labels{
			"version": String(), "revision": cmp.Or(revision(), "unknown"), "goversion": runtime.Version(),
		},
	})
	info.Set(1)
	return info
}

// revision returns the commit that was stamped in, else the one that the go command noted; empty if neither was.
func revision() string {
	if commit != "" {
		return commit
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}
