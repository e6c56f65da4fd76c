// SPDX-License-Identifier: Apache-2.0

// Package onnodes tests what must be shown as users get it: Bridgehead from its image, by its manifests, on nodes with
// kubelets. One cluster serves a whole sequence of tests, for a cluster takes minutes to start. Run it alone: it takes
// both cores.
package onnodes
