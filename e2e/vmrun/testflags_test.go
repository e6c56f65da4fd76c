// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestResultFiles(t *testing.T) {
	tests := map[string]struct {
		args []string
		want []string
	}{
		"nothing asked for": {[]string{"-test.v=true"}, nil},
		"a profile lies in the output directory": {[]string{"-test.outputdir=/out", "-test.memprofile=m.out"},
			[]string{"/out/m.out"}},
		"without one, in the package": {[]string{"-test.cpuprofile=cpu.out"}, []string{"/pkg/cpu.out"}},
		"an absolute path stays": {[]string{"-test.outputdir=/out", "-test.trace=/t/trace"},
			[]string{"/t/trace"}},
		"coverage directories come back": {[]string{"-test.gocoverdir=/w/cover"}, []string{"/w/cover"}},
		"two dashes are as good as one":  {[]string{"--test.coverprofile=/c"}, []string{"/c"}},
		"fuzzing brings its findings back": {[]string{"-test.fuzz=FuzzParse", "-test.fuzzcachedir=/cache"},
			[]string{"/cache", "/pkg/testdata/fuzz"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, resultFiles(test.args, "/pkg"))
		})
	}
}

func TestTestTimeout(t *testing.T) {
	tests := map[string]struct {
		args []string
		want time.Duration
	}{
		"the test's own and the boot": {[]string{"-test.timeout=10m0s"}, 11 * time.Minute},
		"0 is no limit":               {[]string{"-test.timeout=0s"}, 0},
		"none is no limit":            {nil, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, testTimeout(test.args))
		})
	}
}
