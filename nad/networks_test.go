// SPDX-License-Identifier: Apache-2.0

package nad

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	netv1 "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	"github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/utils"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// told returns a selection as <namespace>/<name>@<interface> <mac>.
func told(selections []Selection) []string {
	var all []string
	for _, s := range selections {
		text := s.Ref.String()
		if s.Interface != "" {
			text += "@" + s.Interface
		}
		if s.MAC != "" {
			text += " " + s.MAC
		}
		all = append(all, text)
	}
	return all
}

func TestNetworksOfAPod(t *testing.T) {
	for name, c := range map[string]struct {
		source string
		want   []string
	}{
		"none":                           {source: ""},
		"one by name":                    {source: "l2", want: []string{"home/l2"}},
		"one of another namespace":       {source: "far/l2", want: []string{"far/l2"}},
		"one with an interface":          {source: "far/l2@net7", want: []string{"far/l2@net7"}},
		"an interface that is no label":  {source: "l2@Eth0.100_x", want: []string{"home/l2@Eth0.100_x"}},
		"several, with blanks":           {source: " l2 ,far / l2 @ net9,\n\tl2", want: []string{"home/l2", "far/l2@net9", "home/l2"}},
		"signs with nothing to them":     {source: "/l2@", want: []string{"home/l2"}},
		"a network called null":          {source: "null", want: []string{"home/null"}},
		"an empty list":                  {source: " [] "},
		"a list":                         {source: `[{"name":"l2"},{"namespace":"far","name":"l2","interface":"net9","mac":"02:00:00:00:00:01"}]`, want: []string{"home/l2", "far/l2@net9 02:00:00:00:00:01"}},
		"a name with dots in a list":     {source: `[{"name":"l2.prod"}]`, want: []string{"home/l2.prod"}},
		"keys that are newer than we":    {source: `[{"name":"l2","later":[{}]}]`, want: []string{"home/l2"}},
		"keys in another case":           {source: `[{"Name":"l2","MAC":"02:00:00:00:00:01"}]`, want: []string{"home/l2 02:00:00:00:00:01"}},
		"a key given twice, the last":    {source: `[{"name":"l2","name":"l3"}]`, want: []string{"home/l3"}},
		"an older key that says nothing": {source: `[{"name":"l2","interfaceRequest":null}]`, want: []string{"home/l2"}},
		"an interface by an older key":   {source: `[{"name":"l2","interfaceRequest":"net7"},{"name":"l3","interface":"net8","interfaceRequest":"x"}]`, want: []string{"home/l2@net7", "home/l3@net8"}},
		"an empty namespace":             {source: `[{"name":"l2","namespace":""}]`, want: []string{"home/l2"}},
		"an address of InfiniBand":       {source: `[{"name":"l2","mac":"00:00:00:00:fe:80:00:00:00:00:00:00:02:00:5e:10:00:00:00:01"}]`, want: []string{"home/l2 00:00:00:00:fe:80:00:00:00:00:00:00:02:00:5e:10:00:00:00:01"}},
		"escaped letters":                {source: `[{"name":"\u006c2"}]`, want: []string{"home/l2"}},
		"what KubeVirt writes":           {source: `[{"name":"l2","namespace":"far","mac":"02:00:00:00:00:01","interface":"pod16477688c0e"},{"name":"b","namespace":"far","cni-args":{"logicNetworkName":"x"}}]`, want: []string{"far/l2@pod16477688c0e 02:00:00:00:00:01", "far/b"}},
		"a default route of each kind":   {source: `[{"name":"l2","default-route":["10.0.0.254"]},{"name":"l3","default-route":["fd00::1"]}]`, want: []string{"home/l2", "home/l3"}},
		"a default route and addresses":  {source: `[{"name":"l2","ips":["10.0.0.1/24"],"default-route":["10.0.0.254"]}]`, want: []string{"home/l2"}},
		"the longest name of interface":  {source: "l2@" + strings.Repeat("x", 15), want: []string{"home/l2@" + strings.Repeat("x", 15)}},
		"the longest name of a network":  {source: fmt.Sprintf(`[{"name":%q}]`, strings.Repeat("x", 253)), want: []string{"home/" + strings.Repeat("x", 253)}},
		"the same network several times": {source: "l2,l2,l2", want: []string{"home/l2", "home/l2", "home/l2"}},
	} {
		t.Run(name, func(t *testing.T) {
			networks, problems := ParseNetworks(c.source, "home", field.NewPath("a"))
			require.Empty(t, problems)
			assert.Equal(t, c.want, told(networks.Selections))
			unchanged, err := networks.WithMACs(nil)
			require.NoError(t, err)
			assert.Equal(t, c.source, unchanged)
		})
	}
}

