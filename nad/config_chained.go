// SPDX-License-Identifier: Apache-2.0

package nad

import (
	"encoding/json"
	"math"
	"slices"
)

// Plugins that change an interface which another has made, and their options: see typeOf.
type (
	bandwidthOptions struct {
		bandwidthLimits
		RuntimeConfig struct {
			Bandwidth *bandwidthLimits `json:"bandwidth"`
		} `json:"runtimeConfig"`
	}
	bandwidthLimits struct {
		IngressRate  uint64 `json:"ingressRate"`
		IngressBurst uint64 `json:"ingressBurst"`
		EgressRate   uint64 `json:"egressRate"`
		EgressBurst  uint64 `json:"egressBurst"`
	}
	portmapOptions struct {
		Backend              string   `json:"backend"`
		SNAT                 bool     `json:"snat"`
		ConditionsV4         []string `json:"conditionsV4"`
		ConditionsV6         []string `json:"conditionsV6"`
		MasqAll              bool     `json:"masqAll"`
		MarkMasqBit          *int     `json:"markMasqBit"`
		ExternalSetMarkChain *string  `json:"externalSetMarkChain"`
		RuntimeConfig        struct {
			PortMappings []struct {
				HostPort      int    `json:"hostPort"`
				ContainerPort int    `json:"containerPort"`
				Protocol      string `json:"protocol"`
				HostIP        string `json:"hostIP"`
			} `json:"portMappings"`
		} `json:"runtimeConfig"`
	}
	firewallOptions struct {
		Backend                string `json:"backend"`
		IPTablesAdminChainName string `json:"iptablesAdminChainName"`
		FirewalldZone          string `json:"firewalldZone"`
		IngressPolicy          string `json:"ingressPolicy"`
	}
)

// isChained reports whether a plugin only changes an interface that another in the list has made.
func isChained(plugin string) bool {
	return isTuning(plugin) || slices.Contains([]string{"bandwidth", "portmap", "firewall", "sbr", "vrf"}, plugin)
}

// isFirst reports whether the names of its keys in messages are those of the plugin that makes the interface.
func isFirst(prefix string) bool { return prefix == "" || prefix == "plugins[0]." }

// unchained refuses a plugin as the first of a network that fails without the result of one before it.
func (r *configReader) unchained(v, kind value, prefix, plugin string) {
	result := v.folded("prevResult")
	if isFirst(prefix) && isChained(plugin) && (result == nil || result.kind == null) {
		r.wrong(kind, "%stype: %s makes no interface: write it behind a plugin that does, as in "+
			`{"plugins": [{"type": "bridge", ...}, {"type": %q, ...}]}`, prefix, plugin, plugin)
	}
}

// chained judges options of those plugins beyond their types.
func (r *configReader) chained(v, kind value, prefix, plugin string) {
	switch plugin {
	case "bandwidth":
		r.atLeast("0.3.0", kind, prefix)
		r.bandwidth(v, prefix)
	case "vrf":
		r.atLeast("0.3.1", kind, prefix)
	case "portmap":
		r.portmap(v, prefix)
		r.word(v, prefix, "backend", plugin, []string{"iptables", "nftables"})
	case "firewall":
		r.atLeast("0.4.0", kind, prefix)
		r.word(v, prefix, "backend", plugin, []string{"iptables", "firewalld"})
		r.word(v, prefix, "ingressPolicy", plugin, []string{"open", "same-bridge", "isolated"})
	}
}

// atLeast refuses a plugin in a configuration of a version of the specification that it never knew.
func (r *configReader) atLeast(oldest string, kind value, prefix string) {
	written := slices.Index(versions(), r.version)
	if written >= 0 && written < slices.Index(versions(), oldest) {
		r.wrong(kind, "%stype: %s does not know cniVersion %s: write %s or a higher one",
			prefix, kind.text, r.version, oldest)
	}
}

// bandwidth refuses limits that the plugin fails with. Its own go before those that were to come with the pod.
func (r *configReader) bandwidth(v value, prefix string) {
	limits := v
	if !slices.ContainsFunc([]string{"ingressRate", "ingressBurst", "egressRate", "egressBurst"}, func(name string) bool {
		return v.folded(name) != nil
	}) {
		runtime := v.folded("runtimeConfig")
		if runtime == nil || runtime.folded("bandwidth") == nil {
			return
		}
		limits, prefix = *runtime.folded("bandwidth"), prefix+"runtimeConfig.bandwidth."
	}
	var o bandwidthLimits
	if json.Unmarshal(passedOn(r.source[limits.start:limits.end]), &o) != nil { // decodable has told it
		return
	}
	r.limit(limits, prefix, "ingress", o.IngressRate, o.IngressBurst)
	r.limit(limits, prefix, "egress", o.EgressRate, o.EgressBurst)
}

func (r *configReader) limit(v value, prefix, direction string, rate, burst uint64) {
	const largest = 8*math.MaxUint32 - 1
	switch {
	case rate != 0 && burst == 0:
		r.wrong(v, "%s%sBurst is missing: the plugin fails with a rate and no burst, in bits", prefix, direction)
	case rate == 0 && burst != 0:
		r.wrong(v, "%s%sRate is missing: the plugin fails with a burst and no rate, in bits per second", prefix, direction)
	case burst > largest:
		r.wrong(*v.folded(direction + "Burst"), "%s%sBurst is %d: want at most %d bits",
			prefix, direction, burst, uint64(largest))
	}
}

// portmap refuses marks that the plugin fails with.
func (r *configReader) portmap(v value, prefix string) {
	var o portmapOptions
	if json.Unmarshal(passedOn(r.source[v.start:v.end]), &o) != nil || o.MarkMasqBit == nil {
		return
	}
	switch bit := v.folded("markMasqBit"); {
	case o.ExternalSetMarkChain != nil:
		r.wrong(*bit, "%smarkMasqBit and externalSetMarkChain exclude each other: leave one out", prefix)
	case *o.MarkMasqBit < 0 || *o.MarkMasqBit > 31:
		r.wrong(*bit, "%smarkMasqBit is %d: want 0 to 31", prefix, *o.MarkMasqBit)
	}
}
