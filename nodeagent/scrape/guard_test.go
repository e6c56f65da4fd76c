// SPDX-License-Identifier: Apache-2.0

package scrape

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"
)

// An apiServer knows two tokens, of whom one may get metrics.
type apiServer struct {
	fails error
	asked int
}

func (a *apiServer) whose(action ktesting.Action) (bool, runtime.Object, error) {
	a.asked++
	review := action.(ktesting.CreateAction).GetObject().(*authenticationv1.TokenReview).DeepCopy()
	review.Status.User.Username = review.Spec.Token
	review.Status.Authenticated = review.Spec.Token == "prometheus" || review.Spec.Token == "somebody"
	return true, review, a.fails
}

func (a *apiServer) mayGet(action ktesting.Action) (bool, runtime.Object, error) {
	review := action.(ktesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
	get := review.Spec.NonResourceAttributes
	review.Status.Allowed = review.Spec.User == "prometheus" && get.Path == "/metrics" && get.Verb == "get"
	return true, review, nil
}

// guarded returns a guard before a handler that answers 200.
func (a *apiServer) guarded(now func() time.Time) *guard {
	clients := fake.NewClientset()
	clients.PrependReactor("create", "tokenreviews", a.whose)
	clients.PrependReactor("create", "subjectaccessreviews", a.mayGet)
	return newGuard(clients, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), now, logr.Discard())
}

func ask(g *guard, path, authorization string) int {
	request := httptest.NewRequest(http.MethodGet, path, nil)
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	answer := httptest.NewRecorder()
	g.ServeHTTP(answer, request)
	return answer.Code
}

func TestTheGuardLetsThoseInWhoMay(t *testing.T) {
	for name, tc := range map[string]struct {
		path, authorization string
		fails               error
		want                int
	}{
		"who has the role gets metrics":       {authorization: "Bearer prometheus", want: http.StatusOK},
		"who has not does not":                {authorization: "Bearer somebody", want: http.StatusForbidden},
		"whose token is not known is nobody":  {authorization: "Bearer forged", want: http.StatusUnauthorized},
		"who has no token is nobody":          {want: http.StatusUnauthorized},
		"an empty token is none":              {authorization: "Bearer ", want: http.StatusUnauthorized},
		"a password is no token":              {authorization: "Basic prometheus", want: http.StatusUnauthorized},
		"another path is not allowed with it": {path: "/other", authorization: "Bearer prometheus", want: http.StatusForbidden},
		"nobody is let in while that is not known": {
			authorization: "Bearer prometheus", fails: errors.New("away"), want: http.StatusInternalServerError,
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := "/metrics"
			if tc.path != "" {
				path = tc.path
			}
			server := &apiServer{fails: tc.fails}
			assert.Equal(t, tc.want, ask(server.guarded(time.Now), path, tc.authorization))
		})
	}
}

func TestTheAPIServerIsNotAskedForEveryScrape(t *testing.T) {
	at := time.Now()
	server := &apiServer{}
	g := server.guarded(func() time.Time { return at })
	for range 3 {
		assert.Equal(t, http.StatusOK, ask(g, "/metrics", "Bearer prometheus"))
	}
	assert.Equal(t, 1, server.asked)
	assert.Equal(t, http.StatusForbidden, ask(g, "/other", "Bearer prometheus"), "what is known is of one path")
	assert.Equal(t, http.StatusForbidden, ask(g, "/metrics", "Bearer somebody"))
	assert.Equal(t, http.StatusForbidden, ask(g, "/metrics", "Bearer somebody"))
	assert.Equal(t, 4, server.asked, "who was not let in is asked about again")
	at = at.Add(remember)
	assert.Equal(t, http.StatusOK, ask(g, "/metrics", "Bearer prometheus"))
	assert.Equal(t, 5, server.asked, "what was allowed may not be anymore")
	for n := range 3 * maxRemembered {
		g.learn([32]byte{byte(n)})
		assert.LessOrEqual(t, len(g.until), maxRemembered, fmt.Sprint("after ", n))
	}
}
