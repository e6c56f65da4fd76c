// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 holds the API types of group bridgehead.dev: the pools MAC addresses are drawn from and the
// ledger of who holds which address.
//
// +kubebuilder:object:generate=true
// +groupName=bridgehead.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Group is the API group of the types in this package.
const Group = "bridgehead.dev"

// GroupVersion names the API version of the types in this package.
func GroupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: Group, Version: "v1alpha1"}
}

// AddToScheme makes the types of this package known to a scheme.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion(), &MACPool{}, &MACPoolList{}, &MACBlock{}, &MACBlockList{})
	metav1.AddToGroupVersion(scheme, GroupVersion())
	return nil
}
