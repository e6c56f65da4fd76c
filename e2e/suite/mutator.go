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

// A Mutator is a webhook that comes after ours and changes every VM and every pod that is created in some namespaces,
// as those of policy engines may: ours is called a second time for each of them.
type Mutator struct{ *httptest.Server }

// mutatorConfiguration sorts behind all others.
const mutatorConfiguration = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: zzzz-mutator}
webhooks:
- name: mutator.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Ignore
  timeoutSeconds: 5
  clientConfig: {url: URL, caBundle: CABUNDLE}
  rules:
  - {apiGroups: [kubevirt.io], apiVersions: [v1], operations: [CREATE], resources: [virtualmachines]}
  - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}
  namespaceSelector:
    matchExpressions:
    - {key: kubernetes.io/metadata.name, operator: In, values: [NAMESPACES]}
`

// StartMutator has a Mutator serve these namespaces. It is to be closed.
func (s *Suite) StartMutator(ctx context.Context, namespaces ...string) (*Mutator, error) {
	m := &Mutator{httptest.NewTLSServer(http.HandlerFunc(label))}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.Certificate().Raw})
	manifest := strings.NewReplacer(
		"URL", m.URL, "CABUNDLE", base64.StdEncoding.EncodeToString(ca), "NAMESPACES", strings.Join(namespaces, ", "),
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
	var review admissionv1.AdmissionReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil || review.Request == nil {
		http.Error(w, "want an AdmissionReview", http.StatusBadRequest)
		return
	}
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	var object metav1.PartialObjectMetadata
	err := json.Unmarshal(review.Request.Object.Raw, &object)
	if err != nil || object.Annotations[RejectAnnotation] != "" {
		review.Response.Allowed = false
	} else {
		review.Response.PatchType = ptr.To(admissionv1.PatchTypeJSONPatch)
		review.Response.Patch = []byte(`[{"op": "add", "path": "/metadata/labels", "value": {"mutated": "true"}}]`)
	}
	review.Request = nil
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(review) // the API server notices an answer that is cut short
}
