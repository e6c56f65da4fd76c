package webhooks

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"
)

// A virtualMachine is what the rules read of a kubevirt.io VirtualMachine. Entries of lists are pointers so that a null
// is seen.
type virtualMachine struct {
	Metadata struct {
		Name         string            `json:"name"`
		GenerateName string            `json:"generateName"`
		Namespace    string            `json:"namespace"`
		Annotations  map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec struct {
		RunStrategy string `json:"runStrategy"`
		Template    *struct {
			Spec struct {
				Domain struct {
					Devices struct {
						Interfaces []*vmInterface `json:"interfaces"`
					} `json:"devices"`
				} `json:"domain"`
				Networks []*vmNetwork `json:"networks"`
			} `json:"spec"`
		} `json:"template"`
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

// readVM reads a VirtualMachine. What is not of the right shape is a problem of the object, with its path.
func readVM(raw []byte) (virtualMachine, field.ErrorList) {
	var vm virtualMachine
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &vm); err != nil {
		return virtualMachine{}, field.ErrorList{shapeError(err)}
	}
	var problems field.ErrorList
	if vm.Spec.Template == nil {
		return virtualMachine{}, field.ErrorList{field.Required(field.NewPath("spec", "template"), "it describes the machine to run")}
	}
	for i, nic := range vm.interfaces() {
		if nic == nil {
			problems = append(problems, field.Required(interfacesPath().Index(i), "the entry is null: describe an interface or remove it"))
		}
	}
	for i, network := range vm.networks() {
		if network == nil {
			problems = append(problems, field.Required(networksPath().Index(i), "the entry is null: describe a network or remove it"))
		}
	}
	if len(problems) > 0 {
		return virtualMachine{}, problems
	}
	return vm, nil
}

func (vm *virtualMachine) interfaces() []*vmInterface {
	if vm.Spec.Template == nil {
		return nil
	}
	return vm.Spec.Template.Spec.Domain.Devices.Interfaces
}

func (vm *virtualMachine) networks() []*vmNetwork {
	if vm.Spec.Template == nil {
		return nil
	}
	return vm.Spec.Template.Spec.Networks
}

// shapeError says where JSON has another type than the field, in the words of people who write YAML.
func shapeError(err error) *field.Error {
	var mismatch *json.UnmarshalTypeError
	if !errors.As(err, &mismatch) {
		return field.Invalid(nil, field.OmitValueType{}, "the object is not JSON: "+err.Error())
	}
	path := field.NewPath("")
	if mismatch.Field != "" {
		parts := strings.Split(mismatch.Field, ".")
		path = field.NewPath(parts[0], parts[1:]...)
	}
	kind := mismatch.Type.Kind().String()
	switch kind {
	case "slice":
		kind = "list"
	case "struct", "map", "ptr", "pointer":
		kind = "object"
	}
	return field.TypeInvalid(path, field.OmitValueType{}, fmt.Sprintf("want %s %s, not %s %s", article(kind), kind, article(mismatch.Value), mismatch.Value))
}

func article(noun string) string {
	if noun != "" && strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an"
	}
	return "a"
}

// present says whether a JSON field was given and is not null.
func present(raw json.RawMessage) bool {
	return len(raw) > 0 && string(raw) != "null"
}
