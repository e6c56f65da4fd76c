// SPDX-License-Identifier: Apache-2.0

package macpool

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAnAskerIsToldNamesOfItsOwnNamespaceOnly(t *testing.T) {
	for name, c := range map[string]struct {
		holder, asker Object
		want          string
	}{
		"its own namespace":  {Object{Kind: KindVM, Namespace: "a", Name: "vma"}, Object{Kind: KindPod, Namespace: "a"}, "VirtualMachine a/vma"},
		"a VM asks of a VM":  {Object{Kind: KindVM, Namespace: "b"}, Object{Kind: KindVM, Namespace: "a"}, "another VM, in another namespace"},
		"a VM asks of a pod": {Object{Kind: KindPod, Namespace: "b"}, Object{Kind: KindVM, Namespace: "a"}, "a pod, in another namespace"},
		"a pod asks of a VM": {Object{Kind: KindVM, Namespace: "b"}, Object{Kind: KindPod, Namespace: "a"}, "a VM, in another namespace"},
		"a pod asks of one":  {Object{Kind: KindPod, Namespace: "b"}, Object{Kind: KindPod, Namespace: "a"}, "another pod, in another namespace"},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, c.holder.NameFor(c.asker)) })
	}
}
