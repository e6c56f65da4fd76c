// SPDX-License-Identifier: Apache-2.0

package lldp

import (
	"encoding/binary"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// put is a TLV as it is sent.
func put(kind int, value string) string {
	head := binary.BigEndian.AppendUint16(nil, uint16(kind<<9|len(value)))
	return string(head) + value
}

const (
	chassis  = "\x04\x02\x00\x00\x00\xab\xcd"
	portName = "\x05Ethernet1/7"
)

// frame is the payload of an announcement: chassis, port, two minutes to live, and more.
func frame(more ...string) []byte {
	tlvs := put(tlvChassisID, chassis) + put(tlvPortID, portName) + put(tlvTTL, "\x00\x78")
	return []byte(tlvs + strings.Join(more, "") + put(tlvEnd, ""))
}

// full has everything we know.
func full() []byte {
	return frame(
		put(4, "port 7"), // nmstate has no word for it
		put(tlvSystemName, "leaf-7.lab"),
		put(tlvSystemDescription, "A switch\nversion 4\x00"),
		put(tlvCapabilities, "\x00\x14\x00\x10"),
		put(tlvManagementAddress, "\x05\x01\xc0\x00\x02\x01\x02\x00\x00\x00\x11\x00"),
		put(tlvManagementAddress, "\x11\x02\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x02\x00\x00\x00\x12\x00"),
		put(tlvManagementAddress, "\x07\x06\x02\x00\x00\x00\xab\xcd\x01\x00\x00\x00\x00\x00"),
		put(tlvOrganization, "\x00\x80\xc2\x03\x00\x64\x06stores"),
		put(tlvOrganization, "\x00\x80\xc2\x03\x0f\xa0\x00"),
		put(tlvOrganization, "\x00\x80\xc2\x02\x01\x00\x00"),
		put(tlvOrganization, "\x00\x12\x0f\x01\x03\x6c\x11\x00\x1e"),
		put(tlvOrganization, "\x00\x12\x0f\x04\x05\xf2"),
		put(tlvOrganization, "\x00\x90\x69\x01unknown"),
	)
}

// shownFull is what a NodeNetworkState has of it.
const shownFull = `
- {type: 5, system-name: leaf-7.lab}
- {type: 6, system-description: "A switch\nversion 4"}
- {type: 7, system-capabilities: [MAC Bridge component, Router]}
- {type: 1, chassis-id: "02:00:00:00:AB:CD", chassis-id-type: 4, _description: MAC address}
- {type: 2, port-id: Ethernet1/7, port-id-type: 5, _description: Interface name}
- {type: 127, oui: "00:80:c2", subtype: 3, ieee-802-1-vlans: [{name: stores, vid: 100}, {name: "", vid: 4000}]}
- {type: 127, oui: "00:12:0f", subtype: 1,
   ieee-802-3-mac-phy-conf: {autoneg: true, pmd-autoneg-cap: 27665, operational-mau-type: 30}}
- {type: 127, oui: "00:80:c2", subtype: 2, ieee-802-1-ppvids: [0]}
- type: 8
  management-addresses:
  - {address: 192.0.2.1, address-subtype: IPv4, interface-number: 17, interface-number-subtype: 2}
  - {address: "2001:db8::1", address-subtype: IPv6, interface-number: 18, interface-number-subtype: 2}
  - {address: "02:00:00:00:AB:CD", address-subtype: MAC, interface-number: 0, interface-number-subtype: 1}
- {type: 127, oui: "00:12:0f", subtype: 4, ieee-802-3-max-frame-size: 1522}`

func TestAnAnnouncementIsShownAsNMStateShowsIt(t *testing.T) {
	a, err := decode(full())
	require.NoError(t, err)
	assert.Equal(t, 2*time.Minute, a.ttl)
	shown, err := json.Marshal(a.items)
	require.NoError(t, err)
	want, err := yaml.YAMLToJSON([]byte(shownFull))
	require.NoError(t, err)
	assert.JSONEq(t, string(want), string(shown))

	state := netstate.State{Interfaces: []netstate.Interface{{
		Name: "eth1", LLDP: &netstate.LLDP{Enabled: new(true), Neighbors: netstate.LLDPNeighbors{a.items}},
	}}}
	text, err := netstate.Marshal(state)
	require.NoError(t, err)
	assert.Contains(t, string(text), "system-name: leaf-7.lab")
	read, errs := netstate.Parse(text)
	require.Empty(t, errs, "who reads the document again is not troubled by neighbours")
	assert.Equal(t, netstate.LLDP{Enabled: new(true)}, *read.Interfaces[0].LLDP)
}

func TestIDsAreWrittenAsPeopleWriteThem(t *testing.T) {
	tests := map[string]struct{ chassis, port, wantChassis, wantPort string }{
		"MACs":                   {"\x04\x02\x00\x00\x00\x00\x01", "\x03\x02\x00\x00\x00\x00\x02", "02:00:00:00:00:01", "02:00:00:00:00:02"},
		"addresses":              {"\x05\x01\xc0\x00\x02\x09", "\x04\x01\xc0\x00\x02\x08", "192.0.2.9", "192.0.2.8"},
		"addresses of no family": {"\x05\x09\xc0\x00", "\x04\x01\xc0", "09:C0:00", "01:C0"},
		"texts":                  {"\x07leaf-7", "\x01uplink", "leaf-7", "uplink"},
		"a text that ends in C":  {"\x07leaf-7\x00", "\x07\x00", "leaf-7", "00"},
		"bytes":                  {"\x07\xff\x00", "\x06\x1b[2J", "FF:00", "1B:5B:32:4A"},
		"kinds of the future":    {"\x63x", "\x00y", "x", "y"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a, err := decode([]byte(put(1, test.chassis) + put(2, test.port) + put(3, "\x00\x01")))
			require.NoError(t, err)
			assert.Equal(t, test.wantChassis, a.items[0].ChassisID)
			assert.Equal(t, test.wantPort, a.items[1].PortID)
		})
	}
}

