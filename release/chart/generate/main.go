// SPDX-License-Identifier: Apache-2.0

// Command generate writes the templates of the Helm chart that are made of the manifests.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/bridgehead-dev/bridgehead/release/chart"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: generate <folder of manifests> <folder of templates>")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// run replaces the folder, so that a template goes with its object.
func run(manifests, to string) error {
	templates, err := chart.Templates(manifests)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(to); err != nil {
		return fmt.Errorf("remove old templates: %w", err)
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for file, text := range templates {
		if err := os.WriteFile(filepath.Join(to, file), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
