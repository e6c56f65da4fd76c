// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// A Mutator is a webhook that changes VMs and pods in some namespaces, as those of policy engines do.
type Mutator struct{ *httptest.Server }

// lastMutator sorts behind all others: ours is called a second time for what it changes.
const lastMutator = "zzzz-mutator"

// mutatorConfiguration has a Mutator called in the place that its name has among those of other configurations.
const mutatorConfiguration = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: NAME}
webhooks:
- name: mutator.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Ignore
  timeoutSeconds: 5
  clientConfig: {url: URL, caBundle: CABUNDLE}
  rules:
  - {apiGroups: [kubevirt.io], apiVersions: [v1], operations: [OPERATIONS], resources: [virtualmachines]}
  - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}
  namespaceSelector:
    matchExpressions:
    - {key: kubernetes.io/metadata.name, operator: In, values: [NAMESPACES]}
`

// StartMutator has a Mutator, which comes after ours, label every VM and every pod that is created in these namespaces.
// It is to be closed.
func (s *Suite) StartMutator(ctx context.Context, namespaces ...string) (*Mutator, error) {
	return s.startMutator(ctx, lastMutator, "CREATE", http.HandlerFunc(label), namespaces)
}

// StartEngine has a Mutator of some name change every pod that is created, and every VM that is created or updated, in
// these namespaces by a JSON patch; none for an empty one. It is to be closed.
func (s *Suite) StartEngine(
	ctx context.Context, name string, patch func(object metav1.PartialObjectMetadata) string, namespaces ...string,
) (*Mutator, error) {
	return s.startMutator(ctx, name, "CREATE, UPDATE", answer(func(o metav1.PartialObjectMetadata) (string, bool) {
		return patch(o), true
	}), namespaces)
}

func (s *Suite) startMutator(
	ctx context.Context, name, operations string, handler http.Handler, namespaces []string,
) (*Mutator, error) {
	m := &Mutator{httptest.NewTLSServer(handler)}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.Certificate().Raw})
	manifest := strings.NewReplacer(
		"NAMESPACES", strings.Join(namespaces, ", "), "NAME", name, "OPERATIONS", operations,
		"URL", m.URL, "CABUNDLE", base64.StdEncoding.EncodeToString(ca),
	).Replace(mutatorConfiguration)
	if _, err := s.KubectlInput(ctx, manifest, "apply", "-f", "-"); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// RejectAnnotation on an object has a Mutator refuse it: somebody rejects what we admitted.
const RejectAnnotation = "mutator.example.com/reject"

// label gives whatever it is sent a label, unless it is to be rejected.
func label(w http.ResponseWriter, r *http.Request) {
	answer(func(o metav1.PartialObjectMetadata) (string, bool) {
		return `[{"op": "add", "path": "/metadata/labels", "value": {"mutated": "true"}}]`,
			o.Annotations[RejectAnnotation] == ""
	})(w, r)
}

// answer serves what decides on a patch of an object, and whether it is let in.
func answer(decide func(metav1.PartialObjectMetadata) (patch string, allowed bool)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil || review.Request == nil {
			http.Error(w, "want an AdmissionReview", http.StatusBadRequest)
			return
		}
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID}
		var object metav1.PartialObjectMetadata
		if err := json.Unmarshal(review.Request.Object.Raw, &object); err == nil {
			var patch string
			if patch, review.Response.Allowed = decide(object); patch != "" && review.Response.Allowed {
				review.Response.PatchType, review.Response.Patch = ptr.To(admissionv1.PatchTypeJSONPatch), []byte(patch)
			}
		}
		review.Request = nil
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(review) // the API server notices an answer that is cut short
	}
}
