// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// CompareLogs compares what each service account may do by the roles in rendered manifests with what it asked for by
// all the audit logs in a folder. The reports are by account, as <namespace>:<name>.
func CompareLogs(rendered []byte, dir string) (map[string]Report, error) {
	grants, err := Grants(rendered)
	if err != nil {
		return nil, err
	}
	logs, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	asked := map[string][]Request{}
	for _, path := range logs {
		if err := readLog(path, asked); err != nil {
			return nil, err
		}
	}
	reports := map[string]Report{}
	for account, of := range grants {
		reports[strings.TrimPrefix(account, "system:serviceaccount:")] = Compare(of, asked[account])
	}
	return reports, nil
}

// readLog adds the requests of one log.
func readLog(path string, asked map[string][]Request) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	found, err := Read(file)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for account, requests := range found {
		asked[account] = append(asked[account], requests...)
	}
	return nil
}

// Lines are what is wrong, one line each, in order; none if nothing is.
func (r Report) Lines() []string {
	var all []string
	for what, found := range map[string][]string{
		"was refused": r.Refused, "is allowed and not used": r.Unused, "is allowed twice": r.Twice,
	} {
		for _, f := range found {
			all = append(all, f+" "+what)
		}
	}
	slices.Sort(all)
	return all
}