func TestNetworksThatArePointedAt(t *testing.T) {
	for name, c := range map[string]struct {
		source string
		want   []string
	}{
		"blanks":                             {" ", []string{"a[0]: Invalid value: \"\": names no network"}},
		"a comma too many":                   {"l2,", []string{"a[1]: Invalid value: \"\": names no network: remove the comma"}},
		"two commas":                         {"l2,,l3", []string{"a[1]: "}},
		"blanks between":                     {"l2 l3", []string{"networks are separated by commas"}},
		"blanks before a namespace":          {"l2 far/l3", []string{"a[0]: ", "networks are separated by commas"}},
		"a variable of a shell":              {"far/$NET", []string{"a[0].name: ", "is a placeholder that nothing filled in: write its value"}},
		"a placeholder of an example":        {`[{"name":"<network>"}]`, []string{"a[0].name: ", "is a placeholder that nothing filled in"}},
		"a device that is a number":          {`[{"name":"l2","deviceID":5}]`, []string{"a[0].deviceID: Invalid value: line 1, column 26: want a string, not a number"}},
		"two slashes":                        {"a/b/c", []string{"has more than one /"}},
		"two at signs":                       {"a@b@c", []string{"has more than one @"}},
		"no name":                            {"far/", []string{"a[0].name: Invalid value: \"\": the name of a NetworkAttachmentDefinition is missing"}},
		"a name with a dot":                  {"l2.prod", []string{`must be written in JSON: [{"name": "l2.prod"}]`}},
		"capitals":                           {"L2", []string{"a[0].name: Invalid value: \"L2\": a lowercase RFC 1123 subdomain"}},
		"a namespace that is none":           {"Far/l2", []string{"a[0].namespace: Invalid value: \"Far\""}},
		"an interface of sixteen letters":    {"l2@" + strings.Repeat("x", 16), []string{"a[0].interface: ", "longer than the 15"}},
		"an interface with a colon":          {"l2@eth0:1", []string{"a[0].interface: ", "blanks, slashes and colons"}},
		"an interface with a blank":          {`[{"name":"l2","interface":"e 0"}]`, []string{"a[0].interface: "}},
		"an interface called ..":             {"l2@..", []string{"a[0].interface: "}},
		"an interface twice":                 {"l2@net1,l3@net1", []string{"a[1].interface: Invalid value: \"net1\": attachment 0 has the same name"}},
		"the name that Multus gives another": {"l2,l3@net1", []string{"a[1].interface: Invalid value: \"net1\": attachment 0, for which no name is given, has this one: choose another"}},
		"the name that Multus will give":     {"l2@net2,l3", []string{"a[0].interface: Invalid value: \"net2\": attachment 1, for which no name is given, has this one"}},
		"an object in place of a list":       {`{"name":"l2"}`, []string{`want a list, [{"name": "..."}], not an object`}},
		"a text in place of a list":          {`"l2"`, []string{"want a list", "not a string"}},
		"objects in place of a list":         {`{"name":"l2"}, {"name":"l3"}`, []string{"want a list: write [ before it and ] behind it"}},
		"names in brackets":                  {" [l2, far/l3@net7] ", []string{"a: Invalid value: remove the brackets: names alone are separated by commas"}},
		"something else in brackets":         {"[l2, L3]", []string{`is not JSON: line 1, column 2: a string is written in double quotes: "l2"`}},
		"a name in quotes":                   {`"far/l2"`, []string{"want a list", "not a string: remove the quotes"}},
		"an object in quotes":                {`"{\"name\":\"l2\"}"`, []string{"remove these quotes, here and at the end"}},
		"a name by the key of VMs":           {`[{"networkName":"l2"}]`, []string{`is missing: write "name" in place of "networkName"`}},
		"a name by nearly its key":           {`[{"nme":"l2"}]`, []string{`is missing: write "name" in place of "nme"`}},
		"two lists":                          {`[{"name":"l2"}],[{"name":"l3"}]`, []string{"the list ends before this"}},
		"a list of YAML":                     {"- l2", []string{"a[0]: Invalid value: \"- l2\": is YAML"}},
		"a key of YAML":                      {"name: l2", []string{"is YAML: want <namespace>/<name>@<interface>"}},
		"quotes":                             {"'l2'", []string{"a[0].name: ", "has quotes around it: remove them"}},
		"quotes around name and namespace":   {"'far/l2'", []string{"a[0].name: Invalid value: \"l2'\": has quotes around it", "a[0].namespace: Invalid value: \"'far\": has quotes around it"}},
		"an invisible mark in a namespace":   {"far\u200e/l2", []string{"a[0].namespace: ", "has an invisible character (U+200E): remove it"}},
		"typographic quotes":                 {"\u201cl2\u201d", []string{"has a typographic quote (U+201C): remove it"}},
		"an invisible character":             {"far/l2\u200b", []string{"has an invisible character (U+200B): remove it"}},
		"a typographic dash":                 {"l\u20132", []string{"has a typographic dash (U+2013): write - in its place"}},
		"semicolons":                         {"l2;l3", []string{"networks are separated by commas"}},
		"a colon for a slash":                {"far:l2", []string{"a namespace is separated by a slash"}},
		"all in a name":                      {`[{"name":"far/l2@net7"}]`, []string{`write "namespace": "far", "name": "l2", "interface": "net7"`}},
		"an interface in a name":             {`[{"name":"l2@net7","namespace":"far"}]`, []string{`in JSON the interface is a key of its own: write "name": "l2", "interface": "net7"`}},
		"a port in quotes":                   {`[{"name":"l2","portMappings":[{"hostPort":"80"}]}]`, []string{"want a whole number, not a string"}},
		"a null in the list":                 {`[null]`, []string{"a[0]: Invalid value: line 1, column 2: want an object", "not a null"}},
		"a text in the list":                 {`["l2"]`, []string{"a[0]: Invalid value: line 1, column 2: want an object", "not a string"}},
		"an element without a name":          {`[{"namespace":"far"}]`, []string{"a[0].name: ", "is missing"}},
		"an empty name":                      {`[{"name":""}]`, []string{"a[0].name: ", "is missing"}},
		"the namespace written into a name":  {`[{"name":"far/l2"}]`, []string{`in JSON the namespace is a key of its own: write "namespace": "far", "name": "l2"`}},
		"a path in place of a name":          {`[{"name":"../../secrets/x"}]`, []string{"a[0].name: Invalid value: \"../../secrets/x\": a lowercase RFC 1123 subdomain"}},
		"a path in place of a namespace":     {`[{"name":"l2","namespace":"../x"}]`, []string{"a[0].namespace: "}},
		"a name that is a number":            {"[\n{\"name\": 5}]", []string{"a[0].name: Invalid value: line 2, column 10: want a string, not a number"}},
		"an address that is none":            {`[{"name":"l2","mac":"02:zz"}]`, []string{"a[0].mac: Invalid value: \"02:zz\""}},
		"an address that is a list":          {`[{"name":"l2","mac":[]}]`, []string{"a[0].mac: Invalid value: line 1, column 21: want a string, not a list"}},
		"addresses that are a text":          {`[{"name":"l2","ips":"10.0.0.1"}]`, []string{"a[0].ips: Invalid value: line 1, column 21: want a list, not a string"}},
		"an interface by an older key":       {`[{"name":"l2","interfaceRequest":"net1"},{"name":"l3","interface":"net1"}]`, []string{"a[1].interface: Invalid value: \"net1\": attachment 0 has the same name"}},
		"an interface that is no text":       {`[{"name":"l2","interface":"net\ufffd"}]`, []string{"a[0].interface: Invalid value", "is not an interface name"}},
		"an older key that is a number":      {`[{"name":"l2","interfaceRequest":1}]`, []string{"a[0].interfaceRequest: Invalid value: line 1, column 34: want a string, not a number"}},
		"an IP address that is none":         {`[{"name":"l2","ips":["10.0.0.1/24","10.0.0.256","fd00::1"]}]`, []string{"a[0].ips[1]: Invalid value: \"10.0.0.256\": want an IP address such as 10.0.0.1"}},
		"a GUID that is none":                {`[{"name":"l2","infiniband-guid":"0002"}]`, []string{"a[0].infiniband-guid: Invalid value: \"0002\": want a GUID such as"}},
		"a default route that is no address": {`[{"name":"l2","default-route":["x"]}]`, []string{`a[0].default-route: Invalid value: line 1, column 31: want a list of IP addresses such as "10.0.0.1": `, "invalid IP address"}},
		"two default routes":                 {`[{"name":"l2","default-route":["10.0.0.1"]},{"name":"l3","default-route":["fd00::1","10.0.1.1"]}]`, []string{"a[1].default-route[1]: Invalid value: \"10.0.1.1\": is a second default route of its version of IP"}},
		"two of IPv6 on a network":           {`[{"name":"l2","default-route":["fd00::1","fd00::2"]}]`, []string{"a[0].default-route[1]: Invalid value: \"fd00::2\": is a second default route"}},
		"JSON that is none":                  {`[{"name" "l2"}]`, []string{`a: Invalid value: is not JSON: line 1, column 9: a colon is missing after "name"`}},
		"every problem is told":              {`[{"name":"A"},{"name":"l2","mac":"x"}]`, []string{"a[0].name: ", "a[1].mac: "}},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := ParseNetworks(c.source, "home", field.NewPath("a"))
			require.NotEmpty(t, problems)
			for _, fragment := range c.want {
				assert.Contains(t, problems.ToAggregate().Error(), fragment)
			}
		})
	}
}

