// SPDX-License-Identifier: Apache-2.0

package netstate

// A Bridge is the bridge part of a linux-bridge interface.
type Bridge struct {
	Options *BridgeOptions `json:"options,omitzero"`
	// Port lists the ports. In a desired state nil keeps them, an empty list detaches all that are not
	// foreign, and a list replaces them. In a current state it is sorted by name and has foreign ports too.
	Port []BridgePort `json:"port,omitzero" alias:"ports"`
	// VLANFiltering is the kernel's vlan_filtering switch. nmstate has no key for it: it is on when at
	// least one port has a non-empty vlan. kernel.Read sets it, Merge derives it, Parse leaves it nil.
	VLANFiltering *bool `json:"kernel-vlan-filtering,omitzero"`
	// OwnVLANs are those of the bridge itself, where they are not its default PVID only.
	OwnVLANs []VLANEntry `json:"kernel-vlans,omitzero"`
}

// BridgeOptions are the options of a bridge, in the units of nmstate: seconds for the times of spanning
// tree and ageing, raw centiseconds (USER_HZ) for the multicast intervals. Queries come once a second at most and once
// a day at least (br_multicast_set_query_intvl of net/bridge/br_multicast.c).
type BridgeOptions struct {
	GroupAddr        *MAC `json:"group-addr,omitzero"`
	GroupForwardMask *int `json:"group-forward-mask,omitzero" range:"0 65535"`
	// GroupFwdMask is another name of GroupForwardMask in documents: Parse and Marshal translate it, and in
	// a State it is nil.
	GroupFwdMask                   *int  `json:"group-fwd-mask,omitzero"                    range:"0 65535"`
	HashMax                        *int  `json:"hash-max,omitzero"                          range:"1 2147483648"`
	MACAgeingTime                  *int  `json:"mac-ageing-time,omitzero"                   range:"0 42949672"`
	MulticastLastMemberCount       *int  `json:"multicast-last-member-count,omitzero"       range:"0 4294967295"`
	MulticastLastMemberInterval    *int  `json:"multicast-last-member-interval,omitzero"    range:"0 4294967295"`
	MulticastMembershipInterval    *int  `json:"multicast-membership-interval,omitzero"     range:"0 4294967295"`
	MulticastQuerier               *bool `json:"multicast-querier,omitzero"`
	MulticastQuerierInterval       *int  `json:"multicast-querier-interval,omitzero"        range:"0 4294967295"`
	MulticastQueryInterval         *int  `json:"multicast-query-interval,omitzero"          range:"100 8640000"`
	MulticastQueryResponseInterval *int  `json:"multicast-query-response-interval,omitzero" range:"0 4294967295"`
	MulticastQueryUseIfaddr        *bool `json:"multicast-query-use-ifaddr,omitzero"`
	// MulticastRouter is disabled, auto or enabled.
	MulticastRouter               *string `json:"multicast-router,omitzero"                 numbers:"disabled auto enabled"`
	MulticastSnooping             *bool   `json:"multicast-snooping,omitzero"`
	MulticastStartupQueryCount    *int    `json:"multicast-startup-query-count,omitzero"                                    range:"0 4294967295"`
	MulticastStartupQueryInterval *int    `json:"multicast-startup-query-interval,omitzero"                                 range:"100 8640000"`
	VLANProtocol                  *string `json:"vlan-protocol,omitzero"                                                                                  words:"802.1q 802.1ad"` // 802.1q or 802.1ad
	VLANDefaultPVID               *int    `json:"vlan-default-pvid,omitzero"                                                range:"0 4094"`
	STP                           *STP    `json:"stp,omitzero"`
}

// STP are the spanning tree options of a bridge. The times are in seconds. A bridge we make has it off
// unless the policy asks for it.
type STP struct {
	Enabled      *bool `json:"enabled,omitzero"`
	ForwardDelay *int  `json:"forward-delay,omitzero" range:"2 30"`
	HelloTime    *int  `json:"hello-time,omitzero"    range:"1 10"`
	MaxAge       *int  `json:"max-age,omitzero"       range:"6 40"`
	Priority     *int  `json:"priority,omitzero"      range:"0 65535"`
}

// A BridgePort is one port of a bridge with its options.
type BridgePort struct {
	Name           string `json:"name"`
	STPHairpinMode *bool  `json:"stp-hairpin-mode,omitzero"`
	STPPathCost    *int   `json:"stp-path-cost,omitzero"    range:"1 65535"`
	STPPriority    *int   `json:"stp-priority,omitzero"     range:"0 63"`
	// VLAN says which VLANs the port carries. In a current state nil means the bridge's default PVID and
	// nothing else (or that filtering is off). In a desired state nil means "keep", or trunk 2-4094 under an
	// explicit type linux-bridge and state up (see DefaultPortVLANs), and the empty value means none.
	VLAN *PortVLAN `json:"vlan,omitzero"`
	// RawVLANs are the kernel's, where VLAN cannot say them: while the bridge does not filter, or with flags
	// that a PortVLAN does not have. They count instead of VLAN.
	RawVLANs []VLANEntry `json:"kernel-vlans,omitzero"`
	// Static are the entries of the forwarding table for the port that are not learnt; they go with the port.
	Static []StaticMAC `json:"kernel-static,omitzero"`
	// Details are the other options of the port: isolated, guard, learning, flooding.
	Details Opaque `json:"kernel-details,omitzero"`
}

// filters reports whether the port list asks for VLAN filtering: at least one port has a vlan that is
// not empty.
func filters(b *Bridge) bool {
	for _, port := range b.Port {
		if !port.VLAN.empty() {
			return true
		}
	}
	return false
}

// defaultPVID returns the bridge's default PVID, 1 unless said otherwise.
func (b *Bridge) defaultPVID() int {
	if b.Options == nil || b.Options.VLANDefaultPVID == nil {
		return 1
	}
	return *b.Options.VLANDefaultPVID
}

// ticked returns options with each multicast interval as it is where that is a hundredth of a second less than wanted:
// the kernel counts in ticks of its own, and rounds down to them and back (clock_t_to_jiffies and jiffies_to_clock_t of
// kernel/time/time.c).
func (o *BridgeOptions) ticked(now *BridgeOptions) *BridgeOptions {
	if o == nil || now == nil {
		return o
	}
	ticked, is := *o, *now
	for n, wanted := range ticked.intervals() {
		if found := *is.intervals()[n]; *wanted != nil && found != nil && **wanted == *found+1 {
			*wanted = found
		}
	}
	return &ticked
}

func (o *BridgeOptions) intervals() []**int {
	return []**int{&o.MulticastLastMemberInterval, &o.MulticastMembershipInterval, &o.MulticastQuerierInterval,
		&o.MulticastQueryInterval, &o.MulticastQueryResponseInterval, &o.MulticastStartupQueryInterval}
}
