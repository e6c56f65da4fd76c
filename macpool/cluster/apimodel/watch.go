// SPDX-License-Identifier: Apache-2.0

package apimodel

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// watch answers a watch: its events are written as they happen until the request is over.
func (s *Server) watch(r *http.Request, q query) *http.Response {
	reader, writer := io.Pipe()
	ctx, cancel := context.WithCancel(r.Context())
	go func() {
		defer cancel()
		w := watcher{server: s, query: q, out: json.NewEncoder(writer)}
		writer.CloseWithError(w.run(ctx))
	}()
	return &http.Response{
		Status: "OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/json"}}, ContentLength: -1,
		Body: body{PipeReader: reader, cancel: cancel},
	}
}

// A body is what a watch reads; closing it ends the watch. It ends as a server ends one: clients that have stopped
// reading wait for ever to be told of anything else.
type body struct {
	*io.PipeReader
	cancel context.CancelFunc
}

func (b body) Read(p []byte) (int, error) {
	n, err := b.PipeReader.Read(p)
	if err != nil {
		err = io.EOF
	}
	return n, err
}

func (b body) Close() error {
	b.cancel()
	return b.PipeReader.Close()
}

type watcher struct {
	server *Server
	query  query
	out    *json.Encoder
	seen   int // the resourceVersion of the last event that was looked at
	schema int // the number of the schema it began with
}

func (w *watcher) run(ctx context.Context) error {
	if err := w.begin(); err != nil {
		return err
	}
	for {
		events, changed, ended := w.next()
		if ended {
			return io.EOF
		}
		for _, e := range events {
			if err := w.tell(e); err != nil {
				return err
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return io.EOF
		}
	}
}

// begin tells all there is, where that was asked for.
func (w *watcher) begin() error {
	w.server.mu.Lock()
	list := w.server.listLocked(w.query)
	w.seen, w.schema = w.server.last, w.server.schemas
	w.server.mu.Unlock()
	if !w.query.initial {
		if w.query.from > 0 {
			w.seen = w.query.from
		}
		return nil
	}
	for _, o := range list["items"].([]any) {
		if err := w.write("ADDED", o.(object)); err != nil {
			return err
		}
	}
	end := object{
		"kind": w.query.kind.Kind, "apiVersion": w.query.kind.GroupVersion().String(),
		"metadata": object{
			"resourceVersion": strconv.Itoa(w.seen),
			"annotations":     object{metav1.InitialEventsAnnotationKey: "true"},
		},
	}
	return w.write("BOOKMARK", w.query.show(end))
}

// next returns the events that were not looked at, and a channel that is closed when there are more.
func (w *watcher) next() (events []event, changed chan struct{}, ended bool) {
	s := w.server
	s.mu.Lock()
	defer s.mu.Unlock()
	kind := w.query.at.group + "/" + w.query.at.resource
	if _, served := s.kinds[kind]; !served || w.schema != s.schemas {
		return nil, nil, true
	}
	if s.stalled[kind] {
		return nil, s.changed, false
	}
	first, _ := slices.BinarySearchFunc(s.events, w.seen+1, func(e event, version int) int { return e.version - version })
	for _, e := range s.events[first:] {
		events, w.seen = append(events, e), e.version
	}
	return events, s.changed, false
}

// tell writes an event as it looks through the selectors: an object that no longer matches is gone.
func (w *watcher) tell(e event) error {
	before, after := w.query.matches(e.at, e.before), w.query.matches(e.at, e.after)
	switch {
	case before && after:
		return w.write("MODIFIED", w.query.show(e.after))
	case after:
		return w.write("ADDED", w.query.show(e.after))
	case before && e.after != nil:
		gone := clone(e.before)
		metaOf(gone)["resourceVersion"] = strconv.Itoa(e.version)
		return w.write("DELETED", w.query.show(gone))
	case before:
		return w.write("DELETED", w.query.show(e.before))
	}
	return nil
}

func (w *watcher) write(kind string, o object) error {
	return w.out.Encode(object{"type": kind, "object": o})
}

// discover answers what clients ask to learn which kinds there are; nil if the request is another.
func (s *Server) discover(r *http.Request) *http.Response {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.URL.Path == "/api" {
		return respond(r, http.StatusOK, object{"kind": "APIVersions", "versions": []any{"v1"}})
	}
	groups := map[string]metav1.APIGroup{}
	resources := map[string][]metav1.APIResource{}
	for _, k := range s.kinds {
		path := "/apis/" + k.GroupVersion().String()
		if k.Group == "" {
			path = "/api/" + k.Version
		}
		resources[path] = append(resources[path], metav1.APIResource{
			Name: k.Resource, Kind: k.Kind, Namespaced: !k.Cluster, Group: k.Group, Version: k.Version,
			Verbs: metav1.Verbs{"get", "list", "watch", "create", "update", "patch", "delete"},
		})
		version := metav1.GroupVersionForDiscovery{GroupVersion: k.GroupVersion().String(), Version: k.Version}
		groups[k.Group] = metav1.APIGroup{
			Name: k.Group, Versions: []metav1.GroupVersionForDiscovery{version}, PreferredVersion: version,
		}
	}
	if r.URL.Path == "/apis" {
		list := metav1.APIGroupList{}
		list.Kind, list.APIVersion = "APIGroupList", "v1"
		for name, g := range groups {
			if name != "" {
				list.Groups = append(list.Groups, g)
			}
		}
		return respond(r, http.StatusOK, list)
	}
	if found, ok := resources[r.URL.Path]; ok {
		list := metav1.APIResourceList{APIResources: found, GroupVersion: found[0].Group + "/" + found[0].Version}
		list.Kind, list.APIVersion = "APIResourceList", "v1"
		if found[0].Group == "" {
			list.GroupVersion = found[0].Version
		}
		return respond(r, http.StatusOK, list)
	}
	return nil
}
