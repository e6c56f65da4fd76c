// SPDX-License-Identifier: Apache-2.0

package apimodel

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
)

// errNoPath is what an API server answers, as plain text, where it serves nothing.
var errNoPath = errors.New("404 page not found")

// A query is one request, read.
type query struct {
	method string
	kind   Kind
	at     address // without a name for many objects
	sub    string
	body   []byte

	labels labels.Selector
	fields fields.Selector
	watch  bool
	// from is the resourceVersion that a watch goes on from; initial says that it begins with all there is.
	from    int
	initial bool
	// partial asks for metadata only.
	partial bool
	dry     bool   // nothing is to be stored
	limit   int    // how many of a list are wanted at once; zero for all
	after   string // the last one of the page before
	hidden  string // the field that the schema does not have
}

// read reads a request: /api/v1/[namespaces/NAMESPACE/]RESOURCE[/NAME[/SUB]] or /apis/GROUP/VERSION/...
func (s *Server) read(r *http.Request) (query, error) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	var group string
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		group, parts = parts[1], parts[3:]
	default:
		return query{}, errNoPath
	}
	q := query{method: r.Method, at: address{group: group}}
	if parts[0] == "namespaces" && len(parts) > 2 {
		q.at.Namespace, parts = parts[1], parts[2:]
	}
	q.at.resource = parts[0]
	if len(parts) > 1 {
		q.at.Name = parts[1]
	}
	if len(parts) > 2 {
		q.sub = parts[2]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	kind, served := s.kinds[group+"/"+q.at.resource]
	if !served {
		return query{}, errNoPath
	}
	q.kind, q.hidden = kind, s.hidden[group+"/"+q.at.resource]
	return q, q.readOptions(r)
}

func (q *query) readOptions(r *http.Request) error {
	values := r.URL.Query()
	var failed [2]error
	q.labels, failed[0] = labels.Parse(values.Get("labelSelector"))
	q.fields, failed[1] = fields.ParseSelector(values.Get("fieldSelector"))
	if err := errors.Join(failed[:]...); err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	q.watch = values.Get("watch") == "true" || values.Get("watch") == "1"
	q.initial = values.Get("sendInitialEvents") == "true"
	q.from, _ = strconv.Atoi(values.Get("resourceVersion")) // none is from now on
	q.dry = values.Get("dryRun") != ""
	q.limit, _ = strconv.Atoi(values.Get("limit"))
	q.after = values.Get("continue")
	q.partial = strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadata")
	if r.Body == nil {
		return nil
	}
	var err error
	q.body, err = io.ReadAll(r.Body)
	return err
}

// matches reports whether an object is one of those asked for.
func (q query) matches(at address, o object) bool {
	if o == nil || at.group != q.at.group || at.resource != q.at.resource ||
		q.at.Namespace != "" && at.Namespace != q.at.Namespace {
		return false
	}
	u := unstructured.Unstructured{Object: o}
	phase, _, _ := unstructured.NestedString(o, "status", "phase")
	host, _, _ := unstructured.NestedBool(o, "spec", "hostNetwork")
	known := fields.Set{
		"metadata.name": at.Name, "metadata.namespace": at.Namespace,
		"status.phase": phase, "spec.hostNetwork": strconv.FormatBool(host),
	}
	return q.labels.Matches(labels.Set(u.GetLabels())) && q.fields.Matches(known)
}

// show returns an object as it was asked for.
func (q query) show(o object) object {
	if !q.partial {
		return q.prune(o)
	}
	return object{"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": o["metadata"]}
}

// prune returns an object without the field that its schema does not have.
func (q query) prune(o object) object {
	if _, ok := o[q.hidden]; !ok {
		return o
	}
	pruned := maps.Clone(o)
	delete(pruned, q.hidden)
	return pruned
}

func (s *Server) listLocked(q query) object {
	items, about := []any{}, object{"resourceVersion": strconv.Itoa(s.last)}
	for _, at := range s.matchingLocked(q) {
		name := at.Namespace + "\x00" + at.Name // as they are sorted
		if name <= q.after {
			continue
		}
		if q.limit > 0 && len(items) == q.limit {
			about["continue"] = q.after
			break
		}
		items, q.after = append(items, q.show(s.objects[at])), name
	}
	list := object{
		"kind": q.kind.Kind + "List", "apiVersion": q.kind.GroupVersion().String(), "metadata": about, "items": items,
	}
	if q.partial {
		list["kind"], list["apiVersion"] = "PartialObjectMetadataList", "meta.k8s.io/v1"
	}
	return list
}

// matchingLocked returns where the objects are that were asked for, in order.
func (s *Server) matchingLocked(q query) []address {
	var found []address
	for at, o := range s.objects {
		if q.matches(at, o) {
			found = append(found, at)
		}
	}
	slices.SortFunc(found, func(a, b address) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	return found
}

func respond(r *http.Request, code int, body any) *http.Response {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // it is made of what came from JSON
	}
	return &http.Response{
		Status: http.StatusText(code), StatusCode: code, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/json"}}, ContentLength: int64(len(text)),
		Body: io.NopCloser(bytes.NewReader(text)),
	}
}

func refuse(r *http.Request, err error) *http.Response {
	if errors.Is(err, errNoPath) {
		answer := respond(r, http.StatusNotFound, nil)
		answer.Header.Set("Content-Type", "text/plain")
		answer.Body, answer.ContentLength = io.NopCloser(strings.NewReader(err.Error())), int64(len(err.Error()))
		return answer
	}
	var known apierrors.APIStatus
	status := metav1.Status{Status: metav1.StatusFailure, Code: http.StatusInternalServerError, Message: err.Error()}
	if errors.As(err, &known) {
		status = known.Status()
	}
	status.Kind, status.APIVersion = "Status", "v1"
	return respond(r, int(status.Code), status)
}
