// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/safchain/ethtool"
	"golang.org/x/sys/unix"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// readHardware adds to NICs what their drivers can be told, and their virtual functions.
func (k *Kernel) readHardware(links []*link) error {
	for _, l := range links {
		if l.iface.Type != netstate.TypeEthernet {
			continue
		}
		if err := k.readDriver(&l.iface); err != nil {
			return fmt.Errorf("read the driver's settings of %s: %w", l.iface.Name, err)
		}
	}
	return nil
}

// readDriver reads one NIC. A driver that has no setting of some kind says so, and has none; a NIC that went away
// meanwhile has none either.
func (k *Kernel) readDriver(i *netstate.Interface) error {
	features, err := k.features(i.Name)
	if refusedByDriver(err) != nil {
		return err
	}
	found := netstate.Ethtool{Feature: features}
	ring, err := k.ethtool.GetRing(i.Name)
	if refusedByDriver(err) != nil {
		return err
	}
	if err == nil {
		found.Ring = decodeRing(ring)
	}
	coalesce, err := k.ethtool.GetCoalesce(i.Name)
	if refusedByDriver(err) != nil {
		return err
	}
	if err == nil {
		found.Coalesce = decodeCoalesce(coalesce)
	}
	if len(found.Feature) > 0 || found.Ring != nil || found.Coalesce != nil {
		i.Ethtool = &found
	}
	vfs, err := k.readVFs(i.Name)
	if err == nil && vfs != nil {
		i.Ethernet = &netstate.Ethernet{SRIOV: vfs}
	}
	return err
}

// refusedByDriver returns an error unless it says that the driver has no such setting, or that the link is gone.
func refusedByDriver(err error) error {
	for _, none := range []error{unix.EOPNOTSUPP, unix.ENODEV, unix.EINVAL, unix.EPERM} {
		if errors.Is(err, none) {
			return nil
		}
	}
	return err
}

// decodeRing returns a ring as a document shows it: without the parts that the driver does not have.
func decodeRing(r ethtool.Ring) *netstate.Ring {
	var ring netstate.Ring
	for _, part := range []struct {
		size, most  uint32
		into, limit **int
	}{
		{r.RxPending, r.RxMaxPending, &ring.RX, &ring.RXMax},
		{r.RxJumboPending, r.RxJumboMaxPending, &ring.RXJumbo, &ring.RXJumboMax},
		{r.RxMiniPending, r.RxMiniMaxPending, &ring.RXMini, &ring.RXMiniMax},
		{r.TxPending, r.TxMaxPending, &ring.TX, &ring.TXMax},
	} {
		if part.most > 0 {
			*part.into, *part.limit = new(int(part.size)), new(int(part.most))
		}
	}
	if ring == (netstate.Ring{}) {
		return nil
	}
	return &ring
}

// encodeRing gives r the sizes that ring sets.
func encodeRing(ring netstate.Ring, r *ethtool.Ring) {
	for _, part := range []struct {
		from *int
		into *uint32
	}{
		{ring.RX, &r.RxPending}, {ring.RXJumbo, &r.RxJumboPending}, {ring.RXMini, &r.RxMiniPending}, {ring.TX, &r.TxPending},
	} {
		if part.from != nil {
			*part.into = uint32(*part.from)
		}
	}
}

// coalesceNumbers pairs the numbers of a document with the kernel's.
func coalesceNumbers(c *netstate.Coalesce, k *ethtool.Coalesce) map[**int]*uint32 {
	return map[**int]*uint32{
		&c.PktRateHigh: &k.PktRateHigh, &c.PktRateLow: &k.PktRateLow,
		&c.RXFrames: &k.RxMaxCoalescedFrames, &c.RXFramesHigh: &k.RxMaxCoalescedFramesHigh,
		&c.RXFramesIRQ: &k.RxMaxCoalescedFramesIrq, &c.RXFramesLow: &k.RxMaxCoalescedFramesLow,
		&c.RXUsecs: &k.RxCoalesceUsecs, &c.RXUsecsHigh: &k.RxCoalesceUsecsHigh,
		&c.RXUsecsIRQ: &k.RxCoalesceUsecsIrq, &c.RXUsecsLow: &k.RxCoalesceUsecsLow,
		&c.SampleInterval: &k.RateSampleInterval, &c.StatsBlockUsecs: &k.StatsBlockCoalesceUsecs,
		&c.TXFrames: &k.TxMaxCoalescedFrames, &c.TXFramesHigh: &k.TxMaxCoalescedFramesHigh,
		&c.TXFramesIRQ: &k.TxMaxCoalescedFramesIrq, &c.TXFramesLow: &k.TxMaxCoalescedFramesLow,
		&c.TXUsecs: &k.TxCoalesceUsecs, &c.TXUsecsHigh: &k.TxCoalesceUsecsHigh,
		&c.TXUsecsIRQ: &k.TxCoalesceUsecsIrq, &c.TXUsecsLow: &k.TxCoalesceUsecsLow,
	}
}

func coalesceSwitches(c *netstate.Coalesce, k *ethtool.Coalesce) map[**bool]*uint32 {
	return map[**bool]*uint32{&c.AdaptiveRX: &k.UseAdaptiveRxCoalesce, &c.AdaptiveTX: &k.UseAdaptiveTxCoalesce}
}

