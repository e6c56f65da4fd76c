// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
)

// validateDeadline refuses a deadline of the probes that no agent would keep, unless it was let in before.
func validateDeadline(annotations, before map[string]string) field.ErrorList {
	written := annotations[nmstate.ProbeDeadlineAnnotation]
	if was, there := before[nmstate.ProbeDeadlineAnnotation]; there && was == written {
		return nil
	}
	if _, err := nmstate.ParseProbeDeadline(annotations); err != nil {
		return field.ErrorList{field.Invalid(annotationPath(nmstate.ProbeDeadlineAnnotation), written, fmt.Sprintf(
			"want a duration from %s to %s, such as 60s", nmstate.MinProbeDeadline, nmstate.MaxProbeDeadline))}
	}
	return nil
}
