// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/u-root/u-root/pkg/cpio"
)

func TestArchiveWritesDirectoriesBeforeTheirFiles(t *testing.T) {
	var a Archive
	a.AddBytes("/usr/share/b", []byte("b"), 0o755)
	a.AddBytes("/etc/a", []byte("a"), 0o644)
	a.AddBytes("/etc/a", []byte("again"), 0o644)
	a.AddDir("/proc")
	var out bytes.Buffer
	require.NoError(t, a.Write(&out))
	records, err := cpio.ReadAllRecords(&cpio.EOFReader{RecordReader: cpio.Newc.Reader(bytes.NewReader(out.Bytes()))})
	require.NoError(t, err)
	var names []string
	for _, record := range records {
		names = append(names, record.Name)
	}
	assert.Equal(t, []string{"etc", "etc/a", "proc", "usr", "usr/share", "usr/share/b"}, names)
	content := make([]byte, records[1].FileSize)
	_, err = records[1].ReadAt(content, 0)
	require.NoError(t, err)
	assert.Equal(t, "again", string(content))
}

func TestMachineNamesItsHardware(t *testing.T) {
	m := Machine{Kernel: "k", Initrd: "i", Console: "c", Answer: "a",
		NICs: []NIC{{MAC: "52:55:00:D1:56:00"}, {MAC: "02:00:00:00:00:01", Netdev: "user"}}}
	args := m.args()
	assert.Contains(t, args, "tcg")
	assert.Contains(t, args, "hubport,hubid=0,id=net0")
	assert.Contains(t, args, "virtio-net-pci,netdev=net0,mac=52:55:00:D1:56:00,romfile=,ctrl_vlan=off")
	assert.Contains(t, args, "user,id=net1")
}
