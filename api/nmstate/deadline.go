// SPDX-License-Identifier: Apache-2.0

package nmstate

import (
	"fmt"
	"time"
)

// The limits of ProbeDeadlineAnnotation.
const (
	MinProbeDeadline = time.Second
	MaxProbeDeadline = 10 * time.Minute
)

// ParseProbeDeadline returns what ProbeDeadlineAnnotation says among the annotations of a policy; zero if it is not
// there.
func ParseProbeDeadline(annotations map[string]string) (time.Duration, error) {
	text, said := annotations[ProbeDeadlineAnnotation]
	if !said {
		return 0, nil
	}
	deadline, err := time.ParseDuration(text)
	if err != nil || deadline < MinProbeDeadline || deadline > MaxProbeDeadline {
		return 0, fmt.Errorf("annotation %s: %q is not a duration from %s to %s, such as 60s",
			ProbeDeadlineAnnotation, text, MinProbeDeadline, MaxProbeDeadline)
	}
	return deadline, nil
}
