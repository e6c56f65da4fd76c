// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/bridgehead-dev/bridgehead/arming"
)

// roles returns the rules of each Role and ClusterRole of the manifests, by kind and name.
func roles(t *testing.T) map[string][]rbacv1.PolicyRule {
	t.Helper()
	text, err := Render(manifests, types.Image{})
	require.NoError(t, err)
	found := map[string][]rbacv1.PolicyRule{}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		var role rbacv1.ClusterRole
		err := decoder.Decode(&role)
		if errors.Is(err, io.EOF) {
			return found
		}
		require.NoError(t, err)
		if role.Kind == "Role" || role.Kind == "ClusterRole" {
			found[role.Kind+" "+role.Name] = role.Rules
		}
	}
}

// rights returns what a rule allows, each as "<verb> <group>/<resource>/<name>", where name is * for all.
func rights(rule rbacv1.PolicyRule) []string {
	names := rule.ResourceNames
	if len(names) == 0 {
		names = []string{"*"}
	}
	var all []string
	for _, group := range rule.APIGroups {
		for _, resource := range rule.Resources {
			for _, name := range names {
				for _, verb := range rule.Verbs {
					all = append(all, verb+" "+group+"/"+resource+"/"+name)
				}
			}
		}
	}
	return all
}

func TestNoRightStandsTwiceAndNoneIsForEverything(t *testing.T) {
	for role, rules := range roles(t) {
		t.Run(role, func(t *testing.T) {
			seen := map[string]bool{}
			for _, rule := range rules {
				for _, right := range rights(rule) {
					all := right[:strings.LastIndex(right, "/")+1] + "*"
					assert.False(t, seen[right] || seen[all], "%s stands twice", right)
					seen[right] = true
				}
				everything := slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs)
				assert.NotContains(t, everything, "*")
			}
		})
	}
}

func TestOthersMayBeLookedForByThoseWhoWaitForThem(t *testing.T) {
	for role, neighbours := range map[string][]arming.Neighbour{
		"ClusterRole bridgehead": arming.Neighbours(), "ClusterRole bridgehead-agent": arming.OnNodes(),
	} {
		var may []string
		for _, rule := range roles(t)[role] {
			may = append(may, rights(rule)...)
		}
		for _, n := range neighbours {
			resource := strings.ToLower(n.Kind.Kind) + "s" // true of all of them
			assert.Contains(t, may, "get "+n.Kind.Group+"/"+resource+"/"+n.Name, role)
		}
		mutating := arming.NameOf(arming.Mutating)
		for _, own := range []string{arming.Configuration, mutating} {
			assert.Contains(t, may, "get admissionregistration.k8s.io/mutatingwebhookconfigurations/"+own, role)
		}
	}
}
