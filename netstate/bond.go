// SPDX-License-Identifier: Apache-2.0

package netstate

import (
	"reflect"
	"slices"
)

// A Bond is the link-aggregation part of a bond.
type Bond struct {
	// Mode is one of the names balance-rr, active-backup, balance-xor, broadcast, 802.3ad, balance-tlb,
	// balance-alb; Parse also takes the numbers 0 to 6. It cannot change while the bond has ports or is up.
	Mode    *string      `json:"mode,omitzero"    numbers:"balance-rr active-backup balance-xor broadcast 802.3ad balance-tlb balance-alb"`
	Options *BondOptions `json:"options,omitzero"`
	// Port is as Bridge.Port: nil keeps, empty detaches, a list replaces. Sorted in a current state.
	Port []string `json:"port,omitzero" alias:"ports"`
	// PortsConfig has the options of ports that differ from the kernel's defaults (0 and 0); sorted in a
	// current state.
	PortsConfig []BondPort `json:"ports-config,omitzero"`
	// Active is the port that a bond of a mode with one active port sends through, or "". The kernel chooses it:
	// no plan is made for it, but a port that is put back is active again.
	Active string `json:"kernel-active,omitzero"`
}

// A BondPort has the options of one port of a bond.
type BondPort struct {
	Name     string `json:"name"`
	Priority *int   `json:"priority,omitzero" range:"-2147483648 2147483647"`
	QueueID  *int   `json:"queue-id,omitzero" range:"0 65535"`
}

// BondOptions are the kernel's bonding options under the kernel's names. Enumerations hold the kernel's
// words (Parse translates numbers), the default first in the tag. Times are milliseconds
// unless said otherwise.
//
// The fields are in an order in which the kernel accepts them.
type BondOptions struct {
	FailOverMAC     *string `json:"fail_over_mac,omitzero"     numbers:"none active follow"`
	AllSlavesActive *string `json:"all_slaves_active,omitzero" numbers:"dropped delivered"`
	Miimon          *int    `json:"miimon,omitzero"                                         range:"0 2147483647"`
	UpDelay         *int    `json:"updelay,omitzero"                                        range:"0 2147483647"`
	DownDelay       *int    `json:"downdelay,omitzero"                                      range:"0 2147483647"`
	UseCarrier      *bool   `json:"use_carrier,omitzero"` // kernels since 6.18 know only true
	ARPInterval     *int    `json:"arp_interval,omitzero"                                   range:"0 2147483647"`
	// ARPIPTarget is a comma-separated list of up to 16 IPv4 addresses, "" for none.
	ARPIPTarget     *string `json:"arp_ip_target,omitzero"`
	ARPValidate     *string `json:"arp_validate,omitzero"      numbers:"none active backup all filter filter_active filter_backup"`
	ARPAllTargets   *string `json:"arp_all_targets,omitzero"   numbers:"any all"`
	ARPMissedMax    *int    `json:"arp_missed_max,omitzero"                                                                        range:"1 255"`
	LACPRate        *string `json:"lacp_rate,omitzero"         numbers:"slow fast"`
	ADSelect        *string `json:"ad_select,omitzero"         numbers:"stable bandwidth count"`
	ADActorSysPrio  *int    `json:"ad_actor_sys_prio,omitzero"                                                                     range:"1 65535"`
	ADActorSystem   *MAC    `json:"ad_actor_system,omitzero"`
	ADUserPortKey   *int    `json:"ad_user_port_key,omitzero"                                                                      range:"0 1023"`
	MinLinks        *int    `json:"min_links,omitzero"                                                                             range:"0 2147483647"`
	LPInterval      *int    `json:"lp_interval,omitzero"                                                                           range:"1 2147483647"` // seconds
	NumGratARP      *int    `json:"num_grat_arp,omitzero"                                                                          range:"0 255"`
	NumUnsolNA      *int    `json:"num_unsol_na,omitzero"                                                                          range:"0 255"` // the kernel keeps one value for both
	PacketsPerSlave *int    `json:"packets_per_slave,omitzero"                                                                     range:"0 65535"`
	// Primary is the name of a port, "" for none. The kernel knows it only while the port is attached.
	Primary         *string `json:"primary,omitzero"`
	PrimaryReselect *string `json:"primary_reselect,omitzero" numbers:"always better failure"`
	ResendIGMP      *int    `json:"resend_igmp,omitzero"                                                                       range:"0 255"`
	TLBDynamicLB    *bool   `json:"tlb_dynamic_lb,omitzero"`
	XmitHashPolicy  *string `json:"xmit_hash_policy,omitzero" numbers:"layer2 layer3+4 layer2+3 encap2+3 encap3+4 vlan+srcmac"`
}