func TestAddressesAreWrittenIntoAnnotations(t *testing.T) {
	for name, c := range map[string]struct {
		source, want string
		macs         map[int]string
	}{
		"into a list, and nothing else is touched": {
			source: "[ {\"name\" : \"a\", \"x\":1e2 } ,\n\t{\"name\":\"b\"} ]",
			macs:   map[int]string{0: "02:00:00:00:00:01", 1: "02:00:00:00:00:02"},
			want:   "[ {\"name\" : \"a\", \"x\":1e2,\"mac\":\"02:00:00:00:00:01\" } ,\n\t{\"name\":\"b\",\"mac\":\"02:00:00:00:00:02\"} ]",
		},
		"in place of an empty one": {
			source: `[{"mac": "", "name":"a"}]`, macs: map[int]string{0: "02:00:00:00:00:01"}, want: `[{"mac": "02:00:00:00:00:01", "name":"a"}]`,
		},
		"in place of null, in whatever case": {
			source: `[{"MAC":null,"name":"a"}]`, macs: map[int]string{0: "02:00:00:00:00:01"}, want: `[{"MAC":"02:00:00:00:00:01","name":"a"}]`,
		},
		"of the second alone": {
			source: `[{"name":"a","mac":"02:00:00:00:00:09"},{"name":"b"}]`, macs: map[int]string{1: "02:00:00:00:00:01"},
			want: `[{"name":"a","mac":"02:00:00:00:00:09"},{"name":"b","mac":"02:00:00:00:00:01"}]`,
		},
		"into the other form, which becomes JSON": {
			source: "a, far/b@net7", macs: map[int]string{0: "02:00:00:00:00:01", 1: "02:00:00:00:00:02"},
			want: `[{"name":"a","mac":"02:00:00:00:00:01"},{"name":"b","namespace":"far","interface":"net7","mac":"02:00:00:00:00:02"}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			networks, problems := ParseNetworks(c.source, "home", nil)
			require.Empty(t, problems)
			written, err := networks.WithMACs(c.macs)
			require.NoError(t, err)
			assert.Equal(t, c.want, written)
		})
	}
}

// FuzzNetworks has the parser of the NAD client library, which Multus began as, for its oracle. What ours takes, that
// takes, and to the same effect, but for names of interfaces in the form without JSON: Multus takes any that Linux
// does, the library wants labels. What ours refuses and that takes would fail later: names that no object can have, or
// none at all, interfaces and addresses that no kernel takes, and an interface that is named twice.
func FuzzNetworks(f *testing.F) {
	for _, seed := range []string{
		"", " ", "l2", "far/l2@net1, l2", "l2@Eth0", "l2,", "a/b/c", "@", "/", "[]", "[null]", `[{"name":"l2"}]`, `[{"name":"far/l2"}]`,
		`[{"NAME":"l2","mac":"02:00:00:00:00:01","interface":"net1"},{"name":"l2","namespace":"far","ips":["1"]}]`, `[{"name":"a","name":"b"}]`, "null", `"`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		folded := strings.ToLower(source)
		if strings.Contains(folded, "interfacerequest") || strings.Contains(folded, "deviceid") {
			return // the library does not know these keys of Multus
		}
		networks, problems := ParseNetworks(source, "home", field.NewPath("a"))
		theirs, err := parsedByTheLibrary(source)
		if len(problems) > 0 {
			if err == nil {
				require.NotEmpty(t, whyLater(theirs), "the library takes %q, which we refuse: %v", source, problems)
			}
			return
		}
		if err != nil {
			onlyInterface := func() bool {
				_, err := parsedByTheLibrary(withoutInterfaces(networks.Selections))
				return !networks.json && err == nil
			}
			require.True(t, source == "" || onlyInterface(), "we take %q, which the library refuses: %v", source, err)
		} else {
			require.Equal(t, toldByTheLibrary(theirs), told(networks.Selections))
		}
		macs := map[int]string{}
		for i, s := range networks.Selections {
			require.Empty(t, validation.IsDNS1123Subdomain(s.Name))
			require.Empty(t, validation.IsDNS1123Label(s.Namespace))
			macs[i] = fmt.Sprintf("02:00:00:00:00:%02x", i%256)
		}
		checkWritten(t, networks, macs)
	})
}

