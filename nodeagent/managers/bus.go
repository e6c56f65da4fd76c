// SPDX-License-Identifier: Apache-2.0

package managers

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	// busSocket is the system bus, as the host names it.
	busSocket = "/run/dbus/system_bus_socket"
	// callTimeout bounds one call: a manager that hangs is an error, not a reason to hang.
	callTimeout = 20 * time.Second
	properties  = "org.freedesktop.DBus.Properties"
)

// A Bus is the system bus of a node. The connection is made at need, and again when it broke.
type Bus struct {
	// Root is the folder in which the host's files are found, "" for /.
	Root string

	mu   sync.Mutex
	conn *dbus.Conn
}

// New returns the managers that are found on the bus of a host whose files are below root.
func New(root string) *Managers {
	bus := &Bus{Root: root}
	return &Managers{
		Files: Files{Root: root}, NetworkManager: bus.networkManager, Networkd: bus.networkd,
		Switchless: bus.switchless(),
	}
}

// ReloadNameServers returns what has NetworkManager, and what has systemd-resolved, read the files that tell of name
// servers, on the bus of a host whose files are below root. systemd-resolved is restarted: Debian's cannot reload.
func ReloadNameServers(root string) (ofNetworkManager, ofResolved func() error) {
	bus := &Bus{Root: root}
	ofNetworkManager = func() error {
		return object{bus, nmName, nmPath}.call(nmName+".Reload", []any{nmReloadConf | nmReloadDNS})
	}
	ofResolved = func() error {
		var job dbus.ObjectPath
		return object{bus, systemdName, systemdPath}.call(
			systemdName+".Manager.ReloadOrRestartUnit", []any{"systemd-resolved.service", "replace"}, &job)
	}
	return ofNetworkManager, ofResolved
}

// errNoBus says that the node has no system bus, as one without systemd.
var errNoBus = errors.New("the node has no system bus")

// connect returns a connection that works.
func (b *Bus) connect(ctx context.Context) (*dbus.Conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn != nil && b.conn.Connected() {
		return b.conn, nil
	}
	conn, err := dbus.Connect(
		"unix:path="+filepath.Join("/", b.Root, busSocket), dbus.WithContext(context.WithoutCancel(ctx)),
	)
	var op *net.OpError
	if errors.Is(err, fs.ErrNotExist) || errors.As(err, &op) && errors.Is(op.Err, syscall.ECONNREFUSED) {
		return nil, errNoBus
	}
	if err != nil {
		return nil, fmt.Errorf("connect to the system bus: %w", err)
	}
	b.conn = conn
	return conn, nil
}

// owned reports whether a name has an owner, and so a program runs. A node without a bus has none.
func (b *Bus) owned(name string) (bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	conn, err := b.connect(ctx)
	if errors.Is(err, errNoBus) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var there bool
	err = conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, name).Store(&there)
	if err != nil {
		return false, fmt.Errorf("ask the bus for %s: %w", name, err)
	}
	return there, nil
}

// An object is one of a program on the bus.
type object struct {
	bus  *Bus
	name string
	path dbus.ObjectPath
}

// call calls a method and stores what it returns.
func (o object) call(method string, args []any, into ...any) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	conn, err := o.bus.connect(ctx)
	if err != nil {
		return err
	}
	call := conn.Object(o.name, o.path).CallWithContext(ctx, method, 0, args...)
	if err := call.Store(into...); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return nil
}

// all are the properties of an interface.
func (o object) all(of string) (map[string]dbus.Variant, error) {
	var values map[string]dbus.Variant
	err := o.call(properties+".GetAll", []any{of}, &values)
	return values, err
}

// set sets a property.
func (o object) set(of, property string, value any) error {
	return o.call(properties+".Set", []any{of, property, dbus.MakeVariant(value)})
}

// value is a property of a type; the zero value if it is missing or of another.
func value[T any](values map[string]dbus.Variant, property string) T {
	v, _ := values[property].Value().(T)
	return v
}
