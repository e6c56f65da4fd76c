// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

type reviewerFunc func(ctx context.Context, request *admissionv1.AdmissionRequest) (Verdict, error)

// Review implements Reviewer.
func (f reviewerFunc) Review(ctx context.Context, request *admissionv1.AdmissionRequest) (Verdict, error) {
	return f(ctx, request)
}

const review = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u1","name":"vm","kind":{"group":"kubevirt.io","version":"v1","kind":"VirtualMachine"}}}`

func TestBodiesThatAreNoReview(t *testing.T) {
	handler := Handler{
		Log: logr.Discard(),
		Reviewer: reviewerFunc(func(context.Context, *admissionv1.AdmissionRequest) (Verdict, error) {
			return Verdict{}, errors.New("it is not to be asked")
		}),
	}
	for name, c := range map[string]struct {
		body    string
		uid     string
		message string
	}{
		"nothing":               {message: "decode AdmissionReview"},
		"not JSON":              {body: "kind: AdmissionReview", message: "decode AdmissionReview"},
		"half a review":         {body: review[:len(review)-1], message: "decode AdmissionReview"},
		"two reviews":           {body: review + review, message: "decode AdmissionReview"},
		"a list":                {body: "[]", message: "decode AdmissionReview"},
		"another kind":          {body: `{"apiVersion":"v1","kind":"Pod"}`, message: `not a "Pod" of "v1"`},
		"another version":       {body: strings.Replace(review, "admission.k8s.io/v1", "admission.k8s.io/v1beta1", 1), uid: "u1", message: `of "admission.k8s.io/v1beta1"`},
		"no request":            {body: `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`, message: "has no request"},
		"a request that is odd": {body: strings.Replace(review, `"name":"vm"`, `"name":5`, 1), uid: "u1", message: "request.name"},
		"too large a body":      {body: review + strings.Repeat(" ", maxReviewBytes), message: "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			response := post(t, handler, []byte(c.body))

			assert.False(t, response.Allowed)
			assert.EqualValues(t, c.uid, response.UID)
			assert.EqualValues(t, http.StatusBadRequest, response.Result.Code)
			assert.Equal(t, metav1.StatusReasonBadRequest, response.Result.Reason)
			assert.Contains(t, response.Result.Message, c.message)
		})
	}
	t.Run("a review of the largest size is read", func(t *testing.T) {
		padded := append([]byte(review), bytes.Repeat([]byte(" "), maxReviewBytes-len(review))...)
		assert.Contains(t, post(t, handler, padded).Result.Message, "it is not to be asked")
	})
}

func TestPanicIsAnErrorOfOneRequest(t *testing.T) {
	handler := Handler{
		Log: logr.Discard(),
		Reviewer: reviewerFunc(func(_ context.Context, r *admissionv1.AdmissionRequest) (Verdict, error) {
			if r.UID == "u1" {
				panic("at the disco")
			}
			return Verdict{}, nil
		}),
	}

	response := post(t, handler, []byte(review))

	assert.False(t, response.Allowed)
	assert.EqualValues(t, "u1", response.UID)
	assert.EqualValues(t, http.StatusInternalServerError, response.Result.Code)
	assert.Equal(t, metav1.StatusReasonInternalError, response.Result.Reason)
	assert.Contains(t, response.Result.Message, "at the disco")
	assert.True(t, post(t, handler, []byte(strings.Replace(review, "u1", "u2", 1))).Allowed)
}

func TestClientsAreToldToAskAgainWhereThatMayHelp(t *testing.T) {
	blocks := schema.GroupResource{Group: "bridgehead.dev", Resource: "macblocks"}
	for name, c := range map[string]struct {
		err   error
		again bool
	}{
		"the API server is too slow": {err: context.DeadlineExceeded, again: true},
		"etcd has no leader":         {err: apierrors.NewServerTimeout(blocks, "update", 1), again: true},
		"etcd has another leader": {err: &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusInternalServerError, Message: "etcdserver: leader changed",
		}}, again: true},
		"others were faster each time": {
			err: fmt.Errorf("it changed 32 times meanwhile: %w", macpool.ErrConflict), again: true,
		},
		"the API server gave up": {err: apierrors.NewTimeoutError("request did not complete", 0), again: true},
		"a block has no room": {err: fmt.Errorf(
			"%w: %w", macpool.ErrTooLarge, apierrors.NewInternalError(errors.New("etcdserver: request is too large")),
		)},
		"a namespace is so new that its pool is not known": {
			err: &macpool.NotReadyError{Why: "its labels are not known yet"}, again: true,
		},
		"a replica has just started":     {err: errNoClaimKey, again: true},
		"the API server is busy":         {err: apierrors.NewTooManyRequests("busy", 1), again: true},
		"the API server is starting":     {err: &url.Error{Op: "Put", Err: syscall.ECONNREFUSED}, again: true},
		"the API server was just killed": {err: &url.Error{Op: "Put", Err: syscall.ECONNRESET}, again: true},
		"the API server hung up":         {err: &url.Error{Op: "Put", Err: io.EOF}, again: true},
		"a right is missing":             {err: apierrors.NewForbidden(blocks, "b", errors.New("no"))},
		"a fault of ours":                {err: errors.New("out of luck")},
	} {
		t.Run(name, func(t *testing.T) {
			response := post(t, Handler{
				Log: logr.Discard(),
				Reviewer: reviewerFunc(func(context.Context, *admissionv1.AdmissionRequest) (Verdict, error) {
					return Verdict{}, fmt.Errorf("assign addresses: put MACBlock b: %w", c.err)
				}),
			}, []byte(review))

			assert.False(t, response.Allowed)
			assert.Contains(t, response.Result.Message, "put MACBlock b: ")
			if c.again {
				assert.EqualValues(t, http.StatusServiceUnavailable, response.Result.Code)
				assert.Equal(t, metav1.StatusReasonServiceUnavailable, response.Result.Reason)
				assert.EqualValues(t, 2, response.Result.Details.RetryAfterSeconds)
				return
			}
			assert.EqualValues(t, http.StatusInternalServerError, response.Result.Code)
			assert.Equal(t, metav1.StatusReasonInternalError, response.Result.Reason)
		})
	}
}