// checkWritten checks that addresses are written into an annotation and that everything else in it says what it said.
func checkWritten(t *testing.T, networks Networks, macs map[int]string) {
	t.Helper()
	written, err := networks.WithMACs(macs)
	require.NoError(t, err)
	again, problems := ParseNetworks(written, "home", nil)
	require.Empty(t, problems, written)
	require.Len(t, again.Selections, len(networks.Selections))
	for i, s := range again.Selections {
		require.Equal(t, macs[i], s.MAC)
		require.Equal(t, networks.Selections[i].Ref, s.Ref)
		require.Equal(t, networks.Selections[i].Interface, s.Interface)
	}
	if !networks.json {
		return
	}
	var before, after []map[string]any
	require.NoError(t, json.Unmarshal([]byte(networks.source), &before))
	require.NoError(t, json.Unmarshal([]byte(written), &after))
	for i := range before {
		for _, element := range []map[string]any{before[i], after[i]} {
			for key := range element {
				if strings.EqualFold(key, "mac") {
					delete(element, key)
				}
			}
		}
	}
	require.Equal(t, before, after)
}

// parsedByTheLibrary returns the library's answer. It panics for a null in a list, which is an error here.
func parsedByTheLibrary(source string) (parsed []*netv1.NetworkSelectionElement, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("the library panicked: %v", cause)
		}
	}()
	return utils.ParseNetworkAnnotation(source, "home")
}

