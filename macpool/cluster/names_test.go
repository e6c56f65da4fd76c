// SPDX-License-Identifier: Apache-2.0

package cluster

import "github.com/bridgehead-dev/bridgehead/macpool"

func holderOf(name, iface string) macpool.Holder {
	return macpool.Holder{Object: macpool.Object{Kind: macpool.KindVM, Namespace: "default", Name: name}, Interface: iface}
}

func everything() macpool.Set {
	last := macpool.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	return macpool.NewSet([]macpool.Range{{Last: last}}, nil)
}
