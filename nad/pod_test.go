// SPDX-License-Identifier: Apache-2.0

package nad

import (
	"testing"

	"github.com/stretchr/testify/assert"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func TestInterfacesOfAPod(t *testing.T) {
	l2 := Ref{Namespace: "home", Name: "l2"}
	for name, c := range map[string]struct {
		networks, standard, status string
		want                       []Interface
	}{
		"a pod without networks": {},
		"networks in the short form go by Multus's names": {
			networks: "l2, far/l3@eth7, l2",
			want:     []Interface{{Ref: l2, Name: "net1"}, {Ref: Ref{"far", "l3"}, Name: "eth7"}, {Ref: l2, Name: "net3"}},
		},
		"an address that is asked for and one that is reported are of one interface": {
			networks: `[{"name":"l2","mac":"02:00:00:00:00:0A"}]`,
			status:   `[{"name":"home/l2","interface":"net1","mac":"02:00:00:00:00:0a"}]`,
			want:     []Interface{{Ref: l2, Name: "net1", Asked: "02:00:00:00:00:0A", Reported: "02:00:00:00:00:0a"}},
		},
		"a network that needs no Ethernet address keeps its place": {
			networks: `[{"name":"ib","infiniband-guid":"00:02:00:00:00:00:00:01"},{"name":"l2"}]`,
			want:     []Interface{{Ref: l2, Name: "net2"}},
		},
		"the cluster's network does not count": {
			status: `[{"name":"cni","interface":"eth0","mac":"0a:58:0a:f4:00:05","default":true},{"name":"home/l2","interface":"net1","mac":"02:00:00:00:00:02"}]`,
			want:   []Interface{{Ref: l2, Name: "net1", Reported: "02:00:00:00:00:02"}},
		},
		"nor does it where it is no default, or has no interface": {
			status: `[{"name":"ovn","interface":"eth0","mac":"0a:58:0a:f4:00:05"},{"name":"home/l2","mac":"02:00:00:00:00:02"}]`,
		},
		"an address of the primary interface that is made of a GUID does not count": {
			standard: `[{"name":"ib","infiniband-guid":"00:02:00:00:00:00:00:01","mac":"02:00:00:00:00:00:00:01"}]`,
		},
		"what was attached without being asked for counts": {
			networks: "l2", status: `[{"name":"extra","interface":"net5","mac":"02:00:00:00:00:02"}]`,
			want: []Interface{{Ref: l2, Name: "net1"}, {Ref: Ref{"home", "extra"}, Name: "net5", Reported: "02:00:00:00:00:02"}},
		},
		"an address of the primary interface that is asked for counts": {
			networks: "l2", standard: `[{"name":"l2","namespace":"lan","mac":"02-00-00-00-00-0A"}]`,
			status: `[{"name":"lan/l2","interface":"eth0","mac":"02:00:00:00:00:0b","default":true}]`,
			want: []Interface{
				{Ref: Ref{"lan", "l2"}, Name: "eth0", Asked: "02-00-00-00-00-0A", Primary: true}, {Ref: l2, Name: "net1"},
			},
		},
		"the namespace of a default network may be left out": {
			standard: `[{"name":"l2","mac":"02:00:00:00:00:01"}]`,
			want:     []Interface{{Ref: Ref{Name: "l2"}, Name: "eth0", Asked: "02:00:00:00:00:01", Primary: true}},
		},
		"a default network of which no address is asked for is that network's": {standard: "lan/l2"},
		"of two default networks Multus takes neither": {
			standard: `[{"name":"l2","mac":"02:00:00:00:00:01"},{"name":"l3"}]`,
		},
		"an address that is asked for as an argument of the plugin counts": {
			networks: `[{"name":"l2","cni-args":{"mac":"02:00:00:00:00:0a"}}]`,
			want:     []Interface{{Ref: l2, Name: "net1"}, {Ref: l2, Name: "net1", Asked: "02:00:00:00:00:0a"}},
		},
		"so it does beside another, and beside a GUID": {
			networks: `[{"name":"l2","mac":"02:00:00:00:00:0b","cni-args":{"mac":"02:00:00:00:00:0a"}},` +
				`{"name":"l2","infiniband-guid":"00:02:00:00:00:00:00:01","cni-args":{"mac":"02:00:00:00:00:0c"}}]`,
			want: []Interface{
				{Ref: l2, Name: "net1", Asked: "02:00:00:00:00:0b"}, {Ref: l2, Name: "net1", Asked: "02:00:00:00:00:0a"},
				{Ref: l2, Name: "net2", Asked: "02:00:00:00:00:0c"},
			},
		},
		"so does one of the primary interface": {
			standard: `[{"name":"l2","cni-args":{"mac":"02:00:00:00:00:0a"}}]`,
			want:     []Interface{{Ref: Ref{Name: "l2"}, Name: "eth0", Asked: "02:00:00:00:00:0a", Primary: true}},
		},
		"of several arguments the plugin takes the last that Multus writes": {
			networks: `[{"name":"l2","mac":"02:00:00:00:00:0e","cni-args":{"mac":"02:00:00:00:00:0e","MAC":"02:00:00:00:00:0a",` +
				`"Mac":"02:00:00:00:00:0b","mAC":"02:00:00:00:00:0c","maC":"02:00:00:00:00:0d"}}]`,
			want: []Interface{{Ref: l2, Name: "net1", Asked: "02:00:00:00:00:0e"}},
		},
		"a torn annotation says nothing": {
			networks: `[{"name":"l2","mac":"02:00:00:00:00:01"`, status: `[{"name"`, standard: `[{"mac"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := Interfaces("home", map[string]string{
				NetworksAnnotation: c.networks, DefaultNetworkAnnotation: c.standard, StatusAnnotation: c.status,
			})
			assert.Equal(t, c.want, got)
		})
	}
}

func TestPodsOfVMs(t *testing.T) {
	owner := func(apiVersion, kind string, controller *bool) []metav1.OwnerReference {
		return []metav1.OwnerReference{{APIVersion: apiVersion, Kind: kind, Name: "vm", Controller: controller}}
	}
	for name, c := range map[string]struct {
		labels map[string]string
		owners []metav1.OwnerReference
		want   bool
	}{
		"a pod of its own":                       {},
		"KubeVirt's label":                       {labels: map[string]string{LauncherLabel: Launcher}, want: true},
		"another pod of KubeVirt's":              {labels: map[string]string{LauncherLabel: "virt-handler"}},
		"an instance controls it":                {owners: owner("kubevirt.io/v1", "VirtualMachineInstance", ptr.To(true)), want: true},
		"an instance owns it":                    {owners: owner("kubevirt.io/v1", "VirtualMachineInstance", nil)},
		"something else of that name controls":   {owners: owner("example.org/v1", "VirtualMachineInstance", ptr.To(true))},
		"an instance owns it and does not steer": {owners: owner("kubevirt.io/v1", "VirtualMachineInstance", ptr.To(false))},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, IsLauncher(c.labels, c.owners)) })
	}
}