func TestFramesThatAreDiscarded(t *testing.T) {
	begin := put(1, chassis) + put(2, portName)
	tests := map[string]string{
		"nothing":                  "",
		"an end":                   put(tlvEnd, ""),
		"no time to live":          begin,
		"a time of one byte":       begin + put(3, "\x01"),
		"another order":            put(2, portName) + put(1, chassis) + put(3, "\x00\x01"),
		"a chassis without an id":  put(1, "\x04") + put(2, portName) + put(3, "\x00\x01"),
		"a chassis that is long":   put(1, strings.Repeat("x", 257)) + put(2, portName) + put(3, "\x00\x01"),
		"two chassis":              begin + put(3, "\x00\x01") + put(1, chassis),
		"a TLV that is cut":        begin + put(3, "\x00\x01") + put(5, "leaf")[:4],
		"a TLV of half a head":     begin + put(3, "\x00\x01") + "\x0a",
		"text that is no LLDP":     "GET / HTTP/1.1",
		"a time to live elsewhere": begin + put(5, "leaf") + put(3, "\x00\x01"),
	}
	for name, payload := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := decode([]byte(payload))
			assert.Error(t, err)
		})
	}
}

func TestWhatIsMalformedIsLeftOut(t *testing.T) {
	plain, err := decode(frame())
	require.NoError(t, err)
	for name, malformed := range map[string]string{
		"capabilities of one byte":          put(tlvCapabilities, "\x01"),
		"an address that is cut":            put(tlvManagementAddress, "\x05\x01\xc0\x00"),
		"an address of an unknown family":   put(tlvManagementAddress, "\x03\x10ab\x02\x00\x00\x00\x11\x00"),
		"no address":                        put(tlvManagementAddress, ""),
		"an organisation without a subtype": put(tlvOrganization, "\x00\x80\xc2"),
		"a name of a VLAN that is cut":      put(tlvOrganization, "\x00\x80\xc2\x03\x00\x64\x06st"),
		"a frame size of one byte":          put(tlvOrganization, "\x00\x12\x0f\x04\x05"),
		"an item of the future":             put(99, "x"),
	} {
		t.Run(name, func(t *testing.T) {
			a, err := decode(frame(malformed))
			require.NoError(t, err)
			assert.Equal(t, plain.items, a.items)
		})
	}
}

// Whatever is sent, what is shown of it is text of a bounded length.
func FuzzDecode(f *testing.F) {
	f.Add(full())
	f.Add(frame(put(tlvSystemName, "\x1b]0;x\x07\xff")))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if len(payload) > maxFrame-headerLength {
			return // the kernel cuts it
		}
		a, err := decode(payload)
		if err != nil {
			return
		}
		assert.NotEmpty(t, a.id)
		shown, err := json.Marshal(a.items)
		require.NoError(t, err)
		assert.True(t, utf8.Valid(shown))
		assert.NotContains(t, string(shown), `\u001b`)
		assert.Less(t, len(shown), 16<<10)
		state := netstate.State{Interfaces: []netstate.Interface{{
			Name: "eth1", LLDP: &netstate.LLDP{Enabled: new(true), Neighbors: netstate.LLDPNeighbors{a.items}},
		}}}
		text, err := netstate.Marshal(state)
		require.NoError(t, err)
		_, errs := netstate.Parse(text)
		assert.Empty(t, errs)
	})
}
