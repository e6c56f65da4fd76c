// SPDX-License-Identifier: Apache-2.0

package apimodel

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func (s *Server) createLocked(q query) (object, error) {
	o, err := q.object()
	if err != nil {
		return nil, err
	}
	meta := metaOf(o)
	name, _ := meta["name"].(string)
	if version, _ := meta["resourceVersion"].(string); version != "" {
		return nil, apierrors.NewBadRequest("resourceVersion should not be set on objects to be created")
	}
	at := q.at
	at.Name = name
	if _, there := s.objects[at]; there {
		return nil, apierrors.NewAlreadyExists(q.groupResource(), name)
	}
	if at.Namespace != "" {
		meta["namespace"] = at.Namespace
	}
	meta["uid"] = "uid-" + strconv.Itoa(s.last+1)
	if err := s.validate(q, o); err != nil || q.dry {
		return q.show(o), err
	}
	return q.show(s.setLocked(at, q.prune(o))), nil
}

func (s *Server) updateLocked(q query) (object, error) {
	stored, there := s.objects[q.at]
	if !there {
		return nil, notFound(q)
	}
	next, err := q.next(stored)
	if err != nil {
		return nil, err
	}
	meta, before := metaOf(next), metaOf(stored)
	if version, _ := meta["resourceVersion"].(string); version != "" && version != before["resourceVersion"] {
		return nil, apierrors.NewConflict(q.groupResource(), q.at.Name, fmt.Errorf("the object has been modified"))
	}
	if uid, _ := meta["uid"].(string); uid != "" && uid != before["uid"] {
		return nil, apierrors.NewConflict(q.groupResource(), q.at.Name, fmt.Errorf("the UID differs"))
	}
	meta["uid"], meta["resourceVersion"] = before["uid"], before["resourceVersion"]
	if q.sub == "status" {
		status := next["status"]
		next = clone(stored)
		next["status"] = status
	}
	next = q.prune(next)
	if err := s.validate(q, next); err != nil || q.dry {
		return q.show(next), err
	}
	if reflect.DeepEqual(clone(next), q.prune(stored)) {
		return q.show(stored), nil // nothing changes: no event
	}
	return q.show(s.setLocked(q.at, next)), nil
}

func (s *Server) validate(q query, o object) error {
	if s.Validate == nil {
		return nil
	}
	return s.Validate(q.kind, o)
}

// next returns what an update or a merge patch makes of the stored object.
func (q query) next(stored object) (object, error) {
	if q.method == http.MethodPut {
		return q.object()
	}
	text, err := json.Marshal(stored)
	if err != nil {
		return nil, err
	}
	merged, err := jsonpatch.MergePatch(text, q.body)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	var next object
	return next, json.Unmarshal(merged, &next)
}

func (s *Server) deleteLocked(q query) (object, error) {
	stored, there := s.objects[q.at]
	if !there {
		return nil, notFound(q)
	}
	var options struct {
		Preconditions struct {
			UID             string `json:"uid"`
			ResourceVersion string `json:"resourceVersion"`
		} `json:"preconditions"`
	}
	if len(q.body) > 0 {
		if err := json.Unmarshal(q.body, &options); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
	}
	want := options.Preconditions
	if want.ResourceVersion != "" && want.ResourceVersion != metaOf(stored)["resourceVersion"] ||
		want.UID != "" && want.UID != metaOf(stored)["uid"] {
		return nil, apierrors.NewConflict(q.groupResource(), q.at.Name, fmt.Errorf("the precondition does not hold"))
	}
	s.setLocked(q.at, nil)
	return object{"kind": "Status", "apiVersion": "v1", "status": "Success"}, nil
}

func (q query) object() (object, error) {
	var o object
	if err := json.Unmarshal(q.body, &o); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	o["kind"], o["apiVersion"] = q.kind.Kind, q.kind.GroupVersion().String()
	return o, nil
}

func (q query) groupResource() schema.GroupResource {
	return schema.GroupResource{Group: q.kind.Group, Resource: q.kind.Resource}
}

func notFound(q query) error { return apierrors.NewNotFound(q.groupResource(), q.at.Name) }
