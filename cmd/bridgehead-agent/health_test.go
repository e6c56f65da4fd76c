// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A patient is as healthy as it says.
type patient struct{ alive, ready error }

func (p patient) Alive() error { return p.alive }
func (p patient) Ready() error { return p.ready }

func TestHealthIsServedAsKubeletAsks(t *testing.T) {
	for name, c := range map[string]struct {
		patient patient
		path    string
		code    int
		says    string
	}{
		"alive":                  {path: "/livez", code: http.StatusOK, says: "ok\n"},
		"alive but not ready":    {patient: patient{ready: errors.New("not yet")}, path: "/livez", code: http.StatusOK, says: "ok\n"},
		"not ready, with why":    {patient: patient{ready: errors.New("not yet")}, path: "/readyz", code: 503, says: "not yet\n"},
		"stuck, with why":        {patient: patient{alive: errors.New("stuck")}, path: "/livez", code: 503, says: "stuck\n"},
		"nothing else is served": {path: "/", code: http.StatusNotFound, says: "404 page not found\n"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := httptest.NewRecorder()
			newHealthHandler(c.patient).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, c.path, nil))
			assert.Equal(t, c.code, answer.Code)
			assert.Equal(t, c.says, answer.Body.String())
		})
	}
}
