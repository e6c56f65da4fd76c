// SPDX-License-Identifier: Apache-2.0

package image

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/bridgehead-dev/bridgehead/version"
)

// compile builds the programs of the image, statically, and returns their paths. Nothing of this machine and no date
// goes into them.
func compile(ctx context.Context, o Options, platform v1.Platform, dir string) ([]string, error) {
	args := []string{"build", "-trimpath", "-buildvcs=false", "-mod=readonly",
		"-ldflags=-s -w -buildid= " + version.LinkerFlags(o.Version, o.Commit), "-o", dir + string(filepath.Separator),
		"./cmd/bridgehead", "./cmd/bridgehead-agent"}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = o.Source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOOS="+platform.OS, "GOARCH="+platform.Architecture,
		"GOAMD64=v1", "GOARM64=v8.0", "GOPPC64=power8")
	if output, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build for %s: %w\n%s", platform, err, strings.TrimSpace(string(output)))
	}
	return []string{filepath.Join(dir, "bridgehead"), filepath.Join(dir, "bridgehead-agent")}, nil
}

// modulesOf returns the modules that the go command noted in the programs, each once.
func modulesOf(programs []string) (map[string]module, error) {
	modules := map[string]module{}
	for _, path := range programs {
		info, err := buildinfo.ReadFile(path)
		if err != nil {
			return nil, err
		}
		modules["stdlib"] = module{path: "stdlib", version: info.GoVersion}
		for _, d := range info.Deps {
			if d.Replace != nil {
				d = d.Replace
			}
			modules[d.Path] = module{path: d.Path, version: d.Version}
		}
	}
	return modules, nil
}

// A module is one that a program is made of.
type module struct{ path, version string }
