// SPDX-License-Identifier: Apache-2.0

package nad

import (
	"errors"
	"net"
	"reflect"
)

// What follows are options in the types that plugins read them as: those of containernetworking/plugins 1.10, ovs-cni,
// sriov-cni and OVN-Kubernetes. A plugin fails if one is of another type.
type (
	// commonOptions are read by libcni, of every plugin.
	commonOptions struct {
		CNIVersion   string          `json:"cniVersion"`
		Name         string          `json:"name"`
		PrevResult   map[string]any  `json:"prevResult"`
		Capabilities map[string]bool `json:"capabilities"`
		IPAM         struct {
			Type string `json:"type"`
		} `json:"ipam"`
		DNS dnsOptions `json:"dns"`
	}
	dnsOptions struct {
		Nameservers []string `json:"nameservers"`
		Domain      string   `json:"domain"`
		Search      []string `json:"search"`
		Options     []string `json:"options"`
	}
	macOptions struct {
		MAC string `json:"mac"`
	}
	macvlanOptions struct {
		Master          string     `json:"master"`
		Mode            string     `json:"mode"`
		MTU             int        `json:"mtu"`
		MAC             string     `json:"mac"`
		LinkInContainer bool       `json:"linkInContainer"`
		BcQueueLen      uint32     `json:"bcqueuelen"`
		RuntimeConfig   macOptions `json:"runtimeConfig"`
	}
	ipvlanOptions struct {
		Master          string `json:"master"`
		Mode            string `json:"mode"`
		MTU             int    `json:"mtu"`
		LinkInContainer bool   `json:"linkInContainer"`
	}
	vlanOptions struct {
		Master          string `json:"master"`
		VLANID          int    `json:"vlanId"`
		MTU             int    `json:"mtu"`
		LinkInContainer bool   `json:"linkInContainer"`
	}
	tapOptions struct {
		MultiQueue     bool       `json:"multiQueue"`
		MTU            int        `json:"mtu"`
		MAC            string     `json:"mac"`
		Owner          uint32     `json:"owner"`
		Group          uint32     `json:"group"`
		SELinuxContext string     `json:"selinuxContext"`
		Bridge         string     `json:"bridge"`
		Args           struct{}   `json:"args"`
		RuntimeConfig  macOptions `json:"runtimeConfig"`
	}
	hostDeviceOptions struct {
		Device              string `json:"device"`
		HWAddr              string `json:"hwaddr"`
		KernelPath          string `json:"kernelpath"`
		PCIBusID            string `json:"pciBusID"`
		DeviceID            any    `json:"deviceID"` // Multus writes it
		DPDKMode            bool   `json:"DPDKMode"`
		UseInterfaceNetwork bool   `json:"useInterfaceNetwork"`
		RuntimeConfig       struct {
			DeviceID string `json:"deviceID"`
		} `json:"runtimeConfig"`
	}
	tuningOptions struct {
		DataDir       string            `json:"dataDir"`
		Sysctl        map[string]string `json:"sysctl"`
		MAC           string            `json:"mac"`
		Promisc       bool              `json:"promisc"`
		MTU           int               `json:"mtu"`
		AllMulti      bool              `json:"allmulti"`
		TxQLen        int               `json:"txQLen"`
		RuntimeConfig macOptions        `json:"runtimeConfig"`
		Args          struct {
			CNI struct {
				Sysctl   map[string]string `json:"sysctl"`
				MAC      string            `json:"mac"`
				Promisc  bool              `json:"promisc"`
				MTU      int               `json:"mtu"`
				AllMulti bool              `json:"allmulti"`
				TxQLen   int               `json:"txQLen"`
			} `json:"cni"`
		} `json:"args"`
	}
	sriovOptions struct {
		VLAN          int        `json:"vlan"`
		VLANQoS       int        `json:"vlanQoS"`
		VLANProto     string     `json:"vlanProto"`
		VLANTrunk     string     `json:"vlan_trunk"`
		DeviceID      string     `json:"deviceID"`
		MinTxRate     int        `json:"min_tx_rate"`
		MaxTxRate     int        `json:"max_tx_rate"`
		SpoofChk      onOff      `json:"spoofchk"`
		Trust         onOff      `json:"trust"`
		LinkState     string     `json:"link_state"`
		MAC           string     `json:"mac"`
		LogLevel      string     `json:"logLevel"`
		LogFile       string     `json:"logFile"`
		RuntimeConfig macOptions `json:"runtimeConfig"`
	}
	ovsOptions struct {
		Bridge                 string      `json:"bridge"`
		VLAN                   uint        `json:"vlan"`
		MTU                    int         `json:"mtu"`
		Trunk                  []*trunking `json:"trunk"`
		DeviceID               string      `json:"deviceID"`
		OfportRequest          uint        `json:"ofport_request"`
		InterfaceType          string      `json:"interface_type"`
		ConfigurationPath      string      `json:"configuration_path"`
		SocketFile             string      `json:"socket_file"`
		LinkStateCheckRetries  int         `json:"link_state_check_retries"`
		LinkStateCheckInterval int         `json:"link_state_check_interval"`
	}
	overlayOptions struct {
		Topology              string `json:"topology"`
		NetAttachDefName      string `json:"netAttachDefName"`
		MTU                   int    `json:"mtu"`
		Subnets               string `json:"subnets"`
		ExcludeSubnets        string `json:"excludeSubnets"`
		ReservedSubnets       string `json:"reservedSubnets"`
		InfrastructureSubnets string `json:"infrastructureSubnets"`
		JoinSubnet            string `json:"joinSubnet"`
		VLANID                int    `json:"vlanID"`
		PhysicalNetworkName   string `json:"physicalNetworkName"`
		AllowPersistentIPs    bool   `json:"allowPersistentIPs"`
		Role                  string `json:"role"`
	}
	ptpOptions struct {
		IPMasq        bool   `json:"ipMasq"`
		IPMasqBackend string `json:"ipMasqBackend"`
		MTU           int    `json:"mtu"`
	}
	sbrOptions struct {
		Table          int      `json:"table"`
		Gateways       []string `json:"gateways"`
		AddSourceHints bool     `json:"addSourceHints"`
	}
	vrfOptions struct {
		VRFName string `json:"vrfname"`
		Table   uint32 `json:"table"`
	}
)

