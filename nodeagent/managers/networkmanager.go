// SPDX-License-Identifier: Apache-2.0

package managers

import (
	"errors"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"
)

// NetworkManager's interfaces, as in its D-Bus reference.
const (
	nmName       = "org.freedesktop.NetworkManager"
	nmPath       = "/org/freedesktop/NetworkManager"
	nmDevice     = nmName + ".Device"
	nmActive     = nmName + ".Connection.Active"
	nmObjects    = "org.freedesktop.DBus.ObjectManager.GetManagedObjects"
	nmRootPath   = "/org/freedesktop"
	nmReloadConf = uint32(1) // NM_MANAGER_RELOAD_FLAG_CONF
	// nmExternal is NM_ACTIVATION_STATE_FLAG_EXTERNAL: NetworkManager shows a link that somebody else configured.
	nmExternal = uint32(0x80)
	// nmEthernet and the others are those NMDeviceType values that are hardware, which NetworkManager activates by itself.
	nmEthernet, nmWiFi, nmInfiniband = uint32(1), uint32(2), uint32(11)
)

// networkManager implements Program for a NetworkManager that runs.
type networkManager struct{ bus *Bus }

func (b *Bus) networkManager() (Program, error) {
	runs, err := b.owned(nmName)
	if err != nil || !runs {
		return nil, err
	}
	return networkManager{b}, nil
}

// nmTree is what NetworkManager tells about all its objects: properties by interface, by path.
type nmTree map[dbus.ObjectPath]map[string]map[string]dbus.Variant

func (n networkManager) tree() (nmTree, error) {
	var tree nmTree
	err := object{n.bus, nmName, nmRootPath}.call(nmObjects, nil, &tree)
	return tree, err
}

// Devices implements Program.
func (n networkManager) Devices() (map[string]Device, error) {
	tree, err := n.tree()
	if err != nil {
		return nil, err
	}
	return tree.devices(), nil
}

// devices picks what counts of a tree.
func (t nmTree) devices() map[string]Device {
	devices := map[string]Device{}
	for _, interfaces := range t {
		device := interfaces[nmDevice]
		name := value[string](device, "Interface")
		if name == "" {
			continue
		}
		active := t[value[dbus.ObjectPath](device, "ActiveConnection")][nmActive]
		devices[name] = deviceOf(device, active)
	}
	return devices
}

// deviceOf judges a device by its properties and those of its active connection. A link that NetworkManager only shows
// (connected externally), and a virtual one that it does nothing with, are not managed: it manages what it made, and
// hardware.
func deviceOf(device, active map[string]dbus.Variant) Device {
	d := Device{Profile: value[string](active, "Id")}
	if !value[bool](device, "Managed") || value[uint32](active, "StateFlags")&nmExternal != 0 {
		return Device{}
	}
	switch value[uint32](device, "DeviceType") {
	case nmEthernet, nmWiFi, nmInfiniband:
		d.Managed = true
	default:
		d.Managed = active != nil
	}
	return d
}

// device finds the device of a link.
func (n networkManager) device(link string) (object, error) {
	var path dbus.ObjectPath
	err := object{n.bus, nmName, nmPath}.call(nmName+".GetDeviceByIpIface", []any{link}, &path)
	if err != nil {
		// A link that is not configured has no IP interface yet.
		tree, err := n.tree()
		if err != nil {
			return object{}, err
		}
		for at, interfaces := range tree {
			if value[string](interfaces[nmDevice], "Interface") == link {
				return object{n.bus, nmName, at}, nil
			}
		}
		return object{}, fmt.Errorf("NetworkManager has no device %s", link)
	}
	return object{n.bus, nmName, path}, nil
}

// Release implements Program.
func (n networkManager) Release(link string) error { return n.manage(link, false) }

// Take implements Program.
func (n networkManager) Take(link string) error { return n.manage(link, true) }

// manage sets whether a device is managed and waits until it is so.
func (n networkManager) manage(link string, managed bool) error {
	device, err := n.device(link)
	if err != nil {
		return err
	}
	if err := device.set(nmDevice, "Managed", managed); err != nil {
		return err
	}
	return settled(func() (bool, error) {
		now, err := device.all(nmDevice)
		return value[bool](now, "Managed") == managed, err
	})
}

// Reload implements Program.
func (n networkManager) Reload() error {
	return object{n.bus, nmName, nmPath}.call(nmName+".Reload", []any{nmReloadConf})
}

// settled waits until a manager has done what it was told.
func settled(is func() (bool, error)) error {
	const interval = 50 * time.Millisecond
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for deadline := time.Now().Add(callTimeout); time.Now().Before(deadline); <-ticker.C {
		if done, err := is(); err != nil || done {
			return err
		}
	}
	return errors.New("it was told, but has not done so")
}
