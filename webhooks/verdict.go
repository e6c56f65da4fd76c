// Package webhooks decides on admission requests. A rule is a plain function from an object to problems with field
// paths; a reviewer strings rules and the ledger together into a Verdict; the server turns that into an
// AdmissionReview.
package webhooks

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
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
type Patch []PatchOperation

// A PatchOperation sets one field.
type PatchOperation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// Set adds the field at a JSON pointer, or replaces its value.
func (p *Patch) Set(pointer string, value any) {
	*p = append(*p, PatchOperation{Op: "add", Path: pointer, Value: value})
}

// pointer spells a JSON pointer (RFC 6901) from its unescaped parts.
func pointer(parts ...any) string {
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	var b strings.Builder
	for _, part := range parts {
		b.WriteByte('/')
		b.WriteString(escape.Replace(fmt.Sprint(part)))
	}
	return b.String()
}

// response is the verdict in the form of the admission API.
func (v Verdict) response(request *admissionv1.AdmissionRequest) (*admissionv1.AdmissionResponse, error) {
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

// undecided is the answer when no verdict was reached. It is an error of ours, never a refusal.
func undecided(request *admissionv1.AdmissionRequest, code int32, err error) *admissionv1.AdmissionResponse {
	reason := metav1.StatusReasonInternalError
	if code == http.StatusBadRequest {
		reason = metav1.StatusReasonBadRequest
	}
	response := &admissionv1.AdmissionResponse{Result: &metav1.Status{
		Status: metav1.StatusFailure, Code: code, Reason: reason, Message: err.Error(),
	}}
	if request != nil {
		response.UID = request.UID
	}
	return response
}
