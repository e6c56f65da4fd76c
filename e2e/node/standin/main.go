// Command standin plays the pod of a VM on a node: a network namespace, attached by the CNI plugins that a
// NetworkAttachmentDefinition names, run through libcni with the arguments Multus would give them. In a cluster kubelet,
// Multus and KubeVirt's virt-launcher are in its place.
//
//	standin attach -pod vma -interface pod1234 -mac 02:4a:be:00:00:0b -address 10.200.0.1/24 < config.json
//	standin detach -pod vma -interface pod1234 < config.json
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/containernetworking/cni/libcni"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const (
	pluginDir    = "/opt/cni/bin"
	namespaceDir = "/var/run/netns" // where ip netns looks, too
)

// An attachment is one network of one pod.
type attachment struct {
	pod, iface, mac, address string
}

func main() {
	if err := run(os.Args[1:], os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "standin:", err)
		os.Exit(1)
	}
}

func run(args []string, stdin io.Reader) error {
	if len(args) == 0 {
		return errors.New("say attach or detach")
	}
	var a attachment
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.StringVar(&a.pod, "pod", "", "`name` of the pod, and of its network namespace")
	flags.StringVar(&a.iface, "interface", "net1", "`name` of the interface in the pod")
	flags.StringVar(&a.mac, "mac", "", "`MAC` of the interface; empty lets the plugin choose")
	flags.StringVar(&a.address, "address", "", "`address` with prefix length that the guest of the VM would set")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	config, err := io.ReadAll(stdin)
	if err != nil {
		return fmt.Errorf("read the network's configuration: %w", err)
	}
	network, err := readNetwork(config)
	if err != nil {
		return err
	}
	switch args[0] {
	case "attach":
		return a.attach(context.Background(), network)
	case "detach":
		return a.detach(context.Background(), network)
	}
	return fmt.Errorf("say attach or detach, not %q", args[0])
}

// readNetwork reads a list of plugins, or a single one as a list.
func readNetwork(config []byte) (*libcni.NetworkConfigList, error) {
	var single struct {
		CNIVersion string            `json:"cniVersion"`
		Name       string            `json:"name"`
		Plugins    []json.RawMessage `json:"plugins"`
	}
	if err := json.Unmarshal(config, &single); err != nil {
		return nil, fmt.Errorf("read the network's configuration: %w", err)
	}
	if single.Plugins == nil {
		single.Plugins = []json.RawMessage{config}
		var err error
		if config, err = json.Marshal(single); err != nil {
			return nil, fmt.Errorf("read the network's configuration: %w", err)
		}
	}
	return libcni.NetworkConfFromBytes(config)
}

func (a attachment) attach(ctx context.Context, network *libcni.NetworkConfigList) error {
	if err := makeNamespace(a.pod); err != nil {
		return err
	}
	result, err := libcni.NewCNIConfig([]string{pluginDir}, nil).AddNetworkList(ctx, network, a.runtime())
	if err != nil {
		return fmt.Errorf("attach %s to network %s: %w", a.pod, network.Name, err)
	}
	if err := result.Print(); err != nil {
		return err
	}
	return a.setAddress()
}

func (a attachment) detach(ctx context.Context, network *libcni.NetworkConfigList) error {
	if err := libcni.NewCNIConfig([]string{pluginDir}, nil).DelNetworkList(ctx, network, a.runtime()); err != nil {
		return fmt.Errorf("detach %s from network %s: %w", a.pod, network.Name, err)
	}
	return netns.DeleteNamed(a.pod)
}

// runtime are the arguments that Multus gives the plugins: the MAC both ways.
func (a attachment) runtime() *libcni.RuntimeConf {
	rt := &libcni.RuntimeConf{
		ContainerID: a.pod,
		NetNS:       filepath.Join(namespaceDir, a.pod),
		IfName:      a.iface,
		Args:        [][2]string{{"IgnoreUnknown", "1"}, {"K8S_POD_NAME", a.pod}},
	}
	if a.mac != "" {
		rt.Args = append(rt.Args, [2]string{"MAC", a.mac})
		rt.CapabilityArgs = map[string]any{"mac": a.mac}
	}
	return rt
}

// setAddress does what cloud-init does in the guest of the VM.
func (a attachment) setAddress() error {
	if a.address == "" {
		return nil
	}
	ns, err := netns.GetFromName(a.pod)
	if err != nil {
		return fmt.Errorf("enter the pod: %w", err)
	}
	defer func() { _ = ns.Close() }()
	inside, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("enter the pod: %w", err)
	}
	defer inside.Close()
	link, err := inside.LinkByName(a.iface)
	if err != nil {
		return fmt.Errorf("find %s in the pod: %w", a.iface, err)
	}
	address, err := netlink.ParseAddr(a.address)
	if err != nil {
		return fmt.Errorf("read address %q: %w", a.address, err)
	}
	return inside.AddrAdd(link, address)
}

// makeNamespace makes a named namespace, unless it is there, and comes back to its own.
func makeNamespace(name string) error {
	if _, err := os.Stat(filepath.Join(namespaceDir, name)); err == nil {
		return nil
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	own, err := netns.Get()
	if err != nil {
		return fmt.Errorf("find the node's namespace: %w", err)
	}
	defer func() { _ = own.Close() }()
	pod, err := netns.NewNamed(name)
	if err != nil {
		return fmt.Errorf("make the pod's namespace: %w", err)
	}
	return errors.Join(pod.Close(), netns.Set(own))
}
