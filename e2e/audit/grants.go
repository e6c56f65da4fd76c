// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// Grants returns what each service account may do by the roles and bindings in rendered manifests, by the name that the
// API server knows it by. A binding to a role that is not in the manifests is an error.
func Grants(manifests []byte) (map[string][]Grant, error) {
	roles := map[string][]rbacv1.PolicyRule{}
	var bindings []binding
	for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifests), 4096); ; {
		var o struct {
			binding `json:",inline"`

			Rules []rbacv1.PolicyRule `json:"rules"`
		}
		if err := decoder.Decode(&o); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read manifests: %w", err)
		}
		switch o.Kind {
		case "ClusterRole", "Role":
			roles[roleKey(o.Kind, o.Metadata.Namespace, o.Metadata.Name)] = o.Rules
		case "ClusterRoleBinding", "RoleBinding":
			bindings = append(bindings, o.binding)
		}
	}
	grants := map[string][]Grant{}
	for _, b := range bindings {
		key := roleKey(b.RoleRef.Kind, b.Metadata.Namespace, b.RoleRef.Name)
		rules, found := roles[key]
		if !found {
			return nil, fmt.Errorf("%s %s binds %s, which is not there", b.Kind, b.Metadata.Name, key)
		}
		for _, s := range b.Subjects {
			user := "system:serviceaccount:" + s.Namespace + ":" + s.Name
			grants[user] = append(grants[user], Grant{Namespace: b.Metadata.Namespace, Rules: rules})
		}
	}
	return grants, nil
}

// A binding is what counts of bindings and roles alike.
type binding struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
	} `json:"metadata"`
	RoleRef  rbacv1.RoleRef   `json:"roleRef"`
	Subjects []rbacv1.Subject `json:"subjects"`
}

// roleKey names a role; ClusterRoles have no namespace.
func roleKey(kind, namespace, name string) string {
	if kind == "ClusterRole" {
		namespace = ""
	}
	return kind + " " + namespace + "/" + name
}
