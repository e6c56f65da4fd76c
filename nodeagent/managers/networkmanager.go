// SPDX-License-Identifier: Apache-2.0

package managers

import (
	"errors"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/bridgehead-dev/bridgehead/nodeagent/kernel"
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
	nmReloadDNS  = uint32(2) // NM_MANAGER_RELOAD_FLAG_DNS_RC
	// nmExternal is NM_ACTIVATION_STATE_FLAG_EXTERNAL: NetworkManager shows a link that somebody else configured.
	nmExternal = uint32(0x80)
	// nmEthernet and the others are those NMDeviceType values that are hardware, which NetworkManager activates by itself.
	nmEthernet, nmWiFi, nmInfiniband = uint32(1), uint32(2), uint32(11)
	// nmOVSPort and nmOVSBridge are those of what Open vSwitch has beside an interface of the same name: no links.
	nmOVSPort, nmOVSBridge = uint32(25), uint32(26)
	// nmUnavailable and the others are NMDeviceState values. A device that is being configured is between the last two.
	nmUnavailable, nmDisconnected, nmActivated = uint32(20), uint32(30), uint32(100)
	// nmSettings is where the profiles are.
	nmSettings     = nmName + ".Settings"
	nmSettingsPath = nmPath + "/Settings"
	// nmNoProfile is the error for a UUID that no profile has, and nmNoDevice for a device that is gone.
	nmNoProfile, nmNoDevice = nmSettings + ".InvalidConnection", nmName + ".UnknownDevice"
)

// networkManager implements Program for a NetworkManager that runs. Two that are equal are the same process.
type networkManager struct {
	bus   *Bus
	owner string
}

func (b *Bus) networkManager() (Program, error) {
	owner, err := b.owner(nmName)
	if err != nil || owner == "" {
		return nil, err
	}
	return networkManager{b, owner}, nil
}

// nmTree is what NetworkManager tells about all its objects: properties by interface, by path.
type nmTree map[dbus.ObjectPath]map[string]map[string]dbus.Variant

func (n networkManager) tree() (nmTree, error) {
	var tree nmTree
	err := object{n.bus, nmName, nmRootPath}.call(nmObjects, nil, &tree)
	return tree, err
}

// Devices implements Program. NetworkManager tells of all at once.
func (n networkManager) Devices(map[string]bool) (map[string]Device, error) {
	tree, err := n.tree()
	if err != nil {
		return nil, err
	}
	devices := tree.devices()
	for name, d := range devices {
		d.ID = n.owner + d.ID // another process gives other numbers
		devices[name] = d
		if d.Managed && d.Profile == name {
			d.Legacy, err = n.legacy(d.UUID)
			if err != nil {
				return nil, fmt.Errorf("look at the profile of %s: %w", name, err)
			}
			devices[name] = d
		}
	}
	return devices, nil
}

// devices picks what counts of a tree.
func (t nmTree) devices() map[string]Device {
	devices := map[string]Device{}
	for name, path := range t.paths() {
		device := t[path][nmDevice]
		d := deviceOf(device, t[value[dbus.ObjectPath](device, "ActiveConnection")][nmActive])
		d.ID = string(path)
		devices[name] = d
	}
	return devices
}

// paths returns the device of each link, by name. A profile whose link is not there has a device too, which may bear
// the name of a link: the link's is the real one.
func (t nmTree) paths() map[string]dbus.ObjectPath {
	paths := map[string]dbus.ObjectPath{}
	for path, interfaces := range t {
		device := interfaces[nmDevice]
		name, kind := value[string](device, "Interface"), value[uint32](device, "DeviceType")
		if name == "" || kind == nmOVSPort || kind == nmOVSBridge {
			continue
		}
		other, found := paths[name]
		if !found || value[bool](device, "Real") && !value[bool](t[other][nmDevice], "Real") {
			paths[name] = path
		}
	}
	return paths
}

// deviceOf judges a device by its properties and those of its active connection. A link that NetworkManager only shows
// (connected externally), and a virtual one that it does nothing with, are not managed: it manages what it made, and
// hardware.
func deviceOf(device, active map[string]dbus.Variant) Device {
	if !value[bool](device, "Managed") {
		return Device{}
	}
	// One that is not real stands for a profile whose link is not there; it cannot be let go of.
	d := Device{Shown: value[bool](device, "Real")}
	if value[uint32](active, "StateFlags")&nmExternal != 0 {
		return d
	}
	d.Profile, d.UUID = value[string](active, "Id"), value[string](active, "Uuid")
	switch value[uint32](device, "DeviceType") {
	case nmEthernet, nmWiFi, nmInfiniband:
		d.Managed = true
	default:
		d.Managed = active != nil
	}
	return d
}

