// SPDX-License-Identifier: Apache-2.0

package macpool

// Serves reports whether the address of an interface of a VM is ours to look after: on a Multus network whatever the
// binding, and on the pod network with masquerade. With other bindings an interface on the pod network lives on the
// pod's own address, or on one that the network there looks after, such as a primary user-defined network.
func Serves(multus, podNetwork, masquerade bool) bool {
	return multus || podNetwork && masquerade
}

// OfAddress reports whether an address was made from an IP address by OVN-Kubernetes, which begins such with 0a:58. Two
// networks that have the same IP address have it both, and do not meet.
func OfAddress(m MAC) bool { return m[0] == 0x0a && m[1] == 0x58 }
