// SPDX-License-Identifier: Apache-2.0

package scrape

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	// remember is how long somebody who may get metrics is let in without the API server being asked again.
	remember = time.Minute
	// maxRemembered is of how many tokens that is known at most.
	maxRemembered = 16
)

// A guard lets those in whom the API server allows to get a path. controller-runtime has one, which is half as large as
// the whole agent.
type guard struct {
	clients kubernetes.Interface
	next    http.Handler
	log     logr.Logger
	now     func() time.Time

	mu    sync.Mutex                      // guards until
	until map[[sha256.Size]byte]time.Time // by token and path
}

func newGuard(clients kubernetes.Interface, next http.Handler, now func() time.Time, log logr.Logger) *guard {
	return &guard{clients: clients, next: next, log: log, now: now, until: map[[sha256.Size]byte]time.Time{}}
}

// ServeHTTP implements http.Handler: 401 for who is nobody, 403 for who may not, 500 if that is not known.
func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !found || token == "" {
		http.Error(w, "a bearer token is required", http.StatusUnauthorized)
		return
	}
	key := sha256.Sum256([]byte(r.URL.Path + " " + token))
	if g.knows(key) {
		g.next.ServeHTTP(w, r)
		return
	}
	status, err := g.judge(r.Context(), token, r.URL.Path)
	if err != nil {
		g.log.Error(err, "Cannot check who may get metrics")
	}
	if status != http.StatusOK {
		http.Error(w, http.StatusText(status), status)
		return
	}
	g.learn(key)
	g.next.ServeHTTP(w, r)
}

// judge asks the API server who has a token, and whether they may get a path.
func (g *guard) judge(ctx context.Context, token, path string) (status int, err error) {
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
	review, err = g.clients.AuthenticationV1().TokenReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return http.StatusInternalServerError, fmt.Errorf("ask whose a token is: %w", err)
	}
	if !review.Status.Authenticated {
		return http.StatusUnauthorized, nil
	}
	user := review.Status.User
	extra := map[string]authorizationv1.ExtraValue{}
	for name, value := range user.Extra {
		extra[name] = authorizationv1.ExtraValue(value)
	}
	access := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, UID: user.UID, Groups: user.Groups, Extra: extra,
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: path, Verb: "get"},
	}}
	access, err = g.clients.AuthorizationV1().SubjectAccessReviews().Create(ctx, access, metav1.CreateOptions{})
	if err != nil {
		return http.StatusInternalServerError, fmt.Errorf("ask what %s may get: %w", user.Username, err)
	}
	if !access.Status.Allowed {
		return http.StatusForbidden, nil
	}
	return http.StatusOK, nil
}

func (g *guard) knows(key [sha256.Size]byte) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now().Before(g.until[key])
}

func (g *guard) learn(key [sha256.Size]byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.until) >= maxRemembered {
		clear(g.until)
	}
	g.until[key] = g.now().Add(remember)
}
