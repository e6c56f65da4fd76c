// SPDX-License-Identifier: Apache-2.0

package macpool

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func mustMAC(t testing.TB, s string) MAC {
	t.Helper()
	m, err := ParseMAC(s)
	require.NoError(t, err)
	return m
}

func TestParseInterfaceMAC(t *testing.T) {
	for name, tc := range map[string]struct {
		in, want, problem string
	}{
		"colons":                        {in: "02:4a:be:00:00:0b", want: "02:4a:be:00:00:0b"},
		"dashes and upper case":         {in: "02-4A-BE-00-00-0B", want: "02:4a:be:00:00:0b"},
		"dots":                          {in: "024a.be00.000b", want: "02:4a:be:00:00:0b"},
		"a globally administered one":   {in: "52:54:00:12:34:56", want: "52:54:00:12:34:56"},
		"nothing":                       {in: "", problem: "not an address of six octets"},
		"five octets":                   {in: "02:4a:be:00:00", problem: "not an address of six octets"},
		"seven octets":                  {in: "02:4a:be:00:00:0b:0c", problem: "not an address of six octets"},
		"eight octets":                  {in: "02:00:5e:10:00:00:00:01", problem: "has 8 octets"},
		"twenty octets":                 {in: "00:00:00:00:fe:80:00:00:00:00:00:00:02:00:5e:10:00:00:00:01", problem: "has 20 octets"},
		"words":                         {in: "mac", problem: "not an address of six octets"},
		"multicast":                     {in: "03:00:00:00:00:01", problem: "multicast"},
		"the multicast address of IPv4": {in: "01:00:5e:00:00:01", problem: "multicast"},
		"broadcast":                     {in: "ff:ff:ff:ff:ff:ff", problem: "broadcast"},
		"zero":                          {in: "00:00:00:00:00:00", problem: "zero address"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseInterfaceMAC(tc.in)
			if tc.problem != "" {
				assert.ErrorContains(t, err, tc.problem)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tc.want, got.String())
		})
	}
}

func TestParsePrefix(t *testing.T) {
	for name, tc := range map[string]struct {
		in string
		ok bool
	}{
		"a block's name":    {in: "02-4a-be-00-00", ok: true},
		"upper case":        {in: "02-4A-BE-00-00"},
		"colons":            {in: "02:4a:be:00:00"},
		"six octets":        {in: "02-4a-be-00-00-00"},
		"four octets":       {in: "02-4a-be-00"},
		"nothing":           {in: ""},
		"a name of letters": {in: "default"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := ParsePrefix(tc.in)
			if !tc.ok {
				assert.Error(t, err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tc.in, p.String())
		})
	}
}

func TestMACOrderIsThatOfItsNumber(t *testing.T) {
	low, high := mustMAC(t, "02:00:00:00:00:ff"), mustMAC(t, "02:00:00:00:01:00")
	assert.Negative(t, low.Compare(high))
	assert.Positive(t, high.Compare(low))
	assert.Zero(t, low.Compare(low))
	assert.Equal(t, high, macOf(low.number()+1))
}

func FuzzParseMAC(f *testing.F) {
	for _, seed := range []string{
		"02:4a:be:00:00:0b", "02-4A-BE-00-00-0B", "024a.be00.000b", "", "::::::", "ff:ff:ff:ff:ff:ff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseInterfaceMAC(s)
		if err != nil {
			return
		}
		assert.False(t, m.Multicast())
		again, err := ParseInterfaceMAC(m.String())
		require.NoError(t, err)
		assert.Equal(t, m, again)
		p, err := ParsePrefix(m.Prefix().String())
		require.NoError(t, err)
		assert.Equal(t, m, p.Address(m[5]))
	})
}