// bondOptionApplies reports whether the kernel takes an option in a mode (bond_opts, unsuppmodes).
func bondOptionApplies(mode, key string) bool {
	in := func(modes ...string) bool { return slices.Contains(modes, mode) }
	switch key {
	case "lacp_rate", "ad_select", "ad_actor_sys_prio", "ad_actor_system", "ad_user_port_key":
		return in("802.3ad")
	case "primary", "primary_reselect":
		return in("active-backup", "balance-tlb", "balance-alb")
	case "arp_interval", "arp_ip_target", "arp_validate", "arp_all_targets":
		return !in("802.3ad", "balance-tlb", "balance-alb")
	case "packets_per_slave":
		return in("balance-rr")
	case "tlb_dynamic_lb":
		return in("balance-tlb", "balance-alb")
	}
	return true
}

// bondDefaults returns the options the kernel gives a new bond of the mode (bond_check_params, and
// bond_option_mode_set: modes that cannot watch their ports by ARP do it by MII).
func bondDefaults(mode string) BondOptions {
	miimon := 0
	if !bondOptionApplies(mode, "arp_interval") {
		miimon = 100
	}
	return BondOptions{
		FailOverMAC: new("none"), AllSlavesActive: new("dropped"), Miimon: &miimon, UpDelay: new(0), DownDelay: new(0),
		UseCarrier: new(true), ARPInterval: new(0), ARPIPTarget: new(""), ARPValidate: new("none"),
		ARPAllTargets: new("any"), ARPMissedMax: new(2), LACPRate: new("slow"), ADSelect: new("stable"),
		ADActorSysPrio: new(65535), ADActorSystem: &MAC{}, ADUserPortKey: new(0), MinLinks: new(0), LPInterval: new(1),
		NumGratARP: new(1), NumUnsolNA: new(1), PacketsPerSlave: new(1), Primary: new(""), PrimaryReselect: new("always"),
		ResendIGMP: new(1), TLBDynamicLB: new(true), XmitHashPolicy: new("layer2"),
	}
}

// applicable returns the options that count in the mode, and the others as they are now. Options that
// exclude each other switch each other off, as the kernel would do.
func applicable(options BondOptions, now *BondOptions, mode string) *BondOptions {
	if now == nil {
		now = &BondOptions{}
	}
	eachKey(reflect.ValueOf(*now), reflect.ValueOf(&options).Elem(), func(path []keyStep, was, is reflect.Value) bool {
		if !bondOptionApplies(mode, path[0].key()) {
			is.Set(was)
		}
		return false
	})
	if positive(options.Miimon) && !positive(now.Miimon) && positive(now.ARPInterval) &&
		same(options.ARPInterval, now.ARPInterval) {
		options.ARPInterval = new(0)
	}
	if positive(options.ARPInterval) && !positive(now.ARPInterval) && positive(now.Miimon) &&
		same(options.Miimon, now.Miimon) {
		options.Miimon, options.UpDelay, options.DownDelay = new(0), zeroed(options.UpDelay), zeroed(options.DownDelay)
	}
	return &options
}

// interval returns how often the bond looks at the carriers of its ports, in milliseconds, and 0 for not at all.
func (b *Bond) interval() int {
	if b.Options != nil && b.Options.Miimon != nil {
		return *b.Options.Miimon
	}
	return *bondDefaults(deref(b.Mode)).Miimon
}

// inStep returns the options of a bond with delays as the kernel takes them: it counts how often the bond looks, and so
// rounds to a multiple of that down (_bond_option_delay_set of drivers/net/bonding/bond_options.c). A bond that does
// not look has no delays.
func (b *Bond) inStep() *BondOptions {
	if b.Options == nil || b.Mode == nil {
		return b.Options
	}
	options, interval := *b.Options, b.interval()
	for _, delay := range []**int{&options.UpDelay, &options.DownDelay} {
		switch {
		case interval <= 0:
			*delay = zeroed(*delay)
		case *delay != nil:
			*delay = new(**delay / interval * interval)
		}
	}
	return &options
}
