// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgehead-dev/bridgehead/nad"
)

func TestPodAddresses(t *testing.T) {
	for name, tc := range map[string]struct {
		labels, annotations map[string]string
		want                map[string]string
	}{
		"a pod without networks": {},
		"networks in the short form": {
			annotations: map[string]string{nad.NetworksAnnotation: "l2, other/l2@net7"},
		},
		"an address that is asked for": {
			annotations: map[string]string{nad.NetworksAnnotation: `[{"name":"l2","mac":"02:4A:BE:00:00:01","interface":"eth7"},{"name":"bare"}]`},
			want:        map[string]string{"02:4a:be:00:00:01": "eth7"},
		},
		"an address of an interface without name goes by the name it will have": {
			annotations: map[string]string{nad.NetworksAnnotation: `[{"name":"l2","mac":"02:4a:be:00:00:01"}]`},
			want:        map[string]string{"02:4a:be:00:00:01": "net1"},
		},
		"addresses that are reported, but for the cluster network's": {
			annotations: map[string]string{nad.StatusAnnotation: `[{"name":"cni","interface":"eth0","mac":"0a:58:0a:f4:00:05","default":true},` +
				`{"name":"default/l2","interface":"net1","mac":"02:4a:be:00:00:02"}]`},
			want: map[string]string{"02:4a:be:00:00:02": "net1"},
		},
		"what no interface can have": {
			annotations: map[string]string{nad.NetworksAnnotation: `[{"name":"l2","mac":"03:00:00:00:00:01"},{"name":"l2","mac":"?"}]`},
		},
		"an annotation that is torn": {
			annotations: map[string]string{nad.NetworksAnnotation: `[{"name":"l2","mac":"02:4a:be:00:00:01"`},
		},
		"an address that is asked for and reported is of one interface": {
			annotations: map[string]string{
				nad.NetworksAnnotation: `[{"name":"net-a","mac":"02:4a:be:00:00:0a"}]`,
				nad.StatusAnnotation:   `[{"name":"default/net-a","interface":"net1","mac":"02:4a:be:00:00:0a"}]`,
			},
			want: map[string]string{"02:4a:be:00:00:0a": "net1"},
		},
		"the pod of a VM": {
			labels:      map[string]string{nad.LauncherLabel: nad.Launcher},
			annotations: map[string]string{nad.NetworksAnnotation: `[{"name":"l2","mac":"02:4a:be:00:00:01"}]`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "p", Labels: tc.labels, Annotations: tc.annotations}}
			got := map[string]string{}
			for m, iface := range podAddresses(p, nil) {
				got[m.String()] = iface
			}
			if tc.want == nil {
				tc.want = map[string]string{}
			}
			assert.Equal(t, tc.want, got)
			if len(tc.labels) > 0 {
				return
			}
			stripped, err := stripPod(p)
			require.NoError(t, err)
			assert.Len(t, podAddresses(stripped.(*metav1.PartialObjectMetadata), nil), len(got), "the cache keeps what matters")
		})
	}
}
