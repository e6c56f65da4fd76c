// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/go-logr/logr"
	admissionv1 "k8s.io/api/admission/v1"
)

// maxReviewBytes bounds an AdmissionReview: two objects of the largest size that etcd takes, and their envelope.
const maxReviewBytes = 8 << 20

// A Reviewer decides on admission requests. An error means that it could not; it is never a refusal.
type Reviewer interface {
	Review(ctx context.Context, request *admissionv1.AdmissionRequest) (Verdict, error)
}

// A Handler serves one webhook over HTTP: AdmissionReview v1 in, AdmissionReview v1 out, whatever the bytes.
type Handler struct {
	Reviewer Reviewer
	Log      logr.Logger
	// Observe, if set, is told of every decision: admitted, patched, denied, undecided or unreadable.
	Observe func(verdict string, took time.Duration)
}

// ServeHTTP implements http.Handler.
func (h Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	request, err := readReview(r)
	var verdict Verdict
	var response *admissionv1.AdmissionResponse
	if err != nil {
		response = undecided(request, http.StatusBadRequest, err)
	} else {
		ctx, cancel := withDeadline(r)
		verdict, response = h.decide(ctx, request)
		cancel()
	}
	if err := send(w, response); err != nil {
		h.Log.Error(err, "Answer not sent", "uid", response.UID)
	}
	h.logDecision(request, verdict, response, time.Since(begun))
}

// send has an answer on its way before anything else is done, such as logging it.
func send(w http.ResponseWriter, response *admissionv1.AdmissionResponse) error {
	review := admissionv1.AdmissionReview{Response: response}
	review.SetGroupVersionKind(admissionv1.SchemeGroupVersion.WithKind("AdmissionReview"))
	body, err := json.Marshal(review)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body))) // else it is sent in chunks
	if _, err := w.Write(body); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}

func (h Handler) decide(
	ctx context.Context, request *admissionv1.AdmissionRequest,
) (Verdict, *admissionv1.AdmissionResponse) {
	verdict, err := h.review(ctx, request)
	if err != nil {
		return Verdict{}, undecided(request, http.StatusInternalServerError, err)
	}
	response, err := verdict.response(request)
	if err != nil {
		return Verdict{}, undecided(request, http.StatusInternalServerError, err)
	}
	return verdict, response
}

// review asks the reviewer. A panic in it is an error of this one request.
func (h Handler) review(ctx context.Context, request *admissionv1.AdmissionRequest) (verdict Verdict, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("the reviewer panicked: %v", cause)
			h.Log.Error(err, "Reviewer panicked", "uid", request.UID, "stack", string(debug.Stack()))
		}
	}()
	return h.Reviewer.Review(ctx, request)
}

// withDeadline bounds a review by the time that the API server says it waits for the answer (timeout=5s), less a tenth
// for its way back: a client is told what was waited for then, and to try again, instead of that a webhook timed out.
func withDeadline(r *http.Request) (context.Context, context.CancelFunc) {
	waits, err := time.ParseDuration(r.URL.Query().Get("timeout"))
	if err != nil || waits <= 0 {
		return context.WithCancel(r.Context())
	}
	return context.WithTimeout(r.Context(), waits-waits/10)
}

// readReview reads the request of an AdmissionReview. With an error it returns what could be read of it, or nil: the
// uid may be there.
func readReview(r *http.Request) (*admissionv1.AdmissionRequest, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxReviewBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read AdmissionReview: %w", err)
	}
	if len(body) > maxReviewBytes {
		return nil, fmt.Errorf("the AdmissionReview is larger than %d bytes", maxReviewBytes)
	}
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(body, &review); err != nil {
		return review.Request, fmt.Errorf("decode AdmissionReview: %w", err)
	}
	want := admissionv1.SchemeGroupVersion.WithKind("AdmissionReview")
	if got := review.GroupVersionKind(); got != want {
		return review.Request, fmt.Errorf(
			"want an AdmissionReview of %s, not a %q of %q", want.GroupVersion(), review.Kind, review.APIVersion,
		)
	}
	if review.Request == nil {
		return nil, errors.New("the AdmissionReview has no request")
	}
	return review.Request, nil
}

func isDryRun(request *admissionv1.AdmissionRequest) bool {
	return request.DryRun != nil && *request.DryRun
}

func (h Handler) logDecision(
	request *admissionv1.AdmissionRequest, v Verdict, response *admissionv1.AdmissionResponse, took time.Duration,
) {
	verdict, message := describe(response)
	if h.Observe != nil {
		h.Observe(verdict, took)
	}
	if verdict == unreadable {
		h.Log.Info("Unreadable review", "uid", response.UID, "message", response.Result.Message)
		return
	}
	values := []any{
		"uid",
		request.UID,
		"operation",
		request.Operation,
		"object",
		request.Kind.Kind + " " + request.Namespace + "/" + request.Name,
		"dryRun",
		isDryRun(request),
		"verdict",
		verdict,
		"detail",
		message,
		"ms",
		float64(took.Microseconds()) / 1000,
	}
	if len(v.Notes) > 0 {
		values = append(values, "notes", v.Notes)
	}
	h.Log.Info("Reviewed", values...)
}

// unreadable is the verdict on what is no review.
const unreadable = "unreadable"

// describe returns a decision in a word, with what there is to say about it.
func describe(response *admissionv1.AdmissionResponse) (verdict, message string) {
	switch {
	case response.Result != nil && response.Result.Code == http.StatusBadRequest:
		return unreadable, response.Result.Message
	case !response.Allowed && response.Result.Code >= http.StatusInternalServerError:
		return "undecided", response.Result.Message
	case !response.Allowed:
		return "denied", response.Result.Message
	case len(response.Patch) > 0:
		return "patched", string(response.Patch)
	}
	return "admitted", ""
}
