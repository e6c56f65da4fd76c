// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/bridgehead-dev/bridgehead/e2e/cluster/boot"
	"github.com/bridgehead-dev/bridgehead/e2e/guestrpc"
	"github.com/bridgehead-dev/bridgehead/e2e/vmrun/guest"
	"github.com/bridgehead-dev/bridgehead/e2e/vmrun/script"
)

// bootTimeout is how long a guest may take until it answers, on a machine that is busy.
const bootTimeout = 5 * time.Minute

const (
	// hangTimeout is how long the kernel of a guest may take, of which nodeinit then tells: it takes a second or two.
	hangTimeout = 2 * time.Minute
	// maxBoots is how often a guest is booted whose kernel hangs.
	maxBoots = 3
)

// errHangs says that the kernel of a guest did not come to run nodeinit.
var errHangs = errors.New("its kernel hangs")

// A machine is a guest that boots a root disk. What is in the guest beside it comes again with every boot.
type machine struct {
	dir      string // of the sockets, the console and the initramfs
	programs *programs
	config   boot.Config
	files    map[string]string // put on the disk at every boot: texts by path
	disks    []guest.Disk
	nics     []guest.NIC
	memory   int    // MiB
	kernel   string // further arguments of the kernel

	mu     sync.Mutex
	cancel context.CancelCauseFunc
	ended  chan struct{}
	died   error
	client *guestrpc.Client
}

// path returns a file of the machine.
func (m *machine) path(name string) string { return filepath.Join(m.dir, m.config.Name+"."+name) }

// start boots the guest and returns when it answers. ctx bounds the boot only. Now and then a kernel on two emulated
// processors hangs before it has touched anything; such a guest is booted again.
func (m *machine) start(ctx context.Context) error {
	if err := m.pack(ctx); err != nil {
		return err
	}
	for boots := 1; ; boots++ {
		err := m.boot(ctx)
		if !errors.Is(err, errHangs) || boots == maxBoots {
			return err
		}
		m.kill()
	}
}

// boot starts the guest with what is packed and returns when it answers.
func (m *machine) boot(ctx context.Context) error {
	said := m.said()
	for _, socket := range []string{m.path("port"), m.path("qmp")} {
		_ = os.Remove(socket) // left by the guest before
	}
	hardware := guest.Machine{
		Kernel:     m.programs.kernel.Image(),
		Initrd:     m.path("initrd"),
		KernelArgs: strings.TrimSpace("net.ifnames=0 " + m.kernel),
		// Images import and programs start faster than with all that qemu can play; the smaller buffer of translated code
		// halves qemu's memory.
		Accel:   "tcg,thread=multi,tb-size=256",
		CPU:     "Nehalem",
		Cores:   2,
		Memory:  m.memory,
		NICs:    m.nics,
		Disks:   m.disks,
		Port:    m.path("port"),
		Control: m.path("qmp"),
		Console: m.path("console"),
		Output:  m.path("output"),
		Answer:  m.path("answer"),
	}
	running, cancel := context.WithCancelCause(context.Background())
	ended := make(chan struct{})
	m.mu.Lock()
	m.cancel, m.ended, m.died = cancel, ended, nil
	m.mu.Unlock()
	go func() {
		complaint, err := hardware.Run(running, nil)
		if err == nil && complaint != "" {
			err = errors.New(complaint)
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.died = errors.Join(err, context.Cause(running))
		close(ended)
	}()
	return m.connect(ctx, ended, said)
}

// pack writes the initramfs.
func (m *machine) pack(ctx context.Context) error {
	files := &guest.Archive{}
	modules, err := m.programs.kernel.Modules(ctx, kernelModules()...)
	if err != nil {
		return err
	}
	params := map[string]string{"bonding": "max_bonds=0", "dummy": "numdummies=0"}
	m.config.Modules = nil
	for _, module := range modules {
		file := "/lib/modules/" + module.Name + ".ko"
		files.AddBytes(file, module.Content, 0o644)
		m.config.Modules = append(m.config.Modules, script.Module{Path: file, Params: params[module.Name]})
	}
	if err := files.AddFile("/init", m.programs.init); err != nil {
		return err
	}
	text, err := json.Marshal(m.config)
	if err != nil {
		return fmt.Errorf("write the configuration of %s: %w", m.config.Name, err)
	}
	files.AddBytes(boot.ConfigPath, text, 0o644)
	files.AddBytes(boot.FilesDir+"/etc/inittab", []byte(m.inittab()), 0o644)
	for path, text := range m.files {
		files.AddBytes(boot.FilesDir+path, []byte(text), 0o600)
	}
	for _, dir := range []string{"/proc", "/sys", "/dev", "/newroot"} {
		files.AddDir(dir)
	}
	return files.WriteFile(m.path("initrd"))
}

// inittab tells busybox's init what to keep running.
func (m *machine) inittab() string {
	lines := "::sysinit:" + boot.Program + " prepare\n::respawn:" + boot.Program + " serve\n"
	for _, s := range m.config.Services {
		lines += "::respawn:" + boot.Program + " run " + s.Name + "\n"
	}
	return lines
}

// connect waits until the guest answers, or until it is known to hang. It had said so many bytes before it booted.
func (m *machine) connect(ctx context.Context, ended <-chan struct{}, said int64) error {
	ctx, cancel := context.WithTimeoutCause(ctx, bootTimeout, errors.New("it does not answer"))
	defer cancel()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	watch := time.AfterFunc(hangTimeout, func() {
		if m.said() == said {
			giveUp(errHangs)
		}
	})
	defer watch.Stop()
	client, err := guestrpc.Dial(ctx, m.path("port"), ended, m.deathCause)
	if err != nil {
		return fmt.Errorf("start %s: %w", m.config.Name, err)
	}
	m.mu.Lock()
	m.client = client
	m.mu.Unlock()
	if _, err := client.Exec(ctx, "", "cat", "/proc/uptime"); err != nil {
		return fmt.Errorf("boot %s: %w; the end of its console:\n%s", m.config.Name, err, lastLines(m.console(), 20))
	}
	return nil
}

// console returns what the kernel and init said, over all boots.
func (m *machine) console() string {
	text, err := os.ReadFile(m.path("console"))
	if err != nil {
		return err.Error()
	}
	return strings.ReplaceAll(string(text), "\r", "")
}

// said returns how many bytes are in the console.
func (m *machine) said() int64 {
	file, err := os.Stat(m.path("console"))
	if err != nil {
		return 0
	}
	return file.Size()
}

// deathCause returns why the guest is gone.
func (m *machine) deathCause() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return errors.Join(fmt.Errorf("the guest of %s has ended", m.config.Name), m.died)
}

