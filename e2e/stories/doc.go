// SPDX-License-Identifier: Apache-2.0

// Package stories tests Bridgehead as its users meet it: the manifests as they ship, against a control plane of real
// programs, with replicas and agents as processes of this machine. What needs nodes with kubelets is package onnodes'.
package stories
