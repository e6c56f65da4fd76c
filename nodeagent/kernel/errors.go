// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"
)

// A RefusedError is the kernel's refusal of a step.
type RefusedError struct {
	// Operation says what was asked for, in words: "attach eth1 to br0".
	Operation string
	// Errno is the kernel's number.
	Errno unix.Errno
	// Reason is the kernel's own explanation where it gave one (extended acknowledgement), else what the
	// number means for networks.
	Reason string
}

// Error returns "attach eth1 to br0: Can not enslave a bridge to a bridge (ELOOP)".
func (e *RefusedError) Error() string {
	name := unix.ErrnoName(e.Errno)
	if name == "" {
		name = fmt.Sprintf("errno %d", int(e.Errno))
	}
	return fmt.Sprintf("%s: %s (%s)", e.Operation, e.Reason, name)
}

// Unwrap returns the kernel's number, so that errors.Is(err, unix.EEXIST) holds.
func (e *RefusedError) Unwrap() error { return e.Errno }

// A StaleError says that the node is not as the step's From says, so nothing was done.
type StaleError struct {
	// Operation says what was asked for, in words.
	Operation string
	// Difference says what is different: "mtu is 1400, the plan expects 1500".
	Difference string
}

// Error returns "set eth1: the node changed since the plan was made: mtu is 1400, the plan expects 1500".
func (e *StaleError) Error() string {
	return fmt.Sprintf("%s: the node changed since the plan was made: %s", e.Operation, e.Difference)
}

// refused turns an error of a request into a *RefusedError; nil stays nil.
func refused(err error, operation string, args ...any) error {
	if err == nil {
		return nil
	}
	operation = fmt.Sprintf(operation, args...)
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return fmt.Errorf("%s: %w", operation, err)
	}
	reason, said := strings.CutPrefix(err.Error(), errno.Error()+": ")
	var file *fs.PathError
	switch {
	case errors.As(err, &file):
		reason = file.Path + meaningOfFile(file.Path, errno)
	case !said:
		reason = meaning(errno)
	}
	return &RefusedError{Operation: operation, Errno: errno, Reason: strings.TrimSuffix(reason, ".")}
}

// meaningOfFile returns what an error number means for a setting that is a file.
func meaningOfFile(path string, errno unix.Errno) string {
	switch errno {
	case unix.EROFS:
		if strings.Contains(path, "/sys/class/net/") {
			return " is read-only: the agent's container needs the host's /sys, mounted writable at /host/sys (--host-root=/host)"
		}
		return " is read-only: the agent's container needs the host's /proc/sys/net, mounted writable at " +
			"/host/proc/sys/net (--host-root=/host)"
	case unix.EPERM, unix.EACCES:
		return " may not be written: CAP_NET_ADMIN is needed, and on hosts with SELinux the type spc_t"
	case unix.ENOENT:
		return " does not exist"
	}
	return ": " + errno.Error()
}

// meaning returns what an error number means for networks, where that is not what strerror(3) says.
func meaning(errno unix.Errno) string {
	switch errno {
	case unix.EPERM, unix.EACCES:
		return "not permitted (CAP_NET_ADMIN is needed), or not in this state of the link"
	case unix.EEXIST:
		return "exists already"
	case unix.ENODEV:
		return "no such link"
	case unix.EBUSY:
		return "the link is in use, or a port of another controller"
	case unix.EOPNOTSUPP:
		return "this kernel or this kind of link cannot do that"
	case unix.EINVAL:
		return "the kernel rejects a value, or this combination of values"
	case unix.ERANGE:
		return "a value is out of range"
	case unix.ELOOP, unix.EMLINK:
		return "the links would form a ring, or a stack too deep"
	case unix.ENETUNREACH, unix.EHOSTUNREACH:
		return "the next hop is not reachable through this link"
	case unix.ENETDOWN:
		return "the link is down"
	case unix.ESRCH:
		return "no such route"
	case unix.EADDRNOTAVAIL:
		return "no such address, or an address the kernel does not accept here"
	case unix.ENOBUFS, unix.ENOMEM:
		return "the kernel is out of memory for it"
	}
	return errno.Error()
}

// isFamilyUnknown reports whether a request failed because the kernel runs without IPv6 (ipv6.disable=1).
func isFamilyUnknown(family uint8, err error) bool {
	return family == unix.AF_INET6 && (errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT))
}
