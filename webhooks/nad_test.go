// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/bridgehead-dev/bridgehead/nad"
	"github.com/bridgehead-dev/bridgehead/netstate"
)

// A nadCase is a file of testdata/nads: a NAD that is written, and the answer that is wanted. The patch is that of the
// webhook that fills in; the rest is the answer of the one that judges what comes of it.
type nadCase struct {
	Why       string                `json:"why"`
	Operation admissionv1.Operation `json:"operation"`
	User      string                `json:"user"`
	// Nodes is how many nodes have each resource, Unserved what is said of nodes, Users who uses the NAD.
	Nodes        map[string]int `json:"nodes"`
	Unserved     []string       `json:"unserved"`
	Users        []string       `json:"users"`
	ClusterFails bool           `json:"clusterFails"`
	// Unoffered are bridges that no policy declares and no node has.
	Unoffered []string        `json:"unoffered"`
	Object    json.RawMessage `json:"object"`
	OldObject json.RawMessage `json:"oldObject"`
	Want      wantedAnswer    `json:"want"`
}

func (c nadCase) handlers(log Handler) (fills, judges Handler) {
	keys := []string{nad.ResourceAnnotation, "example.com/resource"}
	var err error
	if c.ClusterFails {
		err = errors.New("connection refused")
	}
	fills, judges = log, log
	offered := func(bridge string) bool { return !slices.Contains(c.Unoffered, bridge) }
	fills.Reviewer = NADDefaulter{ResourceKeys: keys, Offered: offered}
	judges.Reviewer = NADReviewer{
		ResourceKeys: keys,
		Offered:      offered,
		Advertising:  func(_ context.Context, resource string) (int, error) { return c.Nodes[resource], err },
		Unserved:     func(context.Context, nad.Bridge) ([]string, error) { return c.Unserved, err },
		Users:        func(context.Context, nad.Ref) ([]string, error) { return c.Users, err },
	}
	return fills, judges
}

func (c nadCase) review(t testing.TB, object []byte) []byte {
	t.Helper()
	return reviewOf(t, &admissionv1.AdmissionRequest{
		UID:       "uid",
		Kind:      metav1.GroupVersionKind{Group: "k8s.cni.cncf.io", Version: "v1", Kind: "NetworkAttachmentDefinition"},
		Namespace: home,
		Name:      "l2",
		Operation: c.Operation,
		UserInfo:  authenticationv1.UserInfo{Username: c.User},
		Object:    runtime.RawExtension{Raw: object},
		OldObject: runtime.RawExtension{Raw: c.OldObject},
	})
}

func TestNADsOfTheCorpus(t *testing.T) {
	for name, c := range readCases[nadCase](t, "nads") {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			defer w.flush()
			fills, judges := c.handlers(w.handler)
			object := []byte(c.Object)

			filled := post(t, fills, c.review(t, object))
			if filled.Allowed {
				set := changes(t, filled.Patch)
				if c.Want.Allowed {
					checkValues(t, c.Want.Patch, set)
				}
				object = patched(t, object, filled)
				checkRestUntouched(t, c.Object, object, slices.Sorted(maps.Keys(set)))
				assert.Empty(t, post(t, fills, c.review(t, object)).Patch, "a second look changes nothing")
			} else {
				checkAnswer(t, c.Want, filled)
			}
			w.log.Reset()
			checkAnswer(t, c.Want, post(t, judges, c.review(t, object)))
			assert.Equal(t, c.ClusterFails, strings.Contains(w.log.String(), `"notes"`), "what could not be looked at is told to the log: %s", w.log.String())
		})
	}
}

func TestNothingOfTheClusterNeedBeKnown(t *testing.T) {
	w := newWorld(t)
	defer w.flush()
	handler := Handler{Log: w.handler.Log, Reviewer: NADReviewer{ResourceKeys: []string{nad.ResourceAnnotation}}}
	c := nadCase{Operation: admissionv1.Create}
	response := post(t, handler, c.review(t, []byte(`{"metadata":{"name":"l2"},"spec":{"config":"{\"cniVersion\":\"0.3.1\",\"type\":\"bridge\",\"bridge\":\"br0\",\"vlan\":7}"}}`)))
	assert.True(t, response.Allowed)
	assert.Empty(t, response.Warnings)
	assert.True(t, post(t, handler, nadCase{Operation: admissionv1.Delete}.review(t, nil)).Allowed)
}

