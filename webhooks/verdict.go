// SPDX-License-Identifier: Apache-2.0

// Package webhooks decides on admission requests. A rule is a plain function from an object to problems with field
// paths; a reviewer strings rules and the ledger together into a Verdict; the server turns that into an
// AdmissionReview.
package webhooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// A Verdict is the whole answer to one admission request. The zero Verdict admits the object unchanged.
type Verdict struct {
	// Denied has every reason to refuse the object, not just the first.
	Denied field.ErrorList
	// RetryAfter, if not zero, says that the reasons may be gone after so many seconds: the API server tells the client
	// to try again (429 with Retry-After).
	RetryAfter int32
	// Warnings are shown to the user. Keep each below 120 characters.
	Warnings []string
	// Notes go to the log, for administrators.
	Notes []string
	// Patch changes the object. It is left out if the object is denied.
	Patch Patch
}

// A Patch is a list of changes to fields that we own (RFC 6902). Everything else in the object stays as it came, to the
// byte: fields that are newer than this program are not even read.
type Patch []patchOperation

// A patchOperation sets or removes one field.
type patchOperation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// Set adds the field at a JSON pointer, or replaces its value.
func (p *Patch) Set(pointer string, value any) {
	*p = append(*p, patchOperation{Op: "add", Path: pointer, Value: value})
}

// Remove removes the field at a JSON pointer, which must be there.
func (p *Patch) Remove(pointer string) {
	*p = append(*p, patchOperation{Op: "remove", Path: pointer})
}

// pointer spells a JSON pointer (RFC 6901) from its unescaped parts.
func pointer(parts ...any) string {
	var b strings.Builder
	for _, part := range parts {
		b.WriteByte('/')
		b.WriteString(strings.ReplaceAll(strings.ReplaceAll(fmt.Sprint(part), "~", "~0"), "/", "~1"))
	}
	return b.String()
}

// annotate sets annotations of an object that has these.
func (p *Patch) annotate(has, set map[string]string) {
	setEach(p, []any{"metadata", "annotations"}, has == nil, set)
}

const (
	// maxWarningLength is the longest warning, in bytes, that the API server advises.
	maxWarningLength = 120
	// maxWarningBytes bounds all warnings of an answer: the API server drops those beyond 4096.
	maxWarningBytes = 3500
	// notReadyRetry is when to ask again where a replica may not lend: by then another one has the request, or this one
	// its Lease.
	notReadyRetry = 2 * time.Second
	// exhaustedRetry is when to ask a pool again, at the latest, whose addresses may come back in a minute or so: clients
	// ask ten times more, and are to have one by then.
	exhaustedRetry = 7 * time.Second
)

// deny adds reasons to refuse the object.
func (v *Verdict) deny(problems ...*field.Error) { v.Denied = append(v.Denied, problems...) }

func cutTo(length int, text string) string {
	if len(text) <= length {
		return text
	}
	return strings.ToValidUTF8(text[:length-len("…")], "") + "…"
}

// maxWarningLines is on how many lines a long warning goes.
const maxWarningLines = 4

// warn adds a warning that goes on in further ones, indented, if it is long; the end of a very long one is cut off. The
// API server passes a text on once: what goes on must not say what another warning does.
func (v *Verdict) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	indent := text[:len(text)-len(strings.TrimLeft(text, " "))] + "    "
	for line := 1; len(text) > maxWarningLength && line < maxWarningLines; line++ {
		end := strings.LastIndexByte(text[:maxWarningLength+1], ' ')
		if end <= len(indent) { // one long word
			end = maxWarningLength - len("…")
		}
		v.Warnings = append(v.Warnings, strings.ToValidUTF8(text[:end], ""))
		text = indent + strings.TrimLeft(text[end:], " ")
		for slices.Contains(v.Warnings, text) {
			text = " " + text
		}
	}
	v.Warnings = append(v.Warnings, cutTo(maxWarningLength, text))
}

// fit leaves out the last warnings where there are more than the API server passes on.
func (v *Verdict) fit() {
	size := 0
	for n, warning := range v.Warnings {
		if size += len(warning); size > maxWarningBytes {
			left := len(v.Warnings) - n
			v.Warnings = v.Warnings[:n:n]
			v.warn("%d more lines", left)
			return
		}
	}
}

// note adds the addresses that the pool lets an object have although another has them.
func (v *Verdict) note(collisions []*macpool.TakenError, asking []nic, enforcement v1alpha1.Enforcement) {
	for _, collision := range collisions {
		text := collision.Error()
		if i := slices.IndexFunc(asking, func(n nic) bool { return n.mac == collision.MAC }); i >= 0 {
			text = "interface " + asking[i].name + ": " + text
		}
		v.Notes = append(v.Notes, text)
		if enforcement == v1alpha1.EnforcementWarn {
			v.warn("%s", text)
		}
	}
}

