// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"sync"
	"unsafe"

	"github.com/safchain/ethtool"
	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// A driver speaks to the drivers of NICs. The names of features are the same for all of them and asked for once:
// package ethtool asks each time, with an answer of a megabyte.
type driver struct {
	*ethtool.Ethtool
	fd int // a socket

	once  sync.Once
	names []string // by the number of the feature
}

// openDriver returns a driver for the namespace that the process runs in.
func openDriver() (*driver, error) {
	e, err := ethtool.NewEthtool()
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		e.Close()
		return nil, err
	}
	return &driver{Ethtool: e, fd: fd}, nil
}

func (d *driver) close() {
	d.Close()
	_ = unix.Close(d.fd)
}

// featureNames asks a NIC for the names, by number.
func (d *driver) featureNames(nic string) []string {
	d.once.Do(func() {
		numbers, err := d.FeatureNames(nic)
		if err != nil {
			return
		}
		for name, number := range numbers {
			if missing := int(number) + 1 - len(d.names); missing > 0 {
				d.names = append(d.names, make([]string, missing)...)
			}
			d.names[number] = name
		}
	})
	return d.names
}

// A featureBlock is struct ethtool_get_features_block of include/uapi/linux/ethtool.h: 32 features, a bit each.
type featureBlock struct{ available, requested, active, never uint32 }

// maxFeatureBlocks is enough for 256 features; kernels have 64 so far.
const maxFeatureBlocks = 8

// features returns those of a NIC that can be switched, and whether they are active (ETHTOOL_GFEATURES).
func (k *Kernel) features(nic string) (netstate.Features, error) {
	names := k.ethtool.featureNames(nic)
	question := struct {
		command, size uint32
		blocks        [maxFeatureBlocks]featureBlock
	}{command: unix.ETHTOOL_GFEATURES, size: uint32(min(maxFeatureBlocks, (len(names)+31)/32))}
	request := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		rest [16]byte // the union of struct ifreq is longer
	}{data: unsafe.Pointer(&question)}
	copy(request.name[:unix.IFNAMSIZ-1], nic)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(k.ethtool.fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		return nil, errno
	}
	features := netstate.Features{}
	for n, name := range names[:min(len(names), 32*maxFeatureBlocks)] {
		block, bit := question.blocks[n/32], uint32(1)<<(n%32)
		if name != "" && block.available&bit != 0 && block.never&bit == 0 {
			features[name] = block.active&bit != 0
		}
	}
	return features, nil
}
