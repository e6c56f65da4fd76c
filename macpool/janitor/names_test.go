// SPDX-License-Identifier: Apache-2.0

package janitor

import (
	"maps"
	"slices"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

func vmNamed(name string) macpool.Object {
	return macpool.Object{Kind: macpool.KindVM, Namespace: "default", Name: name}
}

func holderOf(name, iface string) macpool.Holder {
	return macpool.Holder{Object: vmNamed(name), Interface: iface}
}

func keys[V any](m map[macpool.MAC]V) []macpool.MAC {
	return slices.SortedFunc(maps.Keys(m), macpool.MAC.Compare)
}
