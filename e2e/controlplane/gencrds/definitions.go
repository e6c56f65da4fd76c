// SPDX-License-Identifier: Apache-2.0

package main

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// A definition is what one custom resource definition has beyond its Go types.
type definition struct {
	generated  string // the file controller-gen writes
	plural     string
	singular   string // empty means the Go type in lower case
	shortNames []string
	categories []string
	columns    []apiextensionsv1.CustomResourceColumnDefinition
	status     bool   // whether it has the status subresource
	second     string // another served version with the same schema
	optional   bool   // whether no field of the object is required
}

// definitions lists them, as virt-operator and Multus install them. A VirtualMachineInstance has no
// status subresource: KubeVirt writes its status through the object itself.
func definitions() []definition {
	all, v1alpha3 := []string{"all"}, "v1alpha3"
	return []definition{{
		generated: "kubevirt.io_virtualmachines.yaml", plural: "virtualmachines",
		shortNames: []string{"vm", "vms"}, categories: all, second: v1alpha3, status: true,
		columns: []apiextensionsv1.CustomResourceColumnDefinition{
			age(), text("Status", ".status.printableStatus"), condition("Ready", "Ready", 0),
		},
	}, {
		generated: "kubevirt.io_virtualmachineinstances.yaml", plural: "virtualmachineinstances",
		shortNames: []string{"vmi", "vmis"}, categories: all, second: v1alpha3,
		columns: []apiextensionsv1.CustomResourceColumnDefinition{
			age(), text("Phase", ".status.phase"), text("IP", ".status.interfaces[0].ipAddress"),
			text("NodeName", ".status.nodeName"), condition("Ready", "Ready", 0),
			condition("Live-Migratable", "LiveMigratable", 1), condition("Paused", "Paused", 1),
		},
	}, {
		generated: "kubevirt.io_virtualmachineinstancemigrations.yaml", plural: "virtualmachineinstancemigrations",
		shortNames: []string{"vmim", "vmims"}, categories: all, second: v1alpha3, status: true,
		columns: []apiextensionsv1.CustomResourceColumnDefinition{
			text("Phase", ".status.phase"), text("VMI", ".spec.vmiName"),
		},
	}, {
		generated: "k8s.cni.cncf.io_networkattachmentdefinitions.yaml", plural: "network-attachment-definitions",
		singular: "network-attachment-definition", shortNames: []string{"net-attach-def"}, optional: true,
	}}
}

// complete adds what the definition says.
func (d definition) complete(crd *apiextensionsv1.CustomResourceDefinition) {
	crd.Name = d.plural + "." + crd.Spec.Group
	names := &crd.Spec.Names
	names.Plural, names.ShortNames, names.Categories = d.plural, d.shortNames, d.categories
	if d.singular != "" {
		names.Singular = d.singular
	}
	version := &crd.Spec.Versions[0]
	version.AdditionalPrinterColumns = d.columns
	version.Subresources = nil
	if d.status {
		version.Subresources = &apiextensionsv1.CustomResourceSubresources{
			Status: &apiextensionsv1.CustomResourceSubresourceStatus{},
		}
	}
	if d.optional {
		requireNothing(version.Schema.OpenAPIV3Schema)
	}
	if d.second == "" {
		return
	}
	second := *version.DeepCopy()
	second.Name, second.Storage = d.second, false
	crd.Spec.Versions = append(crd.Spec.Versions, second)
}

// requireNothing makes every field of an object optional, also in its parts.
func requireNothing(schema *apiextensionsv1.JSONSchemaProps) {
	schema.Required = nil
	for name, property := range schema.Properties {
		requireNothing(&property)
		schema.Properties[name] = property
	}
}

// age returns the column that shows how old an object is.
func age() apiextensionsv1.CustomResourceColumnDefinition {
	return apiextensionsv1.CustomResourceColumnDefinition{
		Name:     "Age",
		Type:     "date",
		JSONPath: ".metadata.creationTimestamp",
	}
}

// text returns a column that shows a field.
func text(name, path string) apiextensionsv1.CustomResourceColumnDefinition {
	return apiextensionsv1.CustomResourceColumnDefinition{Name: name, Type: "string", JSONPath: path}
}

// condition returns a column that shows the status of a condition; those of priority 1 show in wide output only.
func condition(name, kind string, priority int32) apiextensionsv1.CustomResourceColumnDefinition {
	column := text(name, ".status.conditions[?(@.type=='"+kind+"')].status")
	column.Priority = priority
	return column
}
