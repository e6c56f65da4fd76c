// SPDX-License-Identifier: Apache-2.0

package kernel

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// secretFile is the setting with the secret of a link, in the form of an IPv6 address. One that was never written
// cannot be read (addrconf_sysctl_stable_secret of net/ipv6/addrconf.c), and there is no way to unset it.
const secretFile = "stable_secret"

// giveSecret gives a link the secret without which the kernel refuses stable-privacy, unless it has one, or there is
// one for all links.
func (k *Kernel) giveSecret(name string) error {
	for _, whose := range []string{name, "default"} {
		_, err := os.ReadFile(filepath.Join(k.Sysctls, "ipv6", "conf", whose, secretFile))
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EIO) {
			return fmt.Errorf("read a setting of the network: %w", err)
		}
	}
	if k.Secret == "" {
		return errors.New("stable-privacy needs a secret: the host has no /etc/machine-id to make one of")
	}
	return k.setSysctls(name, []sysctl{{"ipv6", secretFile, stableSecret(k.Secret, name).String()}})
}

// stableSecret returns the secret of a link of a node, which does not tell that of the node.
func stableSecret(node, link string) netip.Addr {
	sum := hmac.New(sha256.New, []byte(node))
	sum.Write([]byte("stable-privacy " + link))
	return netip.AddrFrom16([16]byte(sum.Sum(nil)[:16]))
}