// refuse tells answers of the ledger, which go to the user with a field path, from failures to decide, which are
// returned. The client is asked to try again if that can help with every reason.
func (v *Verdict) refuse(err error, o order) error {
	denied := Verdict{Notes: v.Notes}
	var retry time.Duration
	final := slices.ContainsFunc(parts(err), isFinal)
	for _, err := range parts(err) {
		var taken *macpool.TakenError
		var busy *macpool.BusyError
		var exhausted *macpool.ExhaustedError
		var poolless *macpool.NoPoolError
		switch {
		case errors.As(err, &taken):
			denied.deny(
				field.Forbidden(
					o.pathOf(taken.MAC),
					taken.Error()+"; choose another address, or leave it out to have one assigned"+o.advice(taken),
				),
			)
		case errors.As(err, &busy) && final:
			denied.deny(field.Forbidden(o.pathOf(busy.MAC), busy.Later()))
		case errors.As(err, &busy):
			retry = max(retry, busy.After, time.Second)
			denied.deny(field.Forbidden(o.pathOf(busy.MAC), busy.Error()+o.claimHint(busy.Holder)))
		case errors.As(err, &exhausted) && exhausted.Passing():
			retry = max(retry, notReadyRetry, min(exhausted.Wait(), exhaustedRetry))
			denied.deny(field.Forbidden(o.path, err.Error()))
		case errors.As(err, &poolless) && poolless.None:
			retry = max(retry, notReadyRetry)
			denied.deny(field.Forbidden(o.path, err.Error()))
		case errors.As(err, &exhausted), errors.As(err, &poolless):
			denied.deny(field.Forbidden(o.path, err.Error()))
		case errors.Is(err, macpool.ErrNotReady):
			retry = max(retry, notReadyRetry)
			denied.deny(field.Forbidden(o.path, err.Error()))
		default:
			return fmt.Errorf("assign addresses: %w", err)
		}
	}
	if !final {
		denied.RetryAfter = int32((retry + time.Second - 1) / time.Second)
	}
	// The parts come in the order they were decided in, which changes from one time to the next.
	slices.SortFunc(denied.Denied, func(a, b *field.Error) int { return strings.Compare(a.Field, b.Field) })
	*v = denied
	return nil
}

// isFinal reports whether an answer of the ledger stays the same if it is asked again.
func isFinal(err error) bool {
	var taken *macpool.TakenError
	var exhausted *macpool.ExhaustedError
	var poolless *macpool.NoPoolError
	return errors.As(err, &taken) || errors.As(err, &poolless) && !poolless.None ||
		errors.As(err, &exhausted) && !exhausted.Passing()
}

// response returns the verdict in the form of the admission API.
func (v Verdict) response(request *admissionv1.AdmissionRequest) (*admissionv1.AdmissionResponse, error) {
	v.fit()
	response := &admissionv1.AdmissionResponse{UID: request.UID, Allowed: len(v.Denied) == 0, Warnings: v.Warnings}
	if !response.Allowed {
		response.Result = v.refusal(request)
		return response, nil
	}
	if len(v.Patch) == 0 {
		return response, nil
	}
	patch, err := json.Marshal(v.Patch)
	if err != nil {
		return nil, fmt.Errorf("encode patch: %w", err)
	}
	patchType := admissionv1.PatchTypeJSONPatch
	response.Patch, response.PatchType = patch, &patchType
	return response, nil
}

func (v Verdict) refusal(request *admissionv1.AdmissionRequest) *metav1.Status {
	status := &metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusUnprocessableEntity,
		Reason:  metav1.StatusReasonInvalid,
		Message: v.Denied.ToAggregate().Error(),
		Details: &metav1.StatusDetails{Name: request.Name, Group: request.Kind.Group, Kind: request.Kind.Kind},
	}
	if v.RetryAfter > 0 {
		status.Code, status.Reason = http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests
		status.Details.RetryAfterSeconds = v.RetryAfter
	}
	for _, problem := range v.Denied {
		status.Details.Causes = append(status.Details.Causes, metav1.StatusCause{
			Type:    metav1.CauseType(problem.Type),
			Message: problem.ErrorBody(),
			Field:   problem.Field,
		})
	}
	return status
}

// undecided returns the answer when no verdict was reached. It is an error of ours, never a refusal. Where a later
// attempt may do better, clients are told to make it.
func undecided(request *admissionv1.AdmissionRequest, code int32, err error) *admissionv1.AdmissionResponse {
	status := &metav1.Status{
		Status: metav1.StatusFailure, Code: code, Reason: metav1.StatusReasonInternalError, Message: err.Error(),
	}
	switch {
	case code == http.StatusBadRequest:
		status.Reason = metav1.StatusReasonBadRequest
	case passing(err):
		status.Code, status.Reason = http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable
		status.Details = &metav1.StatusDetails{RetryAfterSeconds: int32(notReadyRetry / time.Second)}
	}
	response := &admissionv1.AdmissionResponse{Result: status}
	if request != nil {
		response.UID = request.UID
	}
	return response
}

// passing reports whether an error is that this replica has just started, that the API server was slow, busy, starting
// or ending, that something failed in it, such as etcd that has just got another leader, or that others were faster too
// often. What it has no room for, it never takes.
func passing(err error) bool {
	var status apierrors.APIStatus
	failed := errors.As(err, &status) && status.Status().Code >= http.StatusInternalServerError
	return failed && !errors.Is(err, macpool.ErrTooLarge) || errors.Is(err, macpool.ErrConflict) ||
		errors.Is(err, macpool.ErrNotReady) || errors.Is(err, context.DeadlineExceeded) ||
		apierrors.IsTooManyRequests(err) || utilnet.IsTimeout(err) ||
		utilnet.IsConnectionRefused(err) || utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err)
}
