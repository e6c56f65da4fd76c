// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
)

// rule returns one for resources of the core group.
func rule(verbs, resources string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{
		APIGroups: []string{""}, Verbs: strings.Fields(verbs), Resources: strings.Fields(resources), ResourceNames: names,
	}
}

func TestCompare(t *testing.T) {
	everywhere := func(rules ...rbacv1.PolicyRule) []Grant { return []Grant{{Rules: rules}} }
	within := func(namespace string, rules ...rbacv1.PolicyRule) Grant {
		return Grant{Namespace: namespace, Rules: rules}
	}
	for name, tc := range map[string]struct {
		grants []Grant
		asked  []Request
		want   Report
	}{
		"what is asked for and allowed is right": {
			grants: everywhere(rule("get list", "pods")),
			asked:  []Request{{Verb: "get", Resource: "pods", Namespace: "a", Name: "b"}, {Verb: "list", Resource: "pods"}},
		},
		"what no rule allows is refused": {
			asked: []Request{{Verb: "get", Group: "apps", Resource: "daemonsets", Namespace: "a", Name: "b", Refused: true}},
			want:  Report{Refused: []string{"get apps/daemonsets a/b"}},
		},
		"a verb that nobody needs is not used": {
			grants: everywhere(rule("get list", "pods")),
			asked:  []Request{{Verb: "get", Resource: "pods", Name: "b"}},
			want:   Report{Unused: []string{"list /pods *"}},
		},
		"a request that was refused uses nothing, and lacks nothing if it is allowed once the rules are read": {
			grants: everywhere(rule("get", "pods")),
			asked:  []Request{{Verb: "get", Resource: "pods", Refused: true}},
			want:   Report{Unused: []string{"get /pods *"}},
		},
		"who watches may have to list, and not the other way round": {
			grants: everywhere(rule("list watch", "pods nodes")),
			asked:  []Request{{Verb: "watch", Resource: "pods"}, {Verb: "list", Resource: "nodes"}},
			want:   Report{Unused: []string{"watch /nodes *"}},
		},
		"a subresource is another resource": {
			grants: everywhere(rule("patch", "nodes nodes/status")),
			asked:  []Request{{Verb: "patch", Resource: "nodes/status", Name: "a"}},
			want:   Report{Unused: []string{"patch /nodes *"}},
		},
		"a name is not used by another": {
			grants: everywhere(rule("get", "secrets", "a", "b")),
			asked:  []Request{{Verb: "get", Resource: "secrets", Name: "a"}},
			want:   Report{Unused: []string{"get /secrets b"}},
		},
		"a right in a namespace is not used in another": {
			grants: []Grant{within("own", rule("get", "secrets"))},
			asked:  []Request{{Verb: "get", Resource: "secrets", Namespace: "other", Name: "a"}},
			want:   Report{Unused: []string{"get /secrets own/*"}},
		},
		"a right that two rules give stands twice, once": {
			grants: everywhere(rule("get", "pods"), rule("get", "pods")),
			asked:  []Request{{Verb: "get", Resource: "pods"}},
			want:   Report{Twice: []string{"get /pods *"}},
		},
		"a name stands twice where all are allowed": {
			grants: everywhere(rule("get", "secrets", "a"), rule("get", "secrets")),
			asked:  []Request{{Verb: "get", Resource: "secrets", Name: "a"}},
			want:   Report{Twice: []string{"get /secrets a"}},
		},
		"a namespace stands twice where the whole cluster is allowed": {
			grants: []Grant{within("own", rule("get", "pods")), {Rules: []rbacv1.PolicyRule{rule("get", "pods")}}},
			asked:  []Request{{Verb: "get", Resource: "pods", Namespace: "own"}},
			want:   Report{Twice: []string{"get /pods own/*"}},
		},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tc.want, Compare(tc.grants, tc.asked)) })
	}
}

func TestRead(t *testing.T) {
	found, err := Read(strings.NewReader(`
{"verb":"get","user":{"username":"a"},"objectRef":{"resource":"secrets","namespace":"n","name":"s"},"annotations":{"authorization.k8s.io/decision":"allow"}}
{"verb":"get","user":{"username":"a"},"objectRef":{"resource":"secrets","namespace":"n","name":"s"},"annotations":{"authorization.k8s.io/decision":"allow"}}
{"verb":"get","user":{"username":"a"},"requestURI":"/api"}
{"verb":"create","user":{"username":"b"},"objectRef":{"apiGroup":"x","resource":"ys","name":"of the path"}}
{"verb":"patch","user":{"username":"b"},"objectRef":{"resource":"nodes","subresource":"status","name":"n1"},"annotations":{"authorization.k8s.io/decision":"forbid"}}
`))
	require.NoError(t, err)
	assert.Equal(t, map[string][]Request{
		"a": {{Verb: "get", Resource: "secrets", Namespace: "n", Name: "s"}},
		"b": {
			{Verb: "create", Group: "x", Resource: "ys"},
			{Verb: "patch", Resource: "nodes/status", Name: "n1", Refused: true},
		},
	}, found)
	_, err = Read(strings.NewReader("{"))
	require.ErrorContains(t, err, "read audit log")
}

func TestCompareLogs(t *testing.T) {
	const manifests = `
kind: ClusterRole
metadata: {name: r}
rules: [{apiGroups: [""], resources: [pods], verbs: [get, list]}]
---
kind: ClusterRoleBinding
metadata: {name: r}
roleRef: {kind: ClusterRole, name: r}
subjects: [{kind: ServiceAccount, namespace: ns, name: a}]
`
	dir := t.TempDir()
	for name, log := range map[string]string{
		"one.json": `{"verb":"get","user":{"username":"system:serviceaccount:ns:a"},"objectRef":{"resource":"pods","name":"p"}}`,
		"two.json": `{"verb":"get","user":{"username":"system:serviceaccount:ns:a"},"objectRef":{"resource":"nodes","name":"m"},` +
			`"annotations":{"authorization.k8s.io/decision":"forbid"}}`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(log), 0o600))
	}
	reports, err := CompareLogs([]byte(manifests), dir)
	require.NoError(t, err)
	require.Contains(t, reports, "ns:a")
	assert.Equal(t, []string{"get /nodes m was refused", "list /pods * is allowed and not used"}, reports["ns:a"].Lines())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "three.json"), []byte("{"), 0o600))
	_, err = CompareLogs([]byte(manifests), dir)
	require.ErrorContains(t, err, "three.json: read audit log")
}
