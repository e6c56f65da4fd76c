// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"
)

// A metadata is what the rules read of the metadata of an object.
type metadata struct {
	Name            string                  `json:"name"`
	GenerateName    string                  `json:"generateName"`
	Labels          map[string]string       `json:"labels"`
	Annotations     map[string]string       `json:"annotations"`
	OwnerReferences []metav1.OwnerReference `json:"ownerReferences"`
}

// A virtualMachine is what the rules read of a kubevirt.io VirtualMachine.
type virtualMachine struct {
	Metadata metadata `json:"metadata"`
	Spec     struct {
		RunStrategy string           `json:"runStrategy"`
		Template    *machineTemplate `json:"template"`
	} `json:"spec"`

	// interfaces and networks are the lists of the template. An entry that could not be read is nil.
	interfaces []*vmInterface
	networks   []*vmNetwork
}

// A machineTemplate is what a VirtualMachineInstance is made from.
type machineTemplate struct {
	Metadata json.RawMessage `json:"metadata"`
	Spec     struct {
		Domain struct {
			Devices struct {
				Interfaces []json.RawMessage `json:"interfaces"`
			} `json:"devices"`
		} `json:"domain"`
		Networks []json.RawMessage `json:"networks"`
	} `json:"spec"`
}

// A vmInterface is spec.template.spec.domain.devices.interfaces[].
type vmInterface struct {
	Name       string          `json:"name"`
	MACAddress string          `json:"macAddress"`
	Masquerade json.RawMessage `json:"masquerade"`
}

// A vmNetwork is spec.template.spec.networks[].
type vmNetwork struct {
	Name   string          `json:"name"`
	Multus json.RawMessage `json:"multus"`
	Pod    json.RawMessage `json:"pod"`
}

// interfacesPath and networksPath are where a VirtualMachine has its NICs.
func interfacesPath() *field.Path {
	return field.NewPath("spec", "template", "spec", "domain", "devices", "interfaces")
}

func networksPath() *field.Path {
	return field.NewPath("spec", "template", "spec", "networks")
}

// readVM reads a VirtualMachine. What is not of the right shape is a problem of the object, with its path; the rest of
// the object is read all the same.
func readVM(raw []byte) (virtualMachine, field.ErrorList) {
	var vm virtualMachine
	problems := decode(raw, &vm, nil)
	if vm.Spec.Template == nil {
		if len(problems) == 0 {
			problems = field.ErrorList{field.Required(field.NewPath("spec", "template"), "it describes the machine to run")}
		}
		return vm, problems
	}
	spec := &vm.Spec.Template.Spec
	problems = append(
		problems,
		readEntries(spec.Domain.Devices.Interfaces, interfacesPath(), "an interface", &vm.interfaces)...)
	problems = append(problems, readEntries(spec.Networks, networksPath(), "a network", &vm.networks)...)
	return vm, problems
}

// isIdle reports whether nothing runs of a VirtualMachine, as it is stored, until it is changed: it is halted, and
// KubeVirt has seen its instance go.
func isIdle(raw []byte) bool {
	var vm struct {
		Spec struct {
			Running     *bool  `json:"running"` // before there was runStrategy
			RunStrategy string `json:"runStrategy"`
		} `json:"spec"`
		Status struct {
			Created bool `json:"created"`
		} `json:"status"`
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &vm); err != nil {
		return false
	}
	halted := vm.Spec.RunStrategy == "Halted" || vm.Spec.Running != nil && !*vm.Spec.Running
	return halted && !vm.Status.Created
}

// readEntries reads a list entry by entry, so that a problem has the index of its entry. An entry that cannot be read
// is nil in what is read.
func readEntries[T any](raw []json.RawMessage, path *field.Path, noun string, into *[]*T) field.ErrorList {
	var problems field.ErrorList
	for i, text := range raw {
		if !present(text) {
			*into = append(*into, nil)
			problems = append(problems, field.Required(path.Index(i), "the entry is null: describe "+noun+" or remove it"))
			continue
		}
		entry := new(T)
		if wrong := decode(text, entry, path.Index(i)); len(wrong) > 0 {
			entry, problems = nil, append(problems, wrong...)
		}
		*into = append(*into, entry)
	}
	return problems
}

// decode reads the JSON of the part of an object at a path. As in the API server, the case of a field's name matters,
// and no field may be there twice: a patch would not know which one it changes.
func decode(raw []byte, into any, path *field.Path) field.ErrorList {
	strict, err := kjson.UnmarshalStrict(raw, into, kjson.DisallowDuplicateFields)
	if err != nil {
		return field.ErrorList{shapeError(err, path)}
	}
	var problems field.ErrorList
	for _, err := range strict {
		at := path
		var named kjson.FieldError
		if errors.As(err, &named) {
			at = child(path, named.FieldPath())
		}
		problems = append(problems, field.Forbidden(at, "the field is set twice: remove one"))
	}
	return problems
}

// shapeError returns where JSON has another type than the field, in the words of people who write YAML.
func shapeError(err error, path *field.Path) *field.Error {
	var mismatch *json.UnmarshalTypeError
	if !errors.As(err, &mismatch) {
		return field.TypeInvalid(whole(path), field.OmitValueType{}, "is not JSON: "+err.Error())
	}
	kind := mismatch.Type.Kind().String()
	switch kind {
	case "slice":
		kind = "list"
	case "struct", "map", "ptr", "pointer":
		kind = "object"
	}
	got, _, _ := strings.Cut(mismatch.Value, " ") // "number 5" is a number
	if got == "array" {
		got = "list"
	}
	return field.TypeInvalid(
		whole(child(path, mismatch.Field)), field.OmitValueType{},
		fmt.Sprintf("want %s %s, not %s %s", article(kind), kind, article(got), got),
	)
}

// child returns the path of a field below a path; fields are separated by dots.
func child(path *field.Path, fields string) *field.Path {
	if fields == "" {
		return path
	}
	first, rest, _ := strings.Cut(fields, ".")
	if path == nil {
		return child(field.NewPath(first), rest)
	}
	return child(path.Child(first), rest)
}

// whole names the object itself, which has no path.
func whole(path *field.Path) *field.Path {
	if path == nil {
		return field.NewPath("object")
	}
	return path
}

func article(noun string) string {
	if noun != "" && strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an"
	}
	return "a"
}

// present reports whether a JSON field was given and is not null.
func present(raw json.RawMessage) bool {
	return len(raw) > 0 && string(raw) != "null"
}
