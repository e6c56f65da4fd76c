// SPDX-License-Identifier: Apache-2.0

// Package v1 holds the types of nmstate.io/v1.
//
// +kubebuilder:object:generate=true
// +groupName=nmstate.io
package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/bridgehead-dev/bridgehead/api/nmstate"
)

// GroupVersion names the API version of the types in this package.
func GroupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: nmstate.Group, Version: "v1"}
}

// AddToScheme makes the types of this package known to a scheme.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion(),
		&NodeNetworkConfigurationPolicy{}, &NodeNetworkConfigurationPolicyList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion())
	return nil
}
