// SPDX-License-Identifier: Apache-2.0

package managers

import (
	"bufio"
	"encoding/binary"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A busCall is one call of a method on a fake bus.
type busCall struct {
	path   dbus.ObjectPath
	method string
	args   []any
}

// A busProgram answers calls on a fake bus, with values or with an error of D-Bus.
type busProgram func(busCall) ([]any, *dbus.Error)

// fakeBus serves a system bus with some programs on it, by name, and returns the managers that are found there.
func fakeBus(t *testing.T, programs map[string]busProgram) *Managers {
	t.Helper()
	root := t.TempDir()
	socket := filepath.Join(root, busSocket)
	require.NoError(t, os.MkdirAll(filepath.Dir(socket), 0o755))
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, listener.Close()) })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // the test is over
			}
			go serveBus(conn, programs)
		}
	}()
	return New(root, logr.Discard())
}

// serveBus speaks to one client until that ends, as D-Bus's specification says ("Authentication Protocol", "Message
// Protocol").
func serveBus(conn net.Conn, programs map[string]busProgram) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for line := ""; !strings.HasPrefix(line, "BEGIN"); {
		var err error
		if line, err = in.ReadString('\n'); err != nil {
			return
		}
		answer := map[string]string{"\x00AUTH\r\n": "REJECTED EXTERNAL\r\n", "AUTH EXTERNAL\r\n": "OK 1234\r\n"}[line]
		if _, err := conn.Write([]byte(answer)); err != nil {
			return
		}
	}
	for {
		call, err := dbus.DecodeMessage(in)
		if err != nil {
			return
		}
		if err := answerBus(call, programs).EncodeTo(conn, binary.LittleEndian); err != nil {
			return
		}
	}
}

// answerBus answers one message, as the bus itself or as a program.
func answerBus(m *dbus.Message, programs map[string]busProgram) *dbus.Message {
	text := func(field dbus.HeaderField) string { s, _ := m.Headers[field].Value().(string); return s }
	path, _ := m.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
	call := busCall{path, text(dbus.FieldInterface) + "." + text(dbus.FieldMember), m.Body}
	var values []any
	var refusal *dbus.Error
	program, runs := programs[text(dbus.FieldDestination)]
	switch {
	case call.method == "org.freedesktop.DBus.Hello":
		values = []any{":1.9"}
	case call.method == "org.freedesktop.DBus.GetNameOwner":
		name, _ := m.Body[0].(string)
		if _, owned := programs[name]; !owned {
			refusal = &dbus.Error{Name: noOwner}
			break
		}
		values = []any{":1.4"}
	case runs:
		values, refusal = program(call)
	default:
		refusal = &dbus.Error{Name: "org.freedesktop.DBus.Error.ServiceUnknown"}
	}
	answer := &dbus.Message{Type: dbus.TypeMethodReply, Body: values, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldReplySerial: dbus.MakeVariant(m.Serial()),
	}}
	if refusal != nil {
		answer.Type, answer.Body = dbus.TypeError, nil
		answer.Headers[dbus.FieldErrorName] = dbus.MakeVariant(refusal.Name)
	}
	if len(answer.Body) > 0 {
		answer.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(answer.Body...))
	}
	return answer
}

// A fakeNM is NetworkManager on a fake bus: its devices and profiles, by path.
type fakeNM struct {
	devices map[dbus.ObjectPath]map[string]dbus.Variant
	// active are the active connections, and profiles the settings of profiles.
	active   map[dbus.ObjectPath]map[string]dbus.Variant
	profiles map[dbus.ObjectPath]map[string]map[string]dbus.Variant
	// before is called with each call before it is answered; nil does nothing.
	before func(busCall)
}

// device returns the properties of a NIC's device.
func device(name string, more map[string]any) map[string]dbus.Variant {
	values := map[string]dbus.Variant{
		"Interface": dbus.MakeVariant(name), "Managed": dbus.MakeVariant(true), "Real": dbus.MakeVariant(true),
		"DeviceType": dbus.MakeVariant(nmEthernet), "State": dbus.MakeVariant(nmDisconnected),
		"ActiveConnection": dbus.MakeVariant(dbus.ObjectPath("/")),
	}
	for word, value := range more {
		values[word] = dbus.MakeVariant(value)
	}
	return values
}

// answer is the busProgram. It does what it is told at once.
func (n *fakeNM) answer(call busCall) ([]any, *dbus.Error) {
	if n.before != nil {
		n.before(call)
	}
	switch call.method {
	case nmObjects:
		tree := nmTree{nmPath: {nmName: {}}}
		for path, values := range n.devices {
			tree[path] = map[string]map[string]dbus.Variant{nmDevice: values}
		}
		for path, values := range n.active {
			tree[path] = map[string]map[string]dbus.Variant{nmActive: values}
		}
		return []any{tree}, nil
	case nmSettings + ".ListConnections":
		return []any{slices.Sorted(maps.Keys(n.profiles))}, nil
	case nmSettings + ".GetConnectionByUuid":
		for path, settings := range n.profiles {
			if settings["connection"]["uuid"].Value() == call.args[0] {
				return []any{path}, nil
			}
		}
		return nil, &dbus.Error{Name: nmNoProfile}
	case nmName + ".Reload":
		return nil, nil
	}
	if settings, there := n.profiles[call.path]; there && call.method == nmSettings+".Connection.GetSettings" {
		return []any{settings}, nil
	} else if there && call.method == nmSettings+".Connection.Delete" {
		delete(n.profiles, call.path)
		return nil, nil
	}
	values, there := n.devices[call.path]
	if !there {
		return nil, &dbus.Error{Name: "org.freedesktop.DBus.Error.UnknownMethod"} // as GDBus says
	}
	switch call.method {
	case properties + ".GetAll":
		return []any{values}, nil
	case properties + ".Set":
		name, _ := call.args[1].(string)
		values[name], _ = call.args[2].(dbus.Variant)
		return nil, nil
	}
	return nil, &dbus.Error{Name: "org.freedesktop.DBus.Error.UnknownMethod"}
}
