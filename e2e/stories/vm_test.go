package stories

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgehead-dev/bridgehead/e2e/controlplane"
	"github.com/bridgehead-dev/bridgehead/e2e/suite"
)

func TestStory(t *testing.T) {
	s := suite.StartForTest(t, suite.Options{Replicas: 2, ControlPlane: controlplane.Options{}})
	out, err := s.Kubectl(t.Context(), "apply", "-f", "testdata/30-vms.yaml")
	require.NoError(t, err)
	t.Log(out)
	out, err = s.Kubectl(t.Context(), "get", "vm,macpools,macblocks", "-o", "yaml")
	require.NoError(t, err)
	t.Log(out)
	t.Fail()
}