func TestNodesWhoseBridgeDoesNotTakeTheVLANs(t *testing.T) {
	const trunk = `{"mode":"trunk","trunk-tags":[{"id":7},{"id-range":{"min":100,"max":199}}]}`
	state := func(uplink, vlan string) string {
		if vlan != "" {
			vlan = `,"vlan":` + vlan
		}
		return `{"interfaces":[{"name":"br0","type":"linux-bridge","bridge":{"port":[{"name":"veth1"},{"name":"` + uplink + `"` + vlan + `}]}},` +
			`{"name":"eth1","type":"ethernet"},{"name":"bond0","type":"bond"},{"name":"veth1","type":"veth"},{"name":"veth2","type":"veth","state":"ignore"},{"name":"tap0","type":"tun"}]}`
	}
	tagged := func(first, last int) nad.Bridge {
		return nad.Bridge{Name: "br0", Trunk: []nad.VLANRange{{First: first, Last: last}}}
	}
	for name, c := range map[string]struct {
		state  string
		bridge nad.Bridge
		want   string
	}{
		"a trunk that has it":             {state("eth1", trunk), nad.Bridge{Name: "br0", VLAN: 100}, ""},
		"a trunk that has a single tag":   {state("bond0", trunk), nad.Bridge{Name: "br0", VLAN: 7}, ""},
		"a trunk that has another":        {state("eth1", trunk), nad.Bridge{Name: "br0", VLAN: 200}, "node n: no uplink of bridge br0 carries VLAN 200"},
		"a range that fits":               {state("eth1", trunk), tagged(120, 199), ""},
		"a range that does not fit":       {state("eth1", trunk), tagged(199, 200), "node n: no uplink of bridge br0 carries VLAN 199-200"},
		"an access port of it":            {state("eth1", `{"mode":"access","tag":100}`), nad.Bridge{Name: "br0", VLAN: 100}, ""},
		"an access port of another":       {state("eth1", `{"mode":"access","tag":1}`), nad.Bridge{Name: "br0", VLAN: 100}, "carries VLAN 100"},
		"the native VLAN of a trunk":      {state("eth1", `{"mode":"trunk","tag":5,"enable-native":true,"trunk-tags":[]}`), nad.Bridge{Name: "br0", VLAN: 5}, ""},
		"a tag that is not native":        {state("eth1", `{"mode":"trunk","tag":5,"trunk-tags":[]}`), nad.Bridge{Name: "br0", VLAN: 5}, "carries VLAN 5"},
		"no filtering":                    {state("eth1", ""), nad.Bridge{Name: "br0", VLAN: 100}, "node n: bridge br0 does not filter VLANs"},
		"no filtering, said by an object": {state("eth1", "{}"), nad.Bridge{Name: "br0", VLAN: 100}, "does not filter VLANs"},
		"no uplink but a pod's veth":      {state("veth2", ""), nad.Bridge{Name: "br0", VLAN: 100}, "node n: bridge br0 has no uplink"},
		"no uplink but a VM's tap":        {state("tap0", ""), nad.Bridge{Name: "br0", VLAN: 100}, "has no uplink"},
		"no such bridge":                  {state("eth1", ""), nad.Bridge{Name: "br1", VLAN: 100}, ""},
		"nothing reported":                {`{}`, nad.Bridge{Name: "br0", VLAN: 100}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			said, err := unserved("n", []byte(c.state), netstate.State{}, c.bridge)
			require.NoError(t, err)
			if c.want == "" {
				assert.Empty(t, said)
				return
			}
			assert.Contains(t, said, c.want)
		})
	}
	view := viewOf(t, map[string]string{
		"lan": interfaces("{name: br0, type: linux-bridge, state: up, bridge: {port: [{name: veth2}]}}"),
	})
	said, err := unserved("n", []byte(state("veth2", trunk)), view.wished("node01"), nad.Bridge{Name: "br0", VLAN: 100})
	require.NoError(t, err)
	assert.Empty(t, said, "the NIC of a node in a container is a veth, and a port that a policy names")
	_, err = unserved("n", []byte(`{"interfaces":{}}`), netstate.State{}, nad.Bridge{Name: "br0"})
	assert.ErrorContains(t, err, "read the state of node n")
}

// FuzzNAD puts any bytes to the webhooks for NADs, as a review, and as the configuration of a NAD.
func FuzzNAD(f *testing.F) {
	for _, c := range readCases[nadCase](f, "nads") {
		n, _ := readNAD(c.Object) // odd ones have no configuration
		f.Add(c.review(f, c.Object), n.Spec.Config)
	}
	f.Fuzz(func(t *testing.T, body []byte, config string) {
		c := nadCase{Operation: admissionv1.Create}
		fills, judges := c.handlers(Handler{Log: logr.Discard()})
		post(t, judges, body)
		for pointer := range changes(t, post(t, fills, body).Patch) {
			require.Regexp(t, `^/metadata/annotations(/(k8s\.v1\.cni\.cncf\.io~1resourceName|bridgehead\.dev~1resource-name))?$`, pointer)
		}
		object, err := json.Marshal(
			map[string]any{"metadata": map[string]any{"name": "l2"}, "spec": map[string]any{"config": config}},
		)
		require.NoError(t, err)
		filled := post(t, fills, c.review(t, object))
		require.True(t, filled.Allowed)
		judged := post(t, judges, c.review(t, patched(t, object, filled)))
		if !judged.Allowed {
			require.EqualValues(t, 422, judged.Result.Code, judged.Result.Message)
		}
	})
}
