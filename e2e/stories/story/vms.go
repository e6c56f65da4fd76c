// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	virtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/bridgehead-dev/bridgehead/e2e/suite"
	"github.com/bridgehead-dev/bridgehead/macpool"
)

func (t *teller) createVMs(ctx context.Context) error {
	if err := t.show(ctx, "apply", "-f", t.file("30-vms.yaml")); err != nil {
		return err
	}
	return t.printNICs(ctx, "vma", "vmb")
}

func (t *teller) dryRun(ctx context.Context) error {
	before, err := t.held(ctx)
	if err != nil {
		return err
	}
	vm, err := t.copyOf(ctx, "vma", "vmc", func(*virtv1.Interface) string { return "" })
	if err != nil {
		return err
	}
	fmt.Fprintln(t.out, "$ kubectl create --dry-run=server -f vmc.yaml   # vma under another name, without addresses")
	out, err := t.KubectlInput(ctx, vm, "create", "--dry-run=server", "-o", "yaml", "-f", "-")
	if err != nil {
		return err
	}
	var answer virtv1.VirtualMachine
	if err := yaml.Unmarshal([]byte(out), &answer); err != nil {
		return fmt.Errorf("read kubectl's answer: %w", err)
	}
	for _, nic := range answer.Spec.Template.Spec.Domain.Devices.Interfaces {
		fmt.Fprintf(t.out, "   vmc %s would get %s\n", nic.Name, nic.MacAddress)
		if nic.MacAddress == "" || before[nic.MacAddress] != "" {
			return fmt.Errorf("the dry run proposes %q for %s", nic.MacAddress, nic.Name)
		}
	}
	after, err := t.held(ctx)
	if err != nil {
		return err
	}
	if len(after) != len(before) {
		return fmt.Errorf("%d addresses are held after the dry run, %d before", len(after), len(before))
	}
	fmt.Fprintf(t.out, "   held before: %d addresses; after: %d\n", len(before), len(after))
	return nil
}

