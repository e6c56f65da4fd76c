// SPDX-License-Identifier: Apache-2.0

package guestrpc

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// OpenPort opens the guest's end of the port, which appears a moment after its driver is loaded.
func OpenPort() (*os.File, error) {
	for range 500 {
		ports, err := filepath.Glob("/dev/vport*")
		if err != nil {
			return nil, err
		}
		if len(ports) > 0 {
			return os.OpenFile(ports[0], os.O_RDWR, 0)
		}
		<-time.After(10 * time.Millisecond)
	}
	return nil, fmt.Errorf("no virtio port appeared in /dev")
}