func TestReviewsEndBeforeTheAPIServerGivesUp(t *testing.T) {
	for name, c := range map[string]struct {
		query string
		after time.Duration
	}{
		"it waits for as long as manifests say": {"?timeout=5s", 4500 * time.Millisecond},
		"it waits for a second":                 {"?timeout=1s", 900 * time.Millisecond},
		"it does not say":                       {"", time.Hour},
		"it says nothing that can be read":      {"?timeout=soon", time.Hour},
		"it says nothing that makes sense":      {"?timeout=-1s", time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				handler := Handler{
					Log: logr.Discard(),
					Reviewer: reviewerFunc(func(ctx context.Context, _ *admissionv1.AdmissionRequest) (Verdict, error) {
						<-ctx.Done()
						return Verdict{}, fmt.Errorf("claim 02:00:00:00:00:01: %w", ctx.Err())
					}),
				}
				recorder, begun := httptest.NewRecorder(), time.Now()
				request := httptest.NewRequest(http.MethodPost, "/mutate-virtualmachines"+c.query, strings.NewReader(review))

				handler.ServeHTTP(recorder, request.WithContext(ctx))

				assert.Equal(t, c.after, time.Since(begun))
				var answer admissionv1.AdmissionReview
				require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &answer))
				assert.Contains(t, answer.Response.Result.Message, "claim 02:00:00:00:00:01: ")
				assert.EqualValues(t, http.StatusServiceUnavailable, answer.Response.Result.Code)
			})
		})
	}
}

func TestVerdictInTheFormOfTheAPI(t *testing.T) {
	taken := field.Forbidden(field.NewPath("spec", "a"), "is taken")
	odd := field.Invalid(field.NewPath("spec", "b"), "5", "is odd")
	details := func(retry int32) *metav1.StatusDetails {
		return &metav1.StatusDetails{Name: "vm", Group: "kubevirt.io", Kind: "VirtualMachine", RetryAfterSeconds: retry, Causes: []metav1.StatusCause{
			{Type: "FieldValueForbidden", Field: "spec.a", Message: "Forbidden: is taken"},
			{Type: metav1.CauseTypeFieldValueInvalid, Field: "spec.b", Message: `Invalid value: "5": is odd`},
		}}
	}
	const both = `[spec.a: Forbidden: is taken, spec.b: Invalid value: "5": is odd]`
	jsonPatch := admissionv1.PatchTypeJSONPatch
	patch := Patch{}
	patch.Set(pointer("a", "x/y~z", 1), "v")
	for name, c := range map[string]struct {
		verdict Verdict
		want    admissionv1.AdmissionResponse
	}{
		"the zero verdict admits": {want: admissionv1.AdmissionResponse{Allowed: true}},
		"a patch goes with its type": {
			verdict: Verdict{Patch: patch, Warnings: []string{"look out"}},
			want: admissionv1.AdmissionResponse{Allowed: true, Warnings: []string{"look out"}, PatchType: &jsonPatch,
				Patch: []byte(`[{"op":"add","path":"/a/x~1y~0z/1","value":"v"}]`)},
		},
		"a refusal has every cause and no patch": {
			verdict: Verdict{Denied: field.ErrorList{taken, odd}, Patch: patch, Warnings: []string{"look out"}},
			want: admissionv1.AdmissionResponse{Warnings: []string{"look out"}, Result: &metav1.Status{
				Status: metav1.StatusFailure, Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid, Message: both, Details: details(0)}},
		},
		"a refusal for now says when to come again": {
			verdict: Verdict{Denied: field.ErrorList{taken, odd}, RetryAfter: 7},
			want: admissionv1.AdmissionResponse{Result: &metav1.Status{
				Status: metav1.StatusFailure, Code: http.StatusTooManyRequests, Reason: metav1.StatusReasonTooManyRequests, Message: both, Details: details(7)}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			handler := Handler{
				Log: logr.Discard(),
				Reviewer: reviewerFunc(func(context.Context, *admissionv1.AdmissionRequest) (Verdict, error) {
					return c.verdict, nil
				}),
			}
			c.want.UID = "u1"
			assert.Equal(t, c.want, *post(t, handler, []byte(review)))
		})
	}
}