func toldByTheLibrary(parsed []*netv1.NetworkSelectionElement) []string {
	var selections []Selection
	for _, e := range parsed {
		selections = append(
			selections,
			Selection{Ref: Ref{Namespace: e.Namespace, Name: e.Name}, Interface: e.InterfaceRequest, MAC: e.MacRequest},
		)
	}
	return told(selections)
}

// whyLater returns what of the library's answer fails when the pod is attached.
func whyLater(parsed []*netv1.NetworkSelectionElement) []string {
	var reasons []string
	interfaces := map[string]bool{}
	for i, e := range parsed {
		if e == nil {
			return []string{"it is null"}
		}
		name := Selection{Interface: e.InterfaceRequest}.InterfaceName(i)
		reasons = append(reasons, validation.IsDNS1123Subdomain(e.Name)...)
		reasons = append(reasons, validation.IsDNS1123Label(e.Namespace)...)
		if wrong := checkInterface(e.InterfaceRequest); wrong != "" {
			reasons = append(reasons, wrong)
		}
		if e.MacRequest != "" || e.InfinibandGUIDRequest != "" || len(e.IPRequest) > 0 || len(e.GatewayRequest) > 0 {
			reasons = append(reasons, "the address may be none, or a route one too many")
		}
		if interfaces[name] {
			reasons = append(reasons, "the interface is there twice")
		}
		interfaces[name] = true
	}
	return reasons
}

func withoutInterfaces(selections []Selection) string {
	var items []string
	for _, s := range selections {
		items = append(items, s.Ref.String())
	}
	return strings.Join(items, ",")
}
