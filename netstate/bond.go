package netstate

// A Bond is the link-aggregation part of a bond.
type Bond struct {
	// Mode is one of the names balance-rr, active-backup, balance-xor, broadcast, 802.3ad, balance-tlb,
	// balance-alb; Parse also takes the numbers 0 to 6. It cannot change while the bond has ports or is up.
	Mode    *string      `json:"mode,omitzero" numbers:"balance-rr active-backup balance-xor broadcast 802.3ad balance-tlb balance-alb"`
	Options *BondOptions `json:"options,omitzero"`
	// Port is as Bridge.Port: nil keeps, empty detaches, a list replaces. Sorted in a current state.
	Port []string `json:"port,omitzero" alias:"ports"`
	// PortsConfig has the options of ports that differ from the kernel's defaults (0 and 0); sorted in a
	// current state.
	PortsConfig []BondPort `json:"ports-config,omitzero"`
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
	FailOverMAC     *string `json:"fail_over_mac,omitzero" numbers:"none active follow"`
	AllSlavesActive *string `json:"all_slaves_active,omitzero" numbers:"dropped delivered"`
	Miimon          *int    `json:"miimon,omitzero" range:"0 2147483647"`
	UpDelay         *int    `json:"updelay,omitzero" range:"0 2147483647"`
	DownDelay       *int    `json:"downdelay,omitzero" range:"0 2147483647"`
	UseCarrier      *bool   `json:"use_carrier,omitzero"` // kernels since 6.18 know only true
	ARPInterval     *int    `json:"arp_interval,omitzero" range:"0 2147483647"`
	// ARPIPTarget is a comma-separated list of up to 16 IPv4 addresses, "" for none.
	ARPIPTarget     *string `json:"arp_ip_target,omitzero"`
	ARPValidate     *string `json:"arp_validate,omitzero" numbers:"none active backup all filter filter_active filter_backup"`
	ARPAllTargets   *string `json:"arp_all_targets,omitzero" numbers:"any all"`
	ARPMissedMax    *int    `json:"arp_missed_max,omitzero" range:"1 255"`
	LACPRate        *string `json:"lacp_rate,omitzero" numbers:"slow fast"`
	ADSelect        *string `json:"ad_select,omitzero" numbers:"stable bandwidth count"`
	ADActorSysPrio  *int    `json:"ad_actor_sys_prio,omitzero" range:"1 65535"`
	ADActorSystem   *MAC    `json:"ad_actor_system,omitzero"`
	ADUserPortKey   *int    `json:"ad_user_port_key,omitzero" range:"0 1023"`
	MinLinks        *int    `json:"min_links,omitzero" range:"0 2147483647"`
	LPInterval      *int    `json:"lp_interval,omitzero" range:"1 2147483647"` // seconds
	NumGratARP      *int    `json:"num_grat_arp,omitzero" range:"0 255"`
	NumUnsolNA      *int    `json:"num_unsol_na,omitzero" range:"0 255"` // the kernel keeps one value for both
	PacketsPerSlave *int    `json:"packets_per_slave,omitzero" range:"0 65535"`
	// Primary is the name of a port, "" for none. The kernel knows it only while the port is attached.
	Primary         *string `json:"primary,omitzero"`
	PrimaryReselect *string `json:"primary_reselect,omitzero" numbers:"always better failure"`
	ResendIGMP      *int    `json:"resend_igmp,omitzero" range:"0 255"`
	TLBDynamicLB    *bool   `json:"tlb_dynamic_lb,omitzero"`
	XmitHashPolicy  *string `json:"xmit_hash_policy,omitzero" numbers:"layer2 layer3+4 layer2+3 encap2+3 encap3+4 vlan+srcmac"`
}