// Plugins for addresses are given all of the configuration that they are named in.
type (
	hostLocalOptions struct {
		IPAM struct {
			addressRange
			Routes     []route          `json:"routes"`
			DataDir    string           `json:"dataDir"`
			ResolvConf string           `json:"resolvConf"`
			Ranges     [][]addressRange `json:"ranges"`
		} `json:"ipam"`
		Args struct {
			CNI struct {
				IPs []string `json:"ips"`
			} `json:"cni"`
		} `json:"args"`
		RuntimeConfig struct {
			IPRanges [][]addressRange `json:"ipRanges"`
			IPs      []string         `json:"ips"`
		} `json:"runtimeConfig"`
	}
	staticOptions struct {
		IPAM struct {
			Routes    []route    `json:"routes"`
			DNS       dnsOptions `json:"dns"`
			Addresses []struct {
				Address subnet `json:"address"`
				Gateway ip     `json:"gateway"`
			} `json:"addresses"`
		} `json:"ipam"`
		Args struct {
			CNI struct {
				IPs []subnet `json:"ips"`
			} `json:"cni"`
		} `json:"args"`
		RuntimeConfig struct {
			IPs []subnet `json:"ips"`
		} `json:"runtimeConfig"`
	}
	dhcpOptions struct {
		IPAM struct {
			DaemonSocketPath string `json:"daemonSocketPath"`
			Priority         int    `json:"priority"`
			Provide          []struct {
				Option  string `json:"option"`
				Value   string `json:"value"`
				FromArg string `json:"fromArg"`
			} `json:"provide"`
			Request []struct {
				SkipDefault bool   `json:"skipDefault"`
				Option      string `json:"option"`
			} `json:"request"`
		} `json:"ipam"`
	}
	// whereaboutsOptions are those that people write. Of what types they are, and what is lacking, is not judged: a file
	// on the node completes them.
	whereaboutsOptions struct {
		IPAM struct {
			Range             any `json:"range"`
			RangeStart        any `json:"range_start"`
			RangeEnd          any `json:"range_end"`
			Exclude           any `json:"exclude"`
			IPRanges          any `json:"ipRanges"`
			Gateway           any `json:"gateway"`
			Routes            any `json:"routes"`
			Addresses         any `json:"addresses"`
			DNS               any `json:"dns"`
			NetworkName       any `json:"network_name"`
			NodeSliceSize     any `json:"node_slice_size"`
			Overlapping       any `json:"enable_overlapping_ranges"`
			LogFile           any `json:"log_file"`
			LogLevel          any `json:"log_level"`
			ConfigurationPath any `json:"configuration_path"`
			Reconciler        any `json:"reconciler_cron_expression"`
		} `json:"ipam"`
	}
	addressRange struct {
		RangeStart ip     `json:"rangeStart"`
		RangeEnd   ip     `json:"rangeEnd"`
		Subnet     subnet `json:"subnet"`
		Gateway    ip     `json:"gateway"`
	}
	route struct {
		Dst      subnet `json:"dst"`
		GW       ip     `json:"gw"`
		MTU      int    `json:"mtu"`
		AdvMSS   int    `json:"advmss"`
		Priority int    `json:"priority"`
		Table    int    `json:"table"`
		Scope    int    `json:"scope"`
	}
)

