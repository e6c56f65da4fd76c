// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRangeOfKubemacpool(t *testing.T) {
	for name, tc := range map[string]struct {
		start, end  string
		ranges      int
		first, last string
		problem     string
	}{
		"its default":                      {start: "02:00:00:00:00:00", end: "02:FF:FF:FF:FF:FF", ranges: 1, first: "02:00:00:00:00:00", last: "02:ff:ff:ff:ff:ff"},
		"a range of one address":           {start: "02:00:00:00:00:05", end: "02:00:00:00:00:05", ranges: 1, first: "02:00:00:00:00:05", last: "02:00:00:00:00:05"},
		"a range across multicast":         {start: "02:FF:FF:FF:FF:00", end: "04:00:00:00:00:FF", ranges: 2, first: "02:ff:ff:ff:ff:00", last: "04:00:00:00:00:ff"},
		"a range that ends in multicast":   {start: "02:00:00:00:00:00", end: "03:00:00:00:00:ff", ranges: 1, first: "02:00:00:00:00:00", last: "02:ff:ff:ff:ff:ff"},
		"a range that begins in multicast": {start: "01:00:00:00:00:00", end: "02:00:00:00:00:ff", ranges: 1, first: "02:00:00:00:00:00", last: "02:00:00:00:00:ff"},
		"all there is":                     {start: "00:00:00:00:00:00", end: "ff:ff:ff:ff:ff:ff", ranges: maxRanges, first: "00:00:00:00:00:01", last: "7e:ff:ff:ff:ff:ff"},
		"nothing but multicast":            {start: "03:00:00:00:00:00", end: "03:00:00:00:00:ff", problem: "no unicast address"},
		"reversed ends":                    {start: "04:00:00:00:00:00", end: "02:00:00:00:00:00", problem: "no unicast address"},
		"ends reversed in one first octet": {start: "02:00:00:00:00:01", end: "02:00:00:00:00:00", problem: "no unicast address"},
		"a start that is missing":          {end: "02:00:00:00:00:00", problem: "RANGE_START"},
		"an end of eight octets":           {start: "02:00:00:00:00:00", end: "02:00:00:00:00:00:00:01", problem: "RANGE_END"},
	} {
		t.Run(name, func(t *testing.T) {
			ranges, err := unicastRanges(tc.start, tc.end)
			if tc.problem != "" {
				require.ErrorContains(t, err, tc.problem)
				return
			}
			require.NoError(t, err)
			require.Len(t, ranges, tc.ranges)
			assert.Equal(t, tc.first, ranges[0].Start)
			assert.Equal(t, tc.last, ranges[len(ranges)-1].End)
			_, err = ReadPool(defaultPool(ranges))
			assert.NoError(t, err)
		})
	}
}
