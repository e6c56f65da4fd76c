// SPDX-License-Identifier: Apache-2.0

package nad

import (
	"reflect"
	"strings"
	"testing"

	netv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestKeysThatMultusPassesOver(t *testing.T) {
	for name, c := range map[string]struct {
		source string
		want   []string
	}{
		"keys that it reads":         {source: `[{"name":"l2","MAC":"02:00:00:00:00:01","ips":["10.0.0.1"],"default-route":[]}]`},
		"a key of a later Multus":    {source: `[{"name":"l2","later":true}]`},
		"the key of VMs":             {`[{"name":"l2","macAddress":"x"}]`, []string{"line 1, column 28: macAddress means nothing to Multus: did you mean mac?"}},
		"a word for another":         {`[{"name":"l2","ip":["10.0.0.1"]}]`, []string{"ip means nothing to Multus: did you mean ips?"}},
		"keys that only Multus has":  {source: `[{"name":"l2","interfaceRequest":"x","deviceID":"y"}]`},
		"words of before":            {`[{"name":"l2","macRequest":"x","ipRequest":"y"}]`, []string{"did you mean mac?", "did you mean ips?"}},
		"a short word":               {`[{"name":"l2","macAddr":"x"}]`, []string{"did you mean mac?"}},
		"a letter too few":           {`[{"name":"l2","namespce":"far"}]`, []string{"did you mean namespace?"}},
		"a dash too few":             {`[{"name":"l2","cniargs":{}}]`, []string{"did you mean cni-args?"}},
		"a key twice":                {`[{"name":"l2","name":"l3"}]`, []string{"line 1, column 10: name is written again further on, which is what counts: remove one"}},
		"quotes around an interface": {"l3,l2@'net7'", []string{`interface "'net7'" of attachment 1 has quotes around it: remove them`}},
		"others around an interface": {"l2@\u201cnet7\u201d", []string{"of attachment 0 has a typographic quote (U+201C): remove it"}},
		"one in each of two entries": {`[{"name":"a","ifname":"x"},{"name":"b","interfaceName":"y"}]`, []string{"ifname", "interfaceName"}},
	} {
		t.Run(name, func(t *testing.T) {
			networks, problems := ParseNetworks(c.source, "home", nil)
			require.Empty(t, problems)
			require.Len(t, networks.Warnings, len(c.want), "%q", networks.Warnings)
			for i, want := range c.want {
				assert.Contains(t, networks.Warnings[i], want)
			}
		})
	}
}

func TestTheKeysOfAnAttachmentAreThoseOfItsType(t *testing.T) {
	var keys []string
	for field := range reflect.TypeFor[netv1.NetworkSelectionElement]().Fields() {
		key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		keys = append(keys, key)
	}
	ofMultus := []string{"interfaceRequest", "deviceID"}
	assert.ElementsMatch(t, append(keys, ofMultus...), selectionKeys())
}
