// SPDX-License-Identifier: Apache-2.0

package stories

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/bridgehead-dev/bridgehead/webhooks/corpus"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

func (r corpusRun) checkRefusal(want corpus.Want, got answer) {
	if want.Allowed {
		return
	}
	assert.Equal(r.t, want.Code, got.status.Code, got.status.Message)
	for _, fragment := range want.Message {
		assert.Contains(r.t, got.status.Message, fragment)
	}
	var fields []string
	if got.status.Details != nil {
		for _, cause := range got.status.Details.Causes {
			fields = append(fields, cause.Field)
		}
	}
	for _, field := range want.Fields {
		assert.Contains(r.t, fields, field)
	}
}

// checkPatched checks the fields that the webhook sets, and adds who holds the addresses among them to holds.
func (r corpusRun) checkPatched(c corpus.Case, got answer, holds map[string][]string) {
	for pointer, want := range c.Want.Patch {
		value := at(got.object.Object, pointer)
		require.NotNil(r.t, value, pointer)
		if want != corpus.Any {
			assert.Equal(r.t, want, value, pointer)
		}
		if text, ok := value.(string); ok && strings.HasSuffix(pointer, "/macAddress") && !c.DryRun &&
			(want == corpus.Any || c.Operation == admissionv1.Create) {
			holds[text] = []string{c.Home + "/" + c.Name()}
		}
	}
	if !c.DryRun {
		for mac, holders := range c.Want.Holds {
			holds[mac] = holders
		}
	}
}

// checkHolds waits until the ledger has every address as it is to be, and nobody holds an address in vain.
func (r corpusRun) checkHolds(c corpus.Case, want map[string][]string) {
	for _, mac := range macsIn(c.Object) {
		if _, ok := want[mac]; !ok && !slices.Contains(macsIn(c.OldObject), mac) {
			want[mac] = nil
		}
	}
	var differences []string
	err := wait.PollUntilContextTimeout(
		r.t.Context(),
		20*time.Millisecond,
		within,
		true,
		func(ctx context.Context) (bool, error) {
			differences = nil
			for mac, holders := range want {
				m, err := macpool.ParseMAC(mac)
				if err != nil {
					return false, err
				}
				b, err := r.store.Get(ctx, m.Prefix())
				if err != nil {
					return false, err
				}
				if has := namesOf(b.Entry(m), holders); !slices.Equal(has, slices.Sorted(slices.Values(holders))) {
					differences = append(differences, fmt.Sprintf("%s is held by %v, want %v", mac, has, holders))
				}
			}
			return len(differences) == 0, nil
		},
	)
	assert.NoError(r.t, err, "%s", strings.Join(differences, "\n"))
}

// namesOf returns the holders of an entry as the corpus spells them. One that was created by generateName may have got
// its name by now.
func namesOf(e macpool.Entry, spelled []string) []string {
	var names []string
	for _, h := range e.Holds {
		name := strings.TrimPrefix(h.Object.String(), macpool.KindVM+" ")
		for _, want := range spelled {
			if prefix, generated := strings.CutSuffix(want, "*"); generated && strings.HasPrefix(name, prefix) {
				name = want
			}
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// at returns the value at a JSON pointer, nil if there is none.
func at(value any, pointer string) any {
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		key := strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		switch container := value.(type) {
		case map[string]any:
			value = container[key]
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(container) {
				return nil
			}
			value = container[i]
		default:
			return nil
		}
	}
	return value
}

// macsIn returns the addresses of the interfaces in the text of a VM, which may be odd, in their usual spelling.
func macsIn(text []byte) []string {
	var object map[string]any
	if json.Unmarshal(text, &object) != nil {
		return nil
	}
	interfaces, _ := at(object, "/spec/template/spec/domain/devices/interfaces").([]any)
	var macs []string
	for _, entry := range interfaces {
		text, _ := at(entry, "/macAddress").(string)
		if m, err := macpool.ParseInterfaceMAC(text); err == nil {
			macs = append(macs, m.String())
		}
	}
	return macs
}

// macsOf returns the addresses of a VM's interfaces, empty where there is none.
func macsOf(t *testing.T, vm *unstructured.Unstructured) []string {
	interfaces, _, err := unstructured.NestedSlice(
		vm.Object, "spec", "template", "spec", "domain", "devices", "interfaces",
	)
	require.NoError(t, err)
	var macs []string
	for _, entry := range interfaces {
		text, _ := at(entry, "/macAddress").(string)
		macs = append(macs, text)
	}
	return macs
}
