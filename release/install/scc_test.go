// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/kustomize/api/types"
)

// An scc is what counts of SecurityContextConstraints.
type scc struct {
	AllowHostDirVolumePlugin, AllowHostIPC, AllowHostNetwork, AllowHostPID, AllowHostPorts bool

	AllowPrivilegeEscalation, AllowPrivilegedContainer, ReadOnlyRootFilesystem bool

	AllowedCapabilities, RequiredDropCapabilities []corev1.Capability
	Volumes, SeccompProfiles                      []string
	RunAsUser, SeLinuxContext                     struct{ Type string }
}

// onOpenShift returns the SecurityContextConstraints of the agent, its DaemonSet and the replicas' Deployment.
func onOpenShift(t *testing.T) (s scc, d appsv1.DaemonSet, replicas appsv1.Deployment) {
	t.Helper()
	text, err := Render(manifests+"/openshift", types.Image{})
	require.NoError(t, err)
	for documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text))); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return s, d, replicas
		}
		require.NoError(t, err)
		var kind metav1.TypeMeta
		require.NoError(t, yaml.Unmarshal(document, &kind))
		into := map[string]any{"SecurityContextConstraints": &s, "DaemonSet": &d, "Deployment": &replicas}[kind.Kind]
		if into != nil {
			require.NoError(t, yaml.Unmarshal(document, into))
		}
	}
}

func TestOpenShiftLetsTheAgentHaveWhatItAsksForAndNoMore(t *testing.T) {
	constraints, set, _ := onOpenShift(t)
	pod := set.Spec.Template.Spec
	require.Len(t, pod.Containers, 1)
	security := pod.Containers[0].SecurityContext
	assert.ElementsMatch(t, security.Capabilities.Add, constraints.AllowedCapabilities)
	assert.Empty(t, constraints.RequiredDropCapabilities)
	assert.Equal(t, pod.HostNetwork, constraints.AllowHostNetwork)
	assert.Equal(t, pod.HostPID, constraints.AllowHostPID)
	assert.Equal(t, pod.HostIPC, constraints.AllowHostIPC)
	assert.Equal(t, *security.AllowPrivilegeEscalation, constraints.AllowPrivilegeEscalation)
	assert.False(t, constraints.AllowPrivilegedContainer)
	assert.Equal(t, *security.ReadOnlyRootFilesystem, constraints.ReadOnlyRootFilesystem)
	assert.Equal(t, "RunAsAny", constraints.RunAsUser.Type, "it runs as %d", *security.RunAsUser)
	assert.Equal(t, "RunAsAny", constraints.SeLinuxContext.Type, "it runs as %s", security.SELinuxOptions.Type)
	assert.Equal(t, []string{"runtime/default"}, constraints.SeccompProfiles)
	assert.Equal(t, corev1.SeccompProfileTypeRuntimeDefault, security.SeccompProfile.Type)
	kinds := map[string]bool{"projected": true} // of the token
	for _, v := range pod.Volumes {
		require.NotNil(t, v.HostPath, v.Name)
		kinds["hostPath"] = true
	}
	for _, kind := range constraints.Volumes {
		assert.True(t, kinds[kind], kind)
	}
	assert.Len(t, constraints.Volumes, len(kinds))
	ports := pod.Containers[0].Ports
	assert.Equal(t, len(ports) > 0, constraints.AllowHostPorts, "of the ports that it names, %v", ports)
}

func TestOpenShiftChoosesTheUserOfTheReplicas(t *testing.T) {
	_, _, replicas := onOpenShift(t)
	pod := replicas.Spec.Template.Spec
	assert.Nil(t, pod.SecurityContext.RunAsUser)
	assert.True(t, *pod.SecurityContext.RunAsNonRoot)
	assert.Nil(t, pod.Containers[0].SecurityContext.RunAsUser)
	assert.Empty(t, pod.Volumes, "restricted-v2 lets no folder of the host in")
}