func (t *teller) askForTaken(ctx context.Context) error {
	taken, err := t.macOf(ctx, "vma", "br0-100")
	if err != nil {
		return err
	}
	vm, err := t.copyOf(ctx, "vma", "thief", func(nic *virtv1.Interface) string {
		if nic.Name == "br0-100" {
			return taken
		}
		return ""
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(t.out, "$ kubectl create -f thief.yaml   # asks for %s\n", taken)
	_, err = t.KubectlInput(ctx, vm, "create", "-f", "-")
	if err == nil {
		return errors.New("the VM was admitted")
	}
	fmt.Fprintln(t.out, "   "+strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "\n   "))
	if !strings.Contains(err.Error(), "held by VirtualMachine default/vma") {
		return fmt.Errorf("the refusal does not name the holder: %w", err)
	}
	return nil
}

func (t *teller) recreate(ctx context.Context) error {
	vm, err := t.copyOf(ctx, "vmb", "vmb", func(nic *virtv1.Interface) string { return nic.MacAddress })
	if err != nil {
		return err
	}
	if err := t.show(ctx, "delete", "vm", "vmb"); err != nil {
		return err
	}
	fmt.Fprintln(t.out, "$ kubectl create -f vmb.yaml   # with the addresses it had")
	out, err := t.KubectlInput(ctx, vm, "create", "-f", "-")
	if err != nil {
		return err
	}
	fmt.Fprint(t.out, "   "+out)
	return t.printNICs(ctx, "vmb")
}

func (t *teller) showLedger(ctx context.Context) error {
	held, err := t.held(ctx)
	if err != nil {
		return err
	}
	used := fmt.Sprintf("jsonpath={.status.used}=%d", len(held))
	if _, err := t.Kubectl(
		ctx, "wait", "macpool", "default", "--for", used, "--timeout", maxWait.String(),
	); err != nil {
		return fmt.Errorf("the pool does not count the %d addresses that are held: %w", len(held), err)
	}
	if err := t.show(ctx, "get", "macpools"); err != nil {
		return err
	}
	return t.show(ctx, "get", "macblocks")
}

// printNICs shows each NIC with its address and its entry in the ledger. It fails if an address is missing, held by
// somebody else, or was given before to another NIC.
func (t *teller) printNICs(ctx context.Context, vms ...string) error {
	table := tabwriter.NewWriter(t.out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "   VM\tNIC\tMAC\tLEDGER")
	for _, name := range vms {
		vm, err := t.vm(ctx, name)
		if err != nil {
			return err
		}
		for _, nic := range vm.Spec.Template.Spec.Domain.Devices.Interfaces {
			owner := fmt.Sprintf("VirtualMachine default/%s %s", name, nic.Name)
			holder, err := t.waitHeld(ctx, nic.MacAddress, owner)
			if err != nil {
				return err
			}
			if other, ok := t.seen[nic.MacAddress]; ok && other != owner {
				return fmt.Errorf("%s was given to %s and to %s", nic.MacAddress, other, owner)
			}
			t.seen[nic.MacAddress] = owner
			fmt.Fprintf(table, "   %s\t%s\t%s\theld by %s\n", name, nic.Name, nic.MacAddress, holder)
		}
	}
	return table.Flush()
}

// waitHeld waits until the ledger says that an address is held by who it should be.
func (t *teller) waitHeld(ctx context.Context, mac, owner string) (holder string, err error) {
	err = wait.PollUntilContextTimeout(
		ctx,
		20*time.Millisecond,
		maxWait,
		true,
		func(ctx context.Context) (bool, error) {
			held, err := t.held(ctx)
			holder = held[mac]
			return holder == owner, err
		},
	)
	if err != nil {
		return "", fmt.Errorf("%q is held by %q, not by %s: %w", mac, holder, owner, err)
	}
	return holder, nil
}

// held returns who holds which address.
func (t *teller) held(ctx context.Context) (map[string]string, error) {
	blocks, err := suite.Blocks(ctx, t.Client)
	if err != nil {
		return nil, err
	}
	held := map[string]string{}
	for _, b := range blocks {
		for m, e := range b.Entries() {
			if len(e.Holds) > 0 {
				held[m.String()] = strings.Join(holders(e), " and ")
			}
		}
	}
	return held, nil
}

func holders(e macpool.Entry) (names []string) {
	for _, h := range e.Holds {
		names = append(names, fmt.Sprintf("%s %s/%s %s", h.Kind, h.Namespace, h.Name, h.Interface))
	}
	return names
}

// copyOf returns a VM under another name, as YAML, with the addresses that mac says.
func (t *teller) copyOf(ctx context.Context, vm, name string, mac func(*virtv1.Interface) string) (string, error) {
	original, err := t.vm(ctx, vm)
	if err != nil {
		return "", err
	}
	duplicate := virtv1.VirtualMachine{TypeMeta: original.TypeMeta, Spec: original.Spec}
	duplicate.Name, duplicate.Namespace = name, original.Namespace
	interfaces := slices.Clone(original.Spec.Template.Spec.Domain.Devices.Interfaces)
	for i := range interfaces {
		interfaces[i].MacAddress = mac(&interfaces[i])
	}
	duplicate.Spec.Template = original.Spec.Template.DeepCopy()
	duplicate.Spec.Template.Spec.Domain.Devices.Interfaces = interfaces
	text, err := yaml.Marshal(duplicate)
	if err != nil {
		return "", fmt.Errorf("write VM %s: %w", name, err)
	}
	return string(text), nil
}

func (t *teller) vm(ctx context.Context, name string) (*virtv1.VirtualMachine, error) {
	out, err := t.Kubectl(ctx, "get", "vm", name, "-o", "yaml")
	if err != nil {
		return nil, err
	}
	var vm virtv1.VirtualMachine
	if err := yaml.Unmarshal([]byte(out), &vm); err != nil {
		return nil, fmt.Errorf("read VM %s: %w", name, err)
	}
	return &vm, nil
}

func (t *teller) macOf(ctx context.Context, vm, nic string) (string, error) {
	v, err := t.vm(ctx, vm)
	if err != nil {
		return "", err
	}
	for _, i := range v.Spec.Template.Spec.Domain.Devices.Interfaces {
		if i.Name == nic {
			return i.MacAddress, nil
		}
	}
	return "", fmt.Errorf("VM %s has no interface %s", vm, nic)
}
