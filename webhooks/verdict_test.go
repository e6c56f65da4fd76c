// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// Else the API server drops the end, without a word.
func TestOfWarningsThatAreTooManyTheRestIsCounted(t *testing.T) {
	var v Verdict
	for n := range 200 {
		v.warn("interface net%d: 02:00:00:00:00:01 is held by VirtualMachine home/vm for its interface net", n)
	}
	response, err := v.response(&admissionv1.AdmissionRequest{})
	require.NoError(t, err)
	assert.Less(t, len(strings.Join(response.Warnings, "")), 4096)
	assert.Regexp(t, `^[0-9]+ more lines$`, response.Warnings[len(response.Warnings)-1])
}

func TestALongWarningGoesOn(t *testing.T) {
	words := strings.Repeat("word ", 30)
	for name, c := range map[string]struct {
		texts []string
		want  []string
	}{
		"a short one is one": {[]string{"  + bridge br0"}, []string{"  + bridge br0"}},
		"a long one goes on below it": {[]string{"  br0: " + words + "end"},
			[]string{"  br0: " + strings.TrimSuffix(words[:5*22], " "), "      " + words[5*22:] + "end"}},
		"a long word goes on below it, and no line is blank": {
			[]string{strings.Repeat("x", 2*maxWarningLength)},
			[]string{
				strings.Repeat("x", maxWarningLength-3), "    " + strings.Repeat("x", maxWarningLength-7),
				"    " + strings.Repeat("x", 10),
			},
		},
		"what goes on is not what was said": {[]string{"a " + words + "end", "b " + words + "end"},
			[]string{"a " + words[:5*23-1], "    " + words[5*23:] + "end", "b " + words[:5*23-1], "     " + words[5*23:] + "end"}},
	} {
		t.Run(name, func(t *testing.T) {
			var v Verdict
			for _, text := range c.texts {
				v.warn("%s", text)
			}
			assert.Equal(t, c.want, v.Warnings)
		})
	}
	for _, text := range []string{
		strings.Repeat("long", 1000), strings.Repeat("ä", 1000), strings.Repeat("many words ", 1000),
		strings.Repeat(" ", 1000),
	} {
		var v Verdict
		v.warn("%s", text)
		assert.LessOrEqual(t, len(v.Warnings), maxWarningLines)
		for _, warning := range v.Warnings {
			assert.LessOrEqual(t, len(warning), maxWarningLength)
		}
	}
}

func TestWhatIsRefusedForGoodIsNotToBeTriedAgain(t *testing.T) {
	holder := macpool.Holder{Object: macpool.Object{Kind: macpool.KindVM, Namespace: "home", Name: "vma"}}
	taken := &macpool.TakenError{MAC: macpool.MAC{2, 0, 0, 0, 0, 1}, Holder: holder}
	for name, c := range map[string]struct {
		err   error
		again bool
	}{
		"what passes":                      {macpool.ErrNotReady, true},
		"what stays":                       {taken, false},
		"what passes beside what stays":    {errors.Join(macpool.ErrNotReady, taken), false},
		"what stays beside what may pass":  {errors.Join(taken, &macpool.BusyError{MAC: taken.MAC, After: time.Minute}), false},
		"what passes beside what may pass": {errors.Join(macpool.ErrNotReady, &macpool.BusyError{MAC: taken.MAC}), true},
	} {
		t.Run(name, func(t *testing.T) {
			var v Verdict
			require.NoError(t, v.refuse(c.err, order{path: field.NewPath("spec")}))
			assert.NotEmpty(t, v.Denied)
			assert.Equal(t, c.again, v.RetryAfter > 0)
		})
	}
}
