// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgehead-dev/bridgehead/e2e/suite"
	"github.com/bridgehead-dev/bridgehead/nad"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// What clients do.
const (
	vmCreated  = "VMs created"
	vmUpdated  = "VMs given one more NIC"
	podCreated = "pods created"
	deleted    = "objects deleted"
	// What is to fail does not count as a failure.
	rejected = "objects that another webhook rejected after us"
	taken    = "VMs refused as they asked for an address that was taken or in a window"
)

// kept is how many objects a client has at a time before it deletes the oldest.
const kept = 20

// backoff is how long a client that was refused waits before it goes on.
const backoff = 50 * time.Millisecond

// serveClient creates, updates and deletes objects of its own, until ctx ends. What fails is not tried again, as an
// object of the next name is as good.
func (f *field) serveClient(ctx context.Context, n int) {
	namespace := []string{"first", "second"}[n%2]
	var mine []client.Object
	for i := 0; ctx.Err() == nil; i++ {
		o, what := newObject(namespace, fmt.Sprintf("c%d-%d", n, i))
		if rand.N(4) == 0 {
			o.SetGenerateName(o.GetName() + "-")
			o.SetName("")
		}
		switch rand.N(20) {
		case 0:
			o.SetAnnotations(with(o.GetAnnotations(), suite.RejectAnnotation, "true"))
			f.refuse(ctx, rejected, o)
			continue
		case 1:
			if vm, ok := o.(*unstructured.Unstructured); ok {
				ask(vm)
				if f.refuse(ctx, taken, vm) {
					mine = append(mine, vm)
				}
				continue
			}
		}
		if !f.try(ctx, what, func(ctx context.Context) error { return f.suite.Client.Create(ctx, o) }) {
			continue
		}
		mine = append(mine, o)
		if vm, ok := o.(*unstructured.Unstructured); ok && rand.N(4) == 0 {
			f.try(ctx, vmUpdated, func(ctx context.Context) error {
				addNIC(vm)
				return f.suite.Client.Update(ctx, vm)
			})
		}
		if len(mine) > kept {
			gone := mine[0]
			mine = mine[1:]
			f.try(ctx, deleted, func(ctx context.Context) error {
				return client.IgnoreNotFound(f.suite.Client.Delete(ctx, gone, client.GracePeriodSeconds(0)))
			})
		}
	}
}

// try does something that is not cut short by the end of the chaos, and reports whether it succeeded.
func (f *field) try(ctx context.Context, what string, do func(context.Context) error) bool {
	request, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	err := do(request)
	f.note(what, err)
	if err == nil {
		return true
	}
	suite.Pause(ctx, backoff)
	return false
}

// askTimeout is how long a client that asks for an address of its choice tries.
const askTimeout = 5 * time.Second

// refuse creates an object that is likely to be refused, and reports whether it was not.
func (f *field) refuse(ctx context.Context, what string, o client.Object) bool {
	request, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	err := f.suite.Client.Create(request, o)
	if err != nil {
		f.note(what, nil)
	}
	return err == nil
}

// ask has the first interface of a VM ask for an address that others ask for too, or that may be in a window.
func ask(vm *unstructured.Unstructured) {
	m := macpool.MAC{0x52, 0x54, 0, 0, 0, byte(rand.N(64))}
	if rand.N(2) == 0 {
		m = macpool.MAC{0x02, 0xc0, 0xa5, 0, byte(rand.N(4)), byte(rand.N(256))}
	}
	interfaces, _, _ := unstructured.NestedSlice(vm.Object, interfacesPath()...)
	interfaces[0].(map[string]any)["macAddress"] = m.String()
	_ = unstructured.SetNestedSlice(vm.Object, interfaces, interfacesPath()...)
}

// with returns a map with one entry more.
func with(all map[string]string, key, value string) map[string]string {
	more := map[string]string{key: value}
	maps.Copy(more, all)
	return more
}

// numbers are what differs between failures of one kind: addresses, ports, names.
var numbers = regexp.MustCompile(`"[^"]*"|\b(c\d+-\d+|[0-9a-f]{2}(:[0-9a-f]{2}){5}|[\d.]*\d)\b`)

// reasonOf returns what a failure has in common with others of its kind.
func reasonOf(err error) string {
	text := err.Error()
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		text = fmt.Sprintf("%d %s", status.Status().Code, text)
		code := fmt.Sprint(status.Status().Code)
		return code + " " + shorten(numbers.ReplaceAllString(text[len(code)+1:], "…"))
	}
	return shorten(numbers.ReplaceAllString(text, "…"))
}

func shorten(text string) string {
	const most = 160
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}

// newObject returns a VM with two NICs that want addresses, or a pod with one.
func newObject(namespace, name string) (o client.Object, what string) {
	if rand.N(3) == 0 {
		return newPod(namespace, name), podCreated
	}
	return newVM(namespace, name), vmCreated
}

func newVM(namespace, name string) *unstructured.Unstructured {
	vm := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine",
		"metadata": map[string]any{"namespace": namespace, "name": name},
		"spec": map[string]any{"runStrategy": "Halted", "template": map[string]any{"spec": map[string]any{
			"domain":   map[string]any{"devices": map[string]any{"interfaces": []any{}}},
			"networks": []any{},
		}}},
	}}
	addNIC(vm)
	addNIC(vm)
	return vm
}

// Paths in a VM.
func interfacesPath() []string {
	return []string{"spec", "template", "spec", "domain", "devices", "interfaces"}
}
func networksPath() []string { return []string{"spec", "template", "spec", "networks"} }

// addNIC gives a VM one more interface, on a network of its own.
func addNIC(vm *unstructured.Unstructured) {
	interfaces, _, _ := unstructured.NestedSlice(vm.Object, interfacesPath()...)
	networks, _, _ := unstructured.NestedSlice(vm.Object, networksPath()...)
	nic := fmt.Sprint("nic", len(interfaces))
	interfaces = append(interfaces, map[string]any{"name": nic, "bridge": map[string]any{}})
	networks = append(networks, map[string]any{"name": nic, "multus": map[string]any{"networkName": "l2"}})
	_ = unstructured.SetNestedSlice(vm.Object, interfaces, interfacesPath()...)
	_ = unstructured.SetNestedSlice(vm.Object, networks, networksPath()...)
}

func newPod(namespace, name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name, Annotations: map[string]string{nad.NetworksAnnotation: "l2"},
		},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: ptr.To(false),
			Containers:                   []corev1.Container{{Name: "pause", Image: "pause"}},
		},
	}
}
