// SPDX-License-Identifier: Apache-2.0

//go:build generate

package main

// The packages whose types controller-gen reads. Nothing compiles this file: it makes go.mod require them.
import (
	_ "github.com/k8snetworkplumbingwg/network-attachment-definition-client/pkg/apis/k8s.cni.cncf.io/v1"
	_ "kubevirt.io/api/core/v1"
)