func decodeCoalesce(from ethtool.Coalesce) *netstate.Coalesce {
	var c netstate.Coalesce
	for into, number := range coalesceNumbers(&c, &from) {
		*into = new(int(*number))
	}
	for into, number := range coalesceSwitches(&c, &from) {
		*into = new(*number != 0)
	}
	return &c
}

// encodeCoalesce gives to the keys that c sets.
func encodeCoalesce(c netstate.Coalesce, to *ethtool.Coalesce) {
	for from, number := range coalesceNumbers(&c, to) {
		if *from != nil {
			*number = uint32(**from)
		}
	}
	for from, number := range coalesceSwitches(&c, to) {
		if *from != nil {
			*number = 0
			if **from {
				*number = 1
			}
		}
	}
}

// doHardware changes what a driver can be told, or the number of virtual functions.
func (k *Kernel) doHardware(operation string, from, to netstate.Interface) error {
	now := netstate.Interface{Name: to.Name}
	if err := k.readDriver(&now); err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	if d := hardwareDifference(from, now); d != "" {
		if hardwareDifference(to, now) == "" {
			return nil
		}
		return &StaleError{operation, d}
	}
	err := k.setHardware(to)
	if err == nil {
		err = k.tookHardware(to)
	}
	if err != nil {
		_ = k.setHardware(from)
		return refused(err, "%s", operation)
	}
	return nil
}

// hardwareDifference returns how a NIC differs from what a step expects, "" when it does not.
func hardwareDifference(expected, found netstate.Interface) string {
	want, have := value(expected.Ethtool), value(found.Ethtool)
	for _, name := range slices.Sorted(maps.Keys(want.Feature)) {
		if is, known := have.Feature[name]; !known || is != want.Feature[name] {
			return fmt.Sprintf("feature %s is %t, the plan expects %t", name, is, want.Feature[name])
		}
	}
	want.Feature, have.Feature = nil, nil
	if want.Ring != nil {
		want.Ring = &netstate.Ring{RX: want.Ring.RX, RXJumbo: want.Ring.RXJumbo, RXMini: want.Ring.RXMini, TX: want.Ring.TX}
	}
	if d := netstate.Difference(want, have); d != "" {
		return d
	}
	return netstate.Difference(value(expected.Ethernet), value(found.Ethernet))
}

// tookHardware returns what the driver did not take although it refused nothing: a feature needs others.
func (k *Kernel) tookHardware(to netstate.Interface) error {
	now := netstate.Interface{Name: to.Name}
	if err := k.readDriver(&now); err != nil {
		return err
	}
	if d := hardwareDifference(to, now); d != "" {
		return errors.New("the driver did not accept it: " + strings.ReplaceAll(d, "the plan expects", "not"))
	}
	return nil
}

func (k *Kernel) setHardware(to netstate.Interface) error {
	if to.Ethernet != nil && to.Ethernet.SRIOV != nil && to.Ethernet.SRIOV.TotalVFs != nil {
		return k.setVFs(to.Name, *to.Ethernet.SRIOV.TotalVFs)
	}
	if to.Ethtool == nil {
		return nil
	}
	if len(to.Ethtool.Feature) > 0 {
		if err := k.ethtool.Change(to.Name, to.Ethtool.Feature); err != nil {
			return err
		}
	}
	if to.Ethtool.Ring != nil {
		ring, err := k.ethtool.GetRing(to.Name)
		if err != nil {
			return err
		}
		encodeRing(*to.Ethtool.Ring, &ring)
		if _, err := k.ethtool.SetRing(to.Name, ring); err != nil {
			return err
		}
	}
	if to.Ethtool.Coalesce == nil {
		return nil
	}
	coalesce, err := k.ethtool.GetCoalesce(to.Name)
	if err != nil {
		return err
	}
	encodeCoalesce(*to.Ethtool.Coalesce, &coalesce)
	_, err = k.ethtool.SetCoalesce(to.Name, coalesce)
	return err
}

// readVFs reads the virtual functions of a NIC, nil for one that can have none.
func (k *Kernel) readVFs(name string) (*netstate.SRIOV, error) {
	most, err := k.readDevice(name, "sriov_totalvfs")
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	number, err := k.readDevice(name, "sriov_numvfs")
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return &netstate.SRIOV{TotalVFs: &number, MaxVFs: most}, err
}

func (k *Kernel) readDevice(name, key string) (int, error) {
	text, err := os.ReadFile(k.device(name, key))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(bytes.TrimSpace(text)))
}

// device returns a file of the device behind a link (Documentation/PCI/pci-iov-howto.rst).
func (k *Kernel) device(name, key string) string {
	return filepath.Join(k.Devices, name, "device", key)
}

// setVFs changes the number of virtual functions. The kernel takes another number only when there are none.
func (k *Kernel) setVFs(name string, number int) error {
	file := k.device(name, "sriov_numvfs")
	now, err := k.readDevice(name, "sriov_numvfs")
	if err != nil {
		return err
	}
	if now != 0 {
		if err := os.WriteFile(file, []byte("0"), 0); err != nil {
			return fmt.Errorf("remove virtual functions: %w", err)
		}
	}
	if number == 0 {
		return nil
	}
	if err := os.WriteFile(file, []byte(strconv.Itoa(number)), 0); err != nil {
		return fmt.Errorf("make virtual functions: %w", err)
	}
	return nil
}
