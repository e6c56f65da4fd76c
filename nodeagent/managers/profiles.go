// SPDX-License-Identifier: Apache-2.0

package managers

import (
	"errors"
	"math"
	"slices"

	"github.com/godbus/dbus/v5"
)

// legacy reports whether kubernetes-nmstate seems to have left a profile. One that is gone meanwhile it has not.
func (n networkManager) legacy(uuid string) (bool, error) {
	profile, err := n.profile(uuid)
	if err != nil || profile == "" {
		return false, err
	}
	settings, err := n.settings(profile)
	return leftByNMState(settings), err
}

// settings returns those of a profile; none if it is gone meanwhile.
func (n networkManager) settings(profile dbus.ObjectPath) (map[string]map[string]dbus.Variant, error) {
	var settings map[string]map[string]dbus.Variant
	err := object{n.bus, nmName, profile}.call(nmSettings+".Connection.GetSettings", nil, &settings)
	return settings, unlessNoObject(err)
}

// unlessNoObject returns an error of a call, nil if it says that the object is gone.
func unlessNoObject(err error) error {
	var refused dbus.Error
	if errors.As(err, &refused) && noObject(refused) {
		return nil
	}
	return err
}

// leftByNMState judges a profile as kubernetes-nmstate writes them: it bears the name of its link, and is of a
// controller whose ports are activated with it, or of a port, or has the description of the policy, or asks a DHCP
// server as nobody else does. A link with static addresses or none cannot be told from one that people made. Others
// that look like that are treated alike: they have no effect while we have the link.
func leftByNMState(settings map[string]map[string]dbus.Variant) bool {
	connection := settings["connection"]
	if name := value[string](connection, "interface-name"); name == "" || value[string](connection, "id") != name {
		return false
	}
	_, described := value[map[string]string](settings["user"], "data")["nmstate.interface.description"]
	return described || value[int32](connection, "autoconnect-slaves") == 1 ||
		value[int32](connection, "autoconnect-ports") == 1 || // as NetworkManager calls it since 1.46
		value[string](connection, "master") != "" || value[string](connection, "controller") != "" ||
		asksForever(settings["ipv4"], "dhcp-client-id") || asksForever(settings["ipv6"], "dhcp-iaid")
}

// asksForever reports whether a profile asks a DHCP server without end, as the NIC's MAC.
func asksForever(ip map[string]dbus.Variant, as string) bool {
	return value[int32](ip, "dhcp-timeout") == math.MaxInt32 && value[string](ip, as) == "mac"
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

// RemoveProfiles implements Program.
func (n networkManager) RemoveProfiles(links []string) ([]string, error) {
	var profiles []dbus.ObjectPath
	if err := (object{n.bus, nmName, nmSettingsPath}).call(nmSettings+".ListConnections", nil, &profiles); err != nil {
		return nil, err
	}
	var names []string
	for _, path := range profiles {
		settings, err := n.settings(path)
		if err != nil {
			return names, err
		}
		name := value[string](settings["connection"], "interface-name")
		if !leftByNMState(settings) || !slices.Contains(links, name) {
			continue
		}
		err = object{n.bus, nmName, path}.call(nmSettings+".Connection.Delete", nil)
		if unlessNoObject(err) != nil {
			return names, err
		}
		if err == nil {
			names = append(names, name)
		}
	}
	return names, nil
}