// device finds the device of a link. The error is a *kernel.StaleError if there is none.
func (n networkManager) device(link string) (object, error) {
	tree, err := n.tree()
	if err != nil {
		return object{}, err
	}
	path, found := tree.paths()[link]
	if !found {
		return object{}, noDevice(link)
	}
	return object{n.bus, nmName, path}, nil
}

// noDevice is the error for a link that went, or that NetworkManager has not heard of yet.
func noDevice(link string) error {
	return &kernel.StaleError{Operation: link, Difference: "NetworkManager has no such device"}
}

// unlessGone returns an error of a call to the device of a link, or noDevice if that went meanwhile.
func unlessGone(link string, err error) error {
	var refused dbus.Error
	if errors.As(err, &refused) && (noObject(refused) || refused.Name == nmNoDevice) {
		return noDevice(link)
	}
	return err
}

// Release implements Program.
func (n networkManager) Release(link string) error {
	_, err := n.manage(link, false)
	return err
}

// Take implements Program. NetworkManager activates profiles by itself that say so (connection.autoconnect); others,
// that somebody activated, are activated as they were.
func (n networkManager) Take(link, uuid string) error {
	device, err := n.manageSoon(link)
	if err != nil {
		return err
	}
	began := time.Now()
	return unlessGone(link, waitUntil(func() (bool, error) {
		tree, err := n.tree()
		if err != nil {
			return false, err
		}
		switch tree.next(device.path, uuid, time.Since(began)) {
		case nmDone:
			return true, nil
		case nmActivate:
			return true, n.activate(device, uuid)
		default:
			return false, nil
		}
	}))
}

// nmNext is what is to be done about a device that is being given back.
type nmNext int

const (
	nmWait nmNext = iota
	nmDone
	nmActivate
)

// carrierWait is how long NetworkManager has to see that a device has a carrier.
const carrierWait = 3 * time.Second

// next judges a device that was given back some time ago, and had a profile with a UUID, or none. NetworkManager may
// have chosen another one by itself meanwhile.
func (t nmTree) next(path dbus.ObjectPath, uuid string, ago time.Duration) nmNext {
	device := t[path][nmDevice]
	active := t[value[dbus.ObjectPath](device, "ActiveConnection")][nmActive]
	state := value[uint32](device, "State")
	configured := state > nmDisconnected && state <= nmActivated && value[uint32](active, "StateFlags")&nmExternal == 0
	switch {
	case configured && (uuid == "" || value[string](active, "Uuid") == uuid):
		return nmDone
	case state >= nmDisconnected && uuid != "":
		return nmActivate
	case ago < carrierWait:
		return nmWait
	default:
		return nmDone // it has no carrier, or no profile: NetworkManager goes on when one comes
	}
}

// activate activates a profile if it is still there. Else what NetworkManager chooses is all there is.
func (n networkManager) activate(device object, uuid string) error {
	profile, err := n.profile(uuid)
	if err != nil || profile == "" {
		return err
	}
	var active dbus.ObjectPath
	args := []any{profile, device.path, dbus.ObjectPath("/")}
	return object{n.bus, nmName, nmPath}.call(nmName+".ActivateConnection", args, &active)
}

// manage sets whether the device of a link is managed, waits until it is so, and returns it.
func (n networkManager) manage(link string, managed bool) (object, error) {
	device, err := n.device(link)
	if err != nil {
		return device, err
	}
	if err := device.set(nmDevice, "Managed", managed); err != nil {
		return device, unlessGone(link, err)
	}
	return device, unlessGone(link, waitUntil(func() (bool, error) {
		now, err := device.all(nmDevice)
		return value[bool](now, "Managed") == managed, err
	}))
}

// nmHears is how long NetworkManager has to hear of a link that an undo has just made again.
const nmHears = 500 * time.Millisecond

// manageSoon has the device of a link be managed, once there is one.
func (n networkManager) manageSoon(link string) (device object, err error) {
	began := time.Now()
	err = waitUntil(func() (bool, error) {
		var err error
		device, err = n.manage(link, true)
		if went(err) && time.Since(began) < nmHears {
			return false, nil
		}
		return true, err
	})
	return device, err
}

// Reload implements Program.
func (n networkManager) Reload() error {
	return object{n.bus, nmName, nmPath}.call(nmName+".Reload", []any{nmReloadConf})
}

// waitUntil waits until a manager has done what it was told.
func waitUntil(is func() (bool, error)) error {
	const interval = 50 * time.Millisecond
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for deadline := time.Now().Add(callTimeout); time.Now().Before(deadline); <-ticker.C {
		if done, err := is(); err != nil || done {
			return err
		}
	}
	return errors.New("it accepted the request but has not carried it out")
}
