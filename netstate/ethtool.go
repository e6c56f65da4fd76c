// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"maps"
	"strings"
)

// An Ethtool is what the driver of a NIC can be told. In a current state it has the keys that the driver takes, and
// goes with type ethernet only.
type Ethtool struct {
	Feature  Features  `json:"feature,omitzero"`
	Ring     *Ring     `json:"ring,omitzero"`
	Coalesce *Coalesce `json:"coalesce,omitzero"`
}

// Features are offloads under the kernel's names (net/ethtool/common.c, netdev_features_strings). Parse also takes the
// short names of ethtool(8). In a current state they are those that can be switched, and whether each is active.
type Features map[string]bool

// A Ring is the number of packets that wait for the driver in each direction, and the most it allows, which is read
// only. Changing it interrupts the link for a moment.
type Ring struct {
	RX         *int `json:"rx,omitzero"           range:"1 4294967295"`
	RXMax      *int `json:"rx-max,omitzero"`
	RXJumbo    *int `json:"rx-jumbo,omitzero"     range:"1 4294967295"`
	RXJumboMax *int `json:"rx-jumbo-max,omitzero"`
	RXMini     *int `json:"rx-mini,omitzero"      range:"1 4294967295"`
	RXMiniMax  *int `json:"rx-mini-max,omitzero"`
	TX         *int `json:"tx,omitzero"           range:"1 4294967295"`
	TXMax      *int `json:"tx-max,omitzero"`
}

// A Coalesce says for how many packets or microseconds a NIC waits before it interrupts (struct ethtool_coalesce of
// include/uapi/linux/ethtool.h).
type Coalesce struct {
	AdaptiveRX      *bool `json:"adaptive-rx,omitzero"`
	AdaptiveTX      *bool `json:"adaptive-tx,omitzero"`
	PktRateHigh     *int  `json:"pkt-rate-high,omitzero"     range:"0 4294967295"`
	PktRateLow      *int  `json:"pkt-rate-low,omitzero"      range:"0 4294967295"`
	RXFrames        *int  `json:"rx-frames,omitzero"         range:"0 4294967295"`
	RXFramesHigh    *int  `json:"rx-frames-high,omitzero"    range:"0 4294967295"`
	RXFramesIRQ     *int  `json:"rx-frames-irq,omitzero"     range:"0 4294967295"`
	RXFramesLow     *int  `json:"rx-frames-low,omitzero"     range:"0 4294967295"`
	RXUsecs         *int  `json:"rx-usecs,omitzero"          range:"0 4294967295"`
	RXUsecsHigh     *int  `json:"rx-usecs-high,omitzero"     range:"0 4294967295"`
	RXUsecsIRQ      *int  `json:"rx-usecs-irq,omitzero"      range:"0 4294967295"`
	RXUsecsLow      *int  `json:"rx-usecs-low,omitzero"      range:"0 4294967295"`
	SampleInterval  *int  `json:"sample-interval,omitzero"   range:"0 4294967295"`
	StatsBlockUsecs *int  `json:"stats-block-usecs,omitzero" range:"0 4294967295"`
	TXFrames        *int  `json:"tx-frames,omitzero"         range:"0 4294967295"`
	TXFramesHigh    *int  `json:"tx-frames-high,omitzero"    range:"0 4294967295"`
	TXFramesIRQ     *int  `json:"tx-frames-irq,omitzero"     range:"0 4294967295"`
	TXFramesLow     *int  `json:"tx-frames-low,omitzero"     range:"0 4294967295"`
	TXUsecs         *int  `json:"tx-usecs,omitzero"          range:"0 4294967295"`
	TXUsecsHigh     *int  `json:"tx-usecs-high,omitzero"     range:"0 4294967295"`
	TXUsecsIRQ      *int  `json:"tx-usecs-irq,omitzero"      range:"0 4294967295"`
	TXUsecsLow      *int  `json:"tx-usecs-low,omitzero"      range:"0 4294967295"`
}

// longFeatureName returns the kernel's name of a feature that ethtool(8) has a shorter one for.
func longFeatureName(name string) string {
	long := map[string]string{
		"rx": "rx-checksum", "sg": "tx-scatter-gather", "tso": "tx-tcp-segmentation", "gso": "tx-generic-segmentation",
		"gro": "rx-gro", "lro": "rx-lro", "ntuple": "rx-ntuple-filter", "rxhash": "rx-hashing",
		"rxvlan": "rx-vlan-hw-parse", "txvlan": "tx-vlan-hw-insert",
		"rx-checksumming": "rx-checksum", "scatter-gather": "tx-scatter-gather",
		"tcp-segmentation-offload": "tx-tcp-segmentation", "generic-segmentation-offload": "tx-generic-segmentation",
		"generic-receive-offload": "rx-gro", "large-receive-offload": "rx-lro", "ntuple-filters": "rx-ntuple-filter",
		"receive-hashing": "rx-hashing", "rx-vlan-offload": "rx-vlan-hw-parse", "tx-vlan-offload": "tx-vlan-hw-insert",
	}
	name = strings.ToLower(name)
	if known, is := long[name]; is {
		return known
	}
	return name
}

// overlay returns the features with those of over in the place of their own.
func (f Features) overlay(over Features) Features {
	merged := maps.Clone(f)
	if merged == nil {
		merged = Features{}
	}
	maps.Copy(merged, over)
	return merged
}

// delta returns the features of to that are not the same in f, as they are in f and in to. One that f does not know is
// in the second only.
func (f Features) delta(to Features) (from, differ Features) {
	for name, on := range to {
		was, known := f[name]
		if known && was == on {
			continue
		}
		if differ == nil {
			from, differ = Features{}, Features{}
		}
		differ[name] = on
		if known {
			from[name] = was
		}
	}
	return from, differ
}

// withoutLimits returns what can be set.
func (e *Ethtool) withoutLimits() *Ethtool {
	if e == nil {
		return nil
	}
	set := *e
	if e.Ring != nil {
		set.Ring = &Ring{RX: e.Ring.RX, RXJumbo: e.Ring.RXJumbo, RXMini: e.Ring.RXMini, TX: e.Ring.TX}
	}
	return &set
}
