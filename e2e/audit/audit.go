// SPDX-License-Identifier: Apache-2.0

// Package audit compares what service accounts may do, by the roles in manifests, with what they asked the API server
// for, by its audit log.
package audit

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// A Request is what RBAC is asked about one request.
type Request struct {
	Verb, Group string
	// Resource is with the subresource, as nodes/status.
	Resource string
	// Namespace is empty for what has none, and for requests of all namespaces.
	Namespace string
	// Name is empty for create, and for lists and watches that are not limited to one name by field selector.
	Name string
	// Refused says that no rule allowed it.
	Refused bool
}

// Read reads an audit log, one JSON event a line, and returns the requests for resources, each once, by user.
func Read(log io.Reader) (map[string][]Request, error) {
	seen := map[string]map[Request]bool{}
	for decoder := json.NewDecoder(log); ; {
		var e event
		if err := decoder.Decode(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read audit log: %w", err)
		}
		if e.ObjectRef == nil {
			continue // discovery and the like, which everybody may do
		}
		if seen[e.User.Username] == nil {
			seen[e.User.Username] = map[Request]bool{}
		}
		seen[e.User.Username][e.request()] = true
	}
	found := map[string][]Request{}
	for user, requests := range seen {
		for r := range requests {
			found[user] = append(found[user], r)
		}
		slices.SortFunc(found[user], func(a, b Request) int { return cmp.Compare(a.String(), b.String()) })
	}
	return found, nil
}

// An event is what counts here of audit.k8s.io/v1 Event.
type event struct {
	Verb string
	User struct{ Username string }

	ObjectRef *struct{ APIGroup, Resource, Subresource, Namespace, Name string }

	Annotations map[string]string
}

func (e event) request() Request {
	resource := e.ObjectRef.Resource
	if e.ObjectRef.Subresource != "" {
		resource += "/" + e.ObjectRef.Subresource
	}
	r := Request{
		Verb: e.Verb, Group: e.ObjectRef.APIGroup, Resource: resource, Namespace: e.ObjectRef.Namespace,
		Name: e.ObjectRef.Name, Refused: e.Annotations["authorization.k8s.io/decision"] == "forbid",
	}
	if r.Verb == "create" {
		r.Name = "" // RBAC is asked before the body is read; some clients have the name in the path all the same
	}
	return r
}

// String returns the request as "<verb> <group>/<resource> <namespace>/<name>".
func (r Request) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s/%s %s", r.Verb, r.Group, r.Resource, strings.Trim(r.Namespace+"/"+r.Name, "/")))
}

// A Grant are rules that a service account has in one namespace.
type Grant struct {
	// Namespace is empty for the whole cluster.
	Namespace string
	Rules     []rbacv1.PolicyRule
}

// A right is what cannot be divided of a rule.
type right struct {
	namespace string // empty for all
	verb      string
	group     string
	resource  string
	name      string // empty for all
}

// rightsOf returns the rights to resources of grants, in their order.
func rightsOf(grants []Grant) []right {
	var all []right
	for _, g := range grants {
		for _, rule := range g.Rules {
			names := rule.ResourceNames
			if len(names) == 0 {
				names = []string{""}
			}
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					for _, name := range names {
						for _, verb := range rule.Verbs {
							all = append(all, right{g.Namespace, verb, group, resource, name})
						}
					}
				}
			}
		}
	}
	return all
}

// allows reports whether the right is enough for the request.
func (r right) allows(q Request) bool {
	return r.verb == q.Verb && r.group == q.Group && r.resource == q.Resource &&
		(r.namespace == "" || r.namespace == q.Namespace) && (r.name == "" || r.name == q.Name)
}

// used reports whether the request needs the right. Who watches lists as well where the API server does not send what
// there is with the watch, which those before Kubernetes 1.35 may not.
func (r right) used(q Request) bool {
	if q.Verb == "watch" && r.verb == "list" {
		q.Verb = "list"
	}
	return !q.Refused && r.allows(q)
}

// covers reports whether everything that other allows is allowed by r, too.
func (r right) covers(other right) bool {
	return r.verb == other.verb && r.group == other.group && r.resource == other.resource &&
		(r.namespace == "" || r.namespace == other.namespace) && (r.name == "" || r.name == other.name)
}

func (r right) String() string {
	where, name := r.namespace, r.name
	if where != "" {
		where += "/"
	}
	if name == "" {
		name = "*"
	}
	return fmt.Sprintf("%s %s/%s %s%s", r.verb, r.group, r.resource, where, name)
}

// A Report is what is wrong with the roles of one account. All is as Request.String or, with * for any name, as the
// role says it.
type Report struct {
	// Refused was asked for and refused, and no right allows it. An API server that has just started refuses what it has
	// yet to read the rules for; that is not meant.
	Refused []string
	// Unused is allowed and was not asked for.
	Unused []string
	// Twice is allowed by another right as well.
	Twice []string
}

// Compare compares what an account may do with what it asked for.
func Compare(grants []Grant, asked []Request) Report {
	var report Report
	rights := rightsOf(grants)
	for _, q := range asked {
		if q.Refused && !slices.ContainsFunc(rights, func(r right) bool { return r.allows(q) }) {
			report.Refused = append(report.Refused, q.String())
		}
	}
	for i, r := range rights {
		if !slices.ContainsFunc(asked, r.used) {
			report.Unused = append(report.Unused, r.String())
		}
		for j, other := range rights {
			if i != j && other.covers(r) && (i > j || !r.covers(other)) {
				report.Twice = append(report.Twice, r.String())
				break
			}
		}
	}
	return report
}
