// SPDX-License-Identifier: Apache-2.0

package managers

import (
	"errors"
	"fmt"
	"slices"
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
	nmReloadDNS  = uint32(2) // NM_MANAGER_RELOAD_FLAG_DNS_RC
	// nmExternal is NM_ACTIVATION_STATE_FLAG_EXTERNAL: NetworkManager shows a link that somebody else configured.
	nmExternal = uint32(0x80)
	// nmEthernet and the others are those NMDeviceType values that are hardware, which NetworkManager activates by itself.
	nmEthernet, nmWiFi, nmInfiniband = uint32(1), uint32(2), uint32(11)
	// nmUnavailable and the others are NMDeviceState values. A device that is being configured is between the last two.
	nmUnavailable, nmDisconnected, nmActivated = uint32(20), uint32(30), uint32(100)
	// nmSettings is where the profiles are.
	nmSettings     = nmName + ".Settings"
	nmSettingsPath = nmPath + "/Settings"
	// nmNoProfile is the error for a UUID that no profile has.
	nmNoProfile = nmSettings + ".InvalidConnection"
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
	devices := tree.devices()
	for name, d := range devices {
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

// legacy reports whether kubernetes-nmstate seems to have left a profile. One that is gone meanwhile it has not.
func (n networkManager) legacy(uuid string) (bool, error) {
	profile, err := n.profile(uuid)
	if err != nil || profile == "" {
		return false, err
	}
	var settings map[string]map[string]dbus.Variant
	err = object{n.bus, nmName, profile}.call(nmSettings+".Connection.GetSettings", nil, &settings)
	return leftByNMState(settings), err
}

// leftByNMState judges a profile as kubernetes-nmstate writes them: it bears the name of its link, and is of a
// controller whose ports are activated with it, or of a port, or has the description of the policy. Others that look
// like that are treated alike: they have no effect while we have the link.
func leftByNMState(settings map[string]map[string]dbus.Variant) bool {
	connection := settings["connection"]
	if name := value[string](connection, "interface-name"); name == "" || value[string](connection, "id") != name {
		return false
	}
	_, described := value[map[string]string](settings["user"], "data")["nmstate.interface.description"]
	return described || value[int32](connection, "autoconnect-slaves") == 1 ||
		value[string](connection, "master") != "" || value[string](connection, "controller") != ""
}

// profile finds a profile by its UUID; "" if there is none.
func (n networkManager) profile(uuid string) (dbus.ObjectPath, error) {
	var path dbus.ObjectPath
	err := object{n.bus, nmName, nmSettingsPath}.call(nmSettings+".GetConnectionByUuid", []any{uuid}, &path)
	var refused dbus.Error
	if errors.As(err, &refused) && refused.Name == nmNoProfile {
		return "", nil
	}
	return path, err
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
	d := Device{Profile: value[string](active, "Id"), UUID: value[string](active, "Uuid")}
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

// Take implements Program. NetworkManager activates profiles by itself that say so (connection.autoconnect); others,
// that somebody activated, are activated as they were.
func (n networkManager) Take(link, uuid string) error {
	if err := n.manage(link, true); err != nil {
		return err
	}
	device, err := n.device(link)
	if err != nil {
		return err
	}
	began := time.Now()
	return settled(func() (bool, error) {
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
	})
}

// nmNext is what is to be done about a device that is being given back.
type nmNext int

const (
	nmWait nmNext = iota
	nmDone
	nmActivate
)

// nmSettles is how long NetworkManager has to see that a device has a carrier.
const nmSettles = 3 * time.Second

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
	case ago < nmSettles:
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

// RemoveProfiles implements Program.
func (n networkManager) RemoveProfiles(links []string) ([]string, error) {
	var profiles []dbus.ObjectPath
	if err := (object{n.bus, nmName, nmSettingsPath}).call(nmSettings+".ListConnections", nil, &profiles); err != nil {
		return nil, err
	}
	var names []string
	for _, path := range profiles {
		profile := object{n.bus, nmName, path}
		var settings map[string]map[string]dbus.Variant
		if err := profile.call(nmSettings+".Connection.GetSettings", nil, &settings); err != nil {
			return names, err
		}
		name := value[string](settings["connection"], "interface-name")
		if !leftByNMState(settings) || !slices.Contains(links, name) {
			continue
		}
		if err := profile.call(nmSettings+".Connection.Delete", nil); err != nil {
			return names, err
		}
		names = append(names, name)
	}
	return names, nil
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
