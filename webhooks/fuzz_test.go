// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// FuzzReview puts any bytes to the webhook. The answer is a review; a patch applies and touches nothing but what is
// ours; a VM that is created has an address on every interface that is served, and no address twice.
func FuzzReview(f *testing.F) {
	for _, c := range readCorpus(f) {
		body, err := c.Review("uid")
		require.NoError(f, err)
		f.Add(body)
	}
	for _, odd := range []string{
		"", "null", "[]", "{}", `{"request":null}`, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`,
		`{"request":{"uid":"uid","dryRun":"yes"}}`, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"uid","operation":"CREATE","object":{"spec":{},"spec":{"template":{}}}}}`,
	} {
		f.Add([]byte(odd))
	}
	ours := regexp.MustCompile(`^/spec/template/spec/domain/devices/interfaces/[0-9]+/macAddress$|^/metadata/annotations(/bridgehead\.dev~1claim)?$`)
	f.Fuzz(func(t *testing.T, body []byte) {
		w := newWorld(t)
		defer w.flush()
		w.hold("02:4a:be:00:00:01", "case-0/vma", "br0")

		response := w.post(body)

		var sent struct {
			Request *struct {
				UID       string
				Operation admissionv1.Operation
				Object    json.RawMessage
			}
		}
		err := json.Unmarshal(body, &sent)
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) || sent.Request == nil {
			require.False(t, response.Allowed)
			return
		}
		require.EqualValues(t, sent.Request.UID, response.UID)
		for pointer, value := range changes(t, response.Patch) {
			require.Regexp(t, ours, pointer)
			if pointer == "/metadata/annotations" {
				require.Contains(t, value, macpool.ClaimAnnotation)
				require.Len(t, value, 1)
			}
		}
		if !response.Allowed || len(sent.Request.Object) == 0 {
			return
		}
		result := patched(t, sent.Request.Object, response)
		if sent.Request.Operation == admissionv1.Create {
			require.NoError(t, everyServedInterfaceHasItsOwnAddress(result))
		}
	})
}

func everyServedInterfaceHasItsOwnAddress(object []byte) error {
	vm, problems := readVM(object)
	if len(problems) > 0 {
		return problems.ToAggregate()
	}
	var seen []macpool.MAC
	for _, n := range nicsOf(&vm) {
		if n.text == "" && !n.served {
			continue
		}
		m, err := macpool.ParseInterfaceMAC(n.text)
		if err != nil {
			return fmt.Errorf("%s: %w", n.path, err)
		}
		if slices.Contains(seen, m) {
			return fmt.Errorf("%s: %s is there twice", n.path, m)
		}
		seen = append(seen, m)
	}
	return nil
}
