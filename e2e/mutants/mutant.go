// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

// A Mutant is one change that makes the code wrong.
type Mutant struct {
	// Name says what is wrong then, as a sentence.
	Name string `json:"name"`
	// File is the path of the file, from the root of the module.
	File string `json:"file"`
	// Old stands once in the file, and New in its place.
	Old string `json:"old"`
	New string `json:"new"`
	// Tests are the packages whose tests must notice, as the go command names them. They are those of the folder that
	// the list is for, and below it, if none are named.
	Tests []string `json:"tests,omitempty"`
}

// apply returns the text of the file with the mutant in it.
func (m Mutant) apply(text string) (string, error) {
	if m.Old == m.New {
		return "", errors.New("old and new are the same")
	}
	if n := strings.Count(text, m.Old); n != 1 {
		return "", fmt.Errorf("%q stands %d times in %s, not once", m.Old, n, m.File)
	}
	return strings.Replace(text, m.Old, m.New, 1), nil
}

// findLists returns the paths of all lists of mutants below a folder.
func findLists(root string) ([]string, error) {
	var lists []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && path != root {
			return filepath.SkipDir
		}
		if entry.Name() == "mutants.yaml" && filepath.Base(filepath.Dir(path)) == "testdata" {
			lists = append(lists, path)
		}
		return nil
	})
	return lists, err
}

// readList returns the mutants of a list, each with the packages whose tests must notice it.
func readList(path string) ([]Mutant, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var mutants []Mutant
	if err := yaml.UnmarshalStrict(text, &mutants); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	folder := filepath.ToSlash(filepath.Dir(filepath.Dir(path)))
	for i, m := range mutants {
		if m.Name == "" || m.File == "" {
			return nil, fmt.Errorf("%s: mutant %d has no name or no file", path, i+1)
		}
		if len(m.Tests) == 0 {
			mutants[i].Tests = []string{"./" + folder + "/..."}
		}
	}
	return mutants, nil
}
