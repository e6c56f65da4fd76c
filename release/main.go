// SPDX-License-Identifier: Apache-2.0

// Command release makes what users of Bridgehead install: the container image, for every platform, its bills of
// materials, and archives for nodes without a registry. It needs the go command and no container daemon.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/pflag"

	"github.com/bridgehead-dev/bridgehead/release/chart"
	"github.com/bridgehead-dev/bridgehead/release/image"
	"github.com/bridgehead-dev/bridgehead/release/install"
)

// Options are what the command line says.
type Options struct {
	// Image is the name of the image, with registry and tag.
	Image string
	// Version is stamped into everything; that of git if empty.
	Version string
	// Dist is the folder to write to.
	Dist string
	// Platforms are as linux/amd64.
	Platforms []string
	// Date is when the source was last changed, in seconds since 1970; that of git's commit if empty.
	Date string
	// Push sends the image to its registry.
	Push bool
	// Manifests is the folder of manifests that install files are made of, with the image; empty for none.
	Manifests string
	// Chart is the folder of the Helm chart to package, with the image; empty for none.
	Chart string
}

func main() {
	var all []string
	for _, p := range image.Platforms() {
		all = append(all, p.String())
	}
	o := Options{Date: os.Getenv("SOURCE_DATE_EPOCH")}
	pflag.StringVar(&o.Image, "image", "bridgehead:dev", "`name` of the image, as registry.example.org/bridgehead:v1.0.0")
	pflag.StringVar(&o.Version, "version", "", "`version` to stamp in (default what git describe says)")
	pflag.StringVar(&o.Dist, "dist", "dist", "`folder` to write to")
	pflag.StringSliceVar(&o.Platforms, "platforms", all, "`platforms` to make the image for")
	pflag.BoolVar(&o.Push, "push", false, "send the image to its registry")
	pflag.StringVar(&o.Manifests, "manifests", "", "`folder` of manifests to make install files of, with the image (default none)")
	pflag.StringVar(&o.Chart, "chart", "", "`folder` of the Helm chart to package, with the image (default none)")
	pflag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1) //nolint:gocritic // nothing is left for the deferred stop to do
	}
}

func run(ctx context.Context, o Options, out io.Writer) error {
	stamp, err := stamped(ctx, o)
	if err != nil {
		return err
	}
	var built []image.Built
	for _, text := range o.Platforms {
		platform, err := v1.ParsePlatform(text)
		if err != nil {
			return fmt.Errorf("--platforms: %w", err)
		}
		b, err := image.Build(ctx, stamp, *platform)
		if err != nil {
			return err
		}
		if err := write(o, b, out); err != nil {
			return err
		}
		built = append(built, b)
	}
	index := image.Index(stamp, built)
	digest, err := image.WriteLayout(filepath.Join(o.Dist, "oci"), index)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: %d platforms, OCI layout\n%s %s\n", filepath.Join(o.Dist, "oci"), len(built), o.Image, digest)
	if err := writeInstall(o, stamp, digest, out); err != nil {
		return err
	}
	if !o.Push {
		return nil
	}
	pushed, err := image.Push(ctx, o.Image, index)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "pushed", pushed)
	return nil
}

// writeInstall writes what users apply, and the chart, if they are wanted.
func writeInstall(o Options, stamp image.Options, digest v1.Hash, out io.Writer) error {
	if o.Manifests == "" && o.Chart == "" {
		return nil
	}
	reference, err := install.Image(o.Image, digest)
	if err != nil {
		return err
	}
	var written []string
	if o.Manifests != "" {
		if written, err = install.Write(o.Manifests, o.Dist, reference); err != nil {
			return err
		}
	}
	if o.Chart != "" {
		release := chart.Release{Version: stamp.Version, Image: reference, Created: stamp.Created}
		path, err := chart.Package(o.Chart, o.Dist, release)
		if err != nil {
			return err
		}
		written = append(written, path)
	}
	for _, path := range written {
		fmt.Fprintln(out, path)
	}
	return nil
}

// write writes the archive and the bill of materials of one platform.
func write(o Options, b image.Built, out io.Writer) error {
	base := filepath.Join(o.Dist, "bridgehead-"+strings.ReplaceAll(b.Platform.String(), "/", "-"))
	if err := image.WriteTarball(base+".tar", o.Image, b.Image); err != nil {
		return err
	}
	info, err := os.Stat(base + ".tar")
	if err != nil {
		return err
	}
	if err := os.WriteFile(base+".spdx.json", b.SBOM, 0o644); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s.tar: %.1f MB\n", base, float64(info.Size())/1e6)
	return nil
}

// stamped returns what is built: version, commit and date, from git where the options do not say.
func stamped(ctx context.Context, o Options) (image.Options, error) {
	stamp := image.Options{Source: ".", Version: o.Version}
	var err error
	if stamp.Version == "" {
		if stamp.Version, err = git(ctx, "describe", "--tags", "--always", "--dirty"); err != nil {
			return stamp, fmt.Errorf("find the version (--version): %w", err)
		}
	}
	if stamp.Commit, err = git(ctx, "rev-parse", "HEAD"); err != nil {
		return stamp, fmt.Errorf("find the commit: %w", err)
	}
	date := o.Date
	if date == "" {
		if date, err = git(ctx, "log", "-1", "--format=%ct"); err != nil {
			return stamp, fmt.Errorf("find the date of the commit: %w", err)
		}
	}
	seconds, err := strconv.ParseInt(date, 10, 64)
	if err != nil {
		return stamp, fmt.Errorf("date of the build (SOURCE_DATE_EPOCH, in seconds): %w", err)
	}
	stamp.Created = time.Unix(seconds, 0)
	return stamp, nil
}

func git(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "git", args...).Output()
	return strings.TrimSpace(string(out)), err
}