// onOff is read of a string, "on", and any other is "off".
type onOff string

// An ip is an address, or empty; a subnet is one with the length of its prefix.
type (
	ip     struct{}
	subnet struct{}
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (*ip) UnmarshalText(text []byte) error {
	if len(text) > 0 && net.ParseIP(string(text)) == nil {
		return errors.New("want an address such as 10.0.0.1")
	}
	return nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (*subnet) UnmarshalText(text []byte) error {
	if _, _, err := net.ParseCIDR(string(text)); err != nil {
		return errors.New("want an address with a prefix length, such as 10.0.0.0/24")
	}
	return nil
}

// typeOf returns the type that a plugin reads its options as; nil if it is not known.
func typeOf(plugin string) reflect.Type {
	switch plugin {
	case "bridge", "cnv-bridge":
		return reflect.TypeFor[bridgeOptions]()
	case "macvlan":
		return reflect.TypeFor[macvlanOptions]()
	case "ipvlan":
		return reflect.TypeFor[ipvlanOptions]()
	case "vlan":
		return reflect.TypeFor[vlanOptions]()
	case "tap":
		return reflect.TypeFor[tapOptions]()
	case "host-device":
		return reflect.TypeFor[hostDeviceOptions]()
	case "tuning", "cnv-tuning":
		return reflect.TypeFor[tuningOptions]()
	case "sriov":
		return reflect.TypeFor[sriovOptions]()
	case "ovs":
		return reflect.TypeFor[ovsOptions]()
	case overlay:
		return reflect.TypeFor[overlayOptions]()
	case "ptp":
		return reflect.TypeFor[ptpOptions]()
	case "sbr":
		return reflect.TypeFor[sbrOptions]()
	case "vrf":
		return reflect.TypeFor[vrfOptions]()
	case "bandwidth":
		return reflect.TypeFor[bandwidthOptions]()
	case "portmap":
		return reflect.TypeFor[portmapOptions]()
	case "firewall":
		return reflect.TypeFor[firewallOptions]()
	}
	return nil
}

// typeOfIPAM is typeOf of plugins for addresses.
func typeOfIPAM(plugin string) reflect.Type {
	switch plugin {
	case "host-local":
		return reflect.TypeFor[hostLocalOptions]()
	case "static":
		return reflect.TypeFor[staticOptions]()
	case "dhcp":
		return reflect.TypeFor[dhcpOptions]()
	case "whereabouts":
		return reflect.TypeFor[whereaboutsOptions]()
	}
	return nil
}
