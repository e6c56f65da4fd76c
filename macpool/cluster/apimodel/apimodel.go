// SPDX-License-Identifier: Apache-2.0

// Package apimodel is an API server in memory, for tests of what reads, writes and watches through real clients and
// caches. It is reached by an http.RoundTripper, without a connection, so that it works in a bubble of
// testing/synctest. It refuses what an API server refuses (stale resourceVersions, objects that exist or do not, kinds
// that are not served); it validates and defaults nothing.
package apimodel

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// A Kind is one that a Server serves.
type Kind struct {
	schema.GroupVersionKind
	// Resource is the plural in paths.
	Resource string
	// Cluster is true for kinds without namespaces.
	Cluster bool
}

// A Server is the model. Make one with New.
type Server struct {
	// Fail, if set, is asked before each request whether that is to fail as a lost connection does.
	Fail func(*http.Request) error
	// Validate, if set, is asked before each write whether an object of a kind may be so.
	Validate func(Kind, map[string]any) error

	mu      sync.Mutex
	kinds   map[string]Kind // by group/resource
	objects map[address]object
	last    int // resourceVersion
	events  []event
	schemas int           // how often a schema changed
	changed chan struct{} // closed at the next event, or when a stall begins or ends
	stalled map[string]bool
	hidden  map[string]string // a field, by group/resource
}

// An address is where an object is kept.
type address struct {
	group, resource string
	types.NamespacedName
}

type object = map[string]any

// An event is one change. Before is nil for an object that came, after for one that went.
type event struct {
	version       int
	at            address
	before, after object
}

// New returns a server of these kinds without objects.
func New(kinds ...Kind) *Server {
	s := &Server{
		kinds: map[string]Kind{}, objects: map[address]object{}, changed: make(chan struct{}), stalled: map[string]bool{},
		hidden: map[string]string{},
	}
	s.Serve(kinds...)
	return s
}

// Serve begins to serve more kinds, as the installation of a CRD does.
func (s *Server) Serve(kinds ...Kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range kinds {
		s.kinds[k.Group+"/"+k.Resource] = k
	}
}

// Unserve ends to serve a kind. Its objects are kept for when it is served again, its watches end.
func (s *Server) Unserve(k Kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.kinds, k.Group+"/"+k.Resource)
	s.wakeLocked()
}

// Stall holds back what watches of a kind tell, or tells it at last.
func (s *Server) Stall(k Kind, stalled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stalled[k.Group+"/"+k.Resource] = stalled
	s.wakeLocked()
}

// Hide takes a field of a kind out of what is read and written, as a schema does that does not have it. What is stored
// keeps it until it is written. Watches end; an empty field ends it.
func (s *Server) Hide(k Kind, field string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hidden[k.Group+"/"+k.Resource] = field
	s.schemas++
	s.wakeLocked()
}

// Config returns how clients reach the server.
func (s *Server) Config() *rest.Config {
	return &rest.Config{
		Host: "http://model", Transport: s, QPS: -1,
		ContentConfig: rest.ContentConfig{ContentType: "application/json", AcceptContentTypes: "application/json"},
	}
}

// RoundTrip implements http.RoundTripper.
func (s *Server) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if s.Fail != nil {
		if err := s.Fail(r); err != nil {
			return nil, err
		}
	}
	if answer := s.discover(r); answer != nil {
		return answer, nil
	}
	q, err := s.read(r)
	if err != nil {
		return refuse(r, err), nil
	}
	if q.watch {
		return s.watch(r, q), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	answer, err := s.answerLocked(q)
	if err != nil {
		return refuse(r, err), nil
	}
	return respond(r, http.StatusOK, answer), nil
}

func (s *Server) answerLocked(q query) (object, error) {
	switch q.method {
	case http.MethodGet:
		if q.at.Name == "" {
			return s.listLocked(q), nil
		}
		found, ok := s.objects[q.at]
		if !ok {
			return nil, notFound(q)
		}
		return q.show(found), nil
	case http.MethodPost:
		return s.createLocked(q)
	case http.MethodPut, http.MethodPatch:
		return s.updateLocked(q)
	case http.MethodDelete:
		return s.deleteLocked(q)
	}
	return nil, errors.New("the model knows no " + q.method)
}

// setLocked makes a change known: after is nil for an object that goes.
func (s *Server) setLocked(at address, after object) object {
	before := s.objects[at]
	s.last++
	if after == nil {
		delete(s.objects, at)
		gone := clone(before)
		metaOf(gone)["resourceVersion"] = strconv.Itoa(s.last)
		before = gone
	} else {
		after = clone(after)
		metaOf(after)["resourceVersion"] = strconv.Itoa(s.last)
		s.objects[at] = after
	}
	s.events = append(s.events, event{version: s.last, at: at, before: before, after: after})
	s.wakeLocked()
	return after
}

// Backup returns what puts the objects and their versions back to what they are now, as etcd is restored. Watches that
// are open tell nothing of it.
func (s *Server) Backup() (restore func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	objects, events, last := maps.Clone(s.objects), slices.Clone(s.events), s.last
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.objects, s.events, s.last = maps.Clone(objects), slices.Clone(events), last
	}
}

func (s *Server) wakeLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// clone copies an object all the way down.
func clone(o object) object {
	text, err := json.Marshal(o)
	if err != nil {
		panic(err) // it came from JSON
	}
	var copied object
	if err := json.Unmarshal(text, &copied); err != nil {
		panic(err)
	}
	return copied
}

func metaOf(o object) object {
	m, ok := o["metadata"].(object)
	if !ok {
		m = object{}
		o["metadata"] = m
	}
	return m
}