func TestRefusalsOfTheLedger(t *testing.T) {
	first, second := macpool.MAC{2, 0, 0, 0, 0, 1}, macpool.MAC{2, 0, 0, 0, 0, 2}
	o := order{path: interfacesPath(), asking: []nic{
		{name: "a", text: "x", mac: first, path: interfacesPath().Index(3).Child("macAddress")},
		{name: "b", text: "y", mac: second, path: interfacesPath().Index(5).Child("macAddress")},
	}}
	const at = "spec.template.spec.domain.devices.interfaces"
	vmObject := macpool.Object{Kind: macpool.KindVM, Namespace: "ns", Name: "vm"}
	taken := &macpool.TakenError{MAC: first, Holder: macpool.Holder{Object: vmObject}, Asker: vmObject}
	busy := func(m macpool.MAC, after time.Duration) error {
		return &macpool.BusyError{MAC: m, After: after, Why: "is on its way"}
	}
	one := macpool.Usage{Total: 1, Used: 1}
	for name, c := range map[string]struct {
		err     error
		denied  []string
		retry   int32
		unknown string
	}{
		"taken":                         {err: taken, denied: []string{at + "[3].macAddress"}},
		"busy for a moment":             {err: busy(first, 300*time.Millisecond), denied: []string{at + "[3].macAddress"}, retry: 1},
		"busy for part of a second":     {err: busy(first, 61*time.Second+time.Millisecond), denied: []string{at + "[3].macAddress"}, retry: 62},
		"busy twice waits for the last": {err: errors.Join(busy(second, 9*time.Second), busy(first, time.Second)), denied: []string{at + "[3].macAddress", at + "[5].macAddress"}, retry: 9},
		"busy and taken is final":       {err: errors.Join(busy(second, time.Second), taken), denied: []string{at + "[3].macAddress", at + "[5].macAddress"}},
		"exhausted":                     {err: &macpool.ExhaustedError{Pool: "p"}, denied: []string{at}},
		"exhausted until one is old": {
			err: &macpool.ExhaustedError{Usage: one, Young: 1, After: time.Minute}, denied: []string{at}, retry: 7,
		},
		"exhausted until one is old, which is soon": {
			err: &macpool.ExhaustedError{Usage: one, Young: 1, After: 4500 * time.Millisecond}, denied: []string{at}, retry: 5,
		},
		"exhausted until one is free that was given up": {
			err: &macpool.ExhaustedError{Usage: one, Young: 1, After: time.Minute, Left: 1}, denied: []string{at}, retry: 2,
		},
		"no pool":                        {err: &macpool.NoPoolError{Namespace: "n"}, denied: []string{at}},
		"no pool yet":                    {err: &macpool.NoPoolError{Namespace: "n", None: true}, denied: []string{at}, retry: 2},
		"not ready is to be tried again": {err: macpool.ErrNotReady, denied: []string{at}, retry: 2},
		"a failure beside a refusal":     {err: errors.Join(taken, errors.New("connection refused")), unknown: "connection refused"},
		"out of time is no refusal":      {err: context.DeadlineExceeded, unknown: "deadline"},
	} {
		t.Run(name, func(t *testing.T) {
			verdict := Verdict{Warnings: []string{"a warning of what is refused is none"}}
			err := verdict.refuse(c.err, o)
			if c.unknown != "" {
				require.ErrorContains(t, err, c.unknown)
				return
			}
			require.NoError(t, err)
			assert.Empty(t, verdict.Warnings)
			var fields []string
			for _, problem := range verdict.Denied {
				fields = append(fields, problem.Field)
			}
			assert.Equal(t, c.denied, fields)
			assert.Equal(t, c.retry, verdict.RetryAfter)
		})
	}
}

func TestAnAnswerDoesNotWaitForTheLog(t *testing.T) {
	answer := httptest.NewRecorder()
	logged := false
	handler := Handler{
		Log: funcr.New(func(string, string) {
			logged = true
			assert.True(t, answer.Flushed)
		}, funcr.Options{}),
		Reviewer: reviewerFunc(func(context.Context, *admissionv1.AdmissionRequest) (Verdict, error) {
			return Verdict{}, nil
		}),
	}
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(review)))
	assert.True(t, logged)
	assert.Equal(t, strconv.Itoa(answer.Body.Len()), answer.Header().Get("Content-Length"), "it is sent whole")
}
