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

	"github.com/go-logr/logr"
	"github.com/godbus/dbus/v5"
)

const (
	// busSocket is the system bus, as the host names it.
	busSocket = "/run/dbus/system_bus_socket"
	// callTimeout bounds one call: a manager that hangs is an error, not a reason to hang.
	callTimeout = 20 * time.Second
	properties  = "org.freedesktop.DBus.Properties"
	// noOwner is the error for a name that no program has.
	noOwner = "org.freedesktop.DBus.Error.NameHasNoOwner"
)

// A Bus is the system bus of a node. The connection is made at need, and again when it broke.
type Bus struct {
	// Root is the folder in which the host's files are found, "" for /.
	Root string
	// Timeout bounds what is asked of the bus itself, to be reached or to name a program; callTimeout if zero.
	Timeout time.Duration

	mu   sync.Mutex
	conn *dbus.Conn
}

// New returns the managers that are found on the bus of a host whose files are below root.
func New(root string, log logr.Logger) *Managers {
	bus := &Bus{Root: root}
	return &Managers{
		Files: Files{Root: root}, NetworkManager: bus.networkManager, Networkd: bus.networkd,
		Switchless: bus.switchless(), Log: log,
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
	conn, err := dial(ctx, filepath.Join("/", b.Root, busSocket))
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

// dial connects to a bus that answers until ctx is done.
func dial(ctx context.Context, socket string) (*dbus.Conn, error) {
	raw, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	if err := raw.SetDeadline(deadline); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	conn, err := dbus.NewConn(raw)
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	if err := conn.Auth(nil); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if err := conn.Hello(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if err := raw.SetDeadline(time.Time{}); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// timeout is how long the bus has to answer.
func (b *Bus) timeout() time.Duration {
	if b.Timeout > 0 {
		return b.Timeout
	}
	return callTimeout
}

// owned reports whether a name has an owner, and so a program runs. A node without a bus has none.
func (b *Bus) owned(name string) (bool, error) {
	owner, err := b.owner(name)
	return owner != "", err
}

// owner returns what the bus calls the program that has a name, another one each time it is started; "" for none.
func (b *Bus) owner(name string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), b.timeout())
	defer cancel()
	conn, err := b.connect(ctx)
	if errors.Is(err, errNoBus) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var owner string
	err = conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.GetNameOwner", 0, name).Store(&owner)
	var refused dbus.Error
	if errors.As(err, &refused) && refused.Name == noOwner {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("ask the bus for %s: %w", name, err)
	}
	return owner, nil
}

// An object is one of a program on the bus.
type object struct {
	bus  *Bus
	name string
	path dbus.ObjectPath
}

// call calls a method and stores what it returns. It starts no program: one that does not run was stopped, or is to be
// started in its turn.
func (o object) call(method string, args []any, into ...any) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	conn, err := o.bus.connect(ctx)
	if err != nil {
		return err
	}
	call := conn.Object(o.name, o.path).CallWithContext(ctx, method, dbus.FlagNoAutoStart, args...)
	if err := call.Store(into...); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return nil
}

// noObject reports whether a call was refused because there is no such object, or not any more. GLib says the second.
func noObject(refused dbus.Error) bool {
	const unknown = "org.freedesktop.DBus.Error.Unknown"
	return refused.Name == unknown+"Object" || refused.Name == unknown+"Method" || refused.Name == unknown+"Interface"
}

// all returns the properties of an interface.
func (o object) all(of string) (map[string]dbus.Variant, error) {
	var values map[string]dbus.Variant
	err := o.call(properties+".GetAll", []any{of}, &values)
	return values, err
}

// set sets a property.
func (o object) set(of, property string, value any) error {
	return o.call(properties+".Set", []any{of, property, dbus.MakeVariant(value)})
}

// value returns a property of a type; the zero value if it is missing or of another.
func value[T any](values map[string]dbus.Variant, property string) T {
	v, _ := values[property].Value().(T)
	return v
}