// exec runs a program in the guest.
func (m *machine) exec(ctx context.Context, argv ...string) (string, error) {
	m.mu.Lock()
	client := m.client
	m.mu.Unlock()
	out, err := client.Exec(ctx, "", argv...)
	if err != nil {
		return out, fmt.Errorf("%s: %w", m.config.Name, err)
	}
	return out, nil
}

// powerOff ends the guest in order and waits until it is gone.
func (m *machine) powerOff(ctx context.Context) error {
	m.mu.Lock()
	ended := m.ended
	m.mu.Unlock()
	// The answer may be lost as the guest goes.
	_, err := m.exec(ctx, "poweroff")
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("shut %s down: %w", m.config.Name, context.Cause(ctx)), err)
	}
}

// kill ends the guest at once. To kill what does not run is fine.
func (m *machine) kill() {
	m.mu.Lock()
	cancel, ended := m.cancel, m.ended
	m.mu.Unlock()
	if cancel == nil {
		return
	}
	cancel(errors.New("it was ended"))
	<-ended
}

// importImages boots a disk once, with containerd alone, and has it import the images. Each is a disk of its own: a tar
// file is one as well as any.
func importImages(ctx context.Context, p *programs, dir, disk string) error {
	m := &machine{
		dir: dir, programs: p, memory: 1536, disks: []guest.Disk{{Path: disk, Volatile: true}},
		config: boot.Config{
			Name: "import", Address: "192.168.77.2/24", PodNetwork: podNetwork, Services: []boot.Service{containerd()},
		},
		nics: []guest.NIC{{MAC: "52:55:00:d1:55:01"}, {MAC: "52:55:00:d1:56:01"}, {MAC: "52:55:00:d1:57:01"}},
	}
	for _, image := range p.images {
		m.disks = append(m.disks, guest.Disk{Path: image, ReadOnly: true})
	}
	if err := m.start(ctx); err != nil {
		return err
	}
	defer m.kill()
	err := wait.PollUntilContextTimeout(
		ctx,
		500*time.Millisecond,
		bootTimeout,
		true,
		func(ctx context.Context) (bool, error) {
			_, err := m.exec(ctx, "ctr", "version")
			return err == nil, nil
		},
	)
	if err != nil {
		log, _ := m.exec(ctx, "cat", "/var/log/containerd.log")
		return fmt.Errorf("wait for containerd: %w\n%s", err, lastLines(log, 20))
	}
	for i := range p.images {
		var reply guestrpc.ExecReply
		device := "/dev/vd" + string(rune('b'+i))
		argv := []string{"ctr", "--namespace", "k8s.io", "images", "import", device}
		err := m.client.Call(ctx, guestrpc.Exec, guestrpc.ExecArgs{Argv: argv, Seconds: int(bootTimeout.Seconds())}, &reply)
		if err != nil || reply.Code != 0 {
			return fmt.Errorf("import an image: %w: %s", err, reply.Stderr)
		}
	}
	return m.powerOff(ctx)
}

// lastLines returns the last lines of a text.
func lastLines(text string, n int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-n):], "\n")
}
