// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	virtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/bridgehead-dev/bridgehead/e2e/cluster"
	"github.com/bridgehead-dev/bridgehead/e2e/node"
)

const (
	network     = "br0-100-l2" // the network of the story's VMs, VLAN 100 of the bridge
	otherVLAN   = "br0-200-l2"
	networksKey = "k8s.v1.cni.cncf.io/networks"
	vlan        = 100
)

func (t *teller) refuseNAD(ctx context.Context) error {
	out, err := t.read(ctx, "apply", "-f", t.file("20-nad-with-the-missing-comma.yaml"))
	if err == nil {
		return errors.New("it was admitted")
	}
	return contains(out, []string{"spec.config", "line 2", "comma"})
}

func (t *teller) createNAD(ctx context.Context) error {
	return t.show(ctx, "apply", "-f", t.file("21-nad-br0-100-l2.yaml"))
}

// podPrefix starts the names of pods that are in the place of those that KubeVirt would make.
const podPrefix = "in-place-of-virt-launcher-"

// attachPods makes the pods of the VMs. The scheduler binds them, kubelet starts them and Multus attaches them.
func (t *teller) attachPods(ctx context.Context) error {
	fmt.Fprintf(t.out, "   KubeVirt does not run here. Pods named %s... have the labels, the node selector and the\n"+
		"   networks of its virt-launchers; instead of a guest that cloud-init gives an address, busybox sets it and sleeps.\n", podPrefix)
	for _, name := range []string{"vma", "vmb"} {
		vm, err := t.vm(ctx, name)
		if err != nil {
			return err
		}
		pod, err := launcherOf(vm)
		if err != nil {
			return err
		}
		if err := t.createPod(ctx, pod); err != nil {
			return err
		}
	}
	if err := t.show(ctx, "get", "pods", "-o", "custom-columns=NAME:.metadata.name,NODE:.spec.nodeName,IP:.status.podIP,"+
		"REQUESTS:.spec.containers[0].resources.requests"); err != nil {
		return err
	}
	for _, name := range []string{"vma", "vmb"} {
		mac, err := t.macOf(ctx, name, "br0-100")
		if err != nil {
			return err
		}
		if err := t.expect(
			ctx, []string{mac}, "exec", podPrefix+name, "--", "ip", "addr", "show", podInterface("br0-100"),
		); err != nil {
			return err
		}
	}
	return nil
}

// launcherOf returns the pod that KubeVirt would make for a VM, as far as secondary networks go.
func launcherOf(vm *virtv1.VirtualMachine) (*corev1.Pod, error) {
	spec := vm.Spec.Template.Spec
	var elements []map[string]string
	for _, n := range spec.Networks {
		if n.Multus == nil {
			continue
		}
		element := map[string]string{
			"name":      n.Multus.NetworkName,
			"namespace": vm.Namespace,
			"interface": podInterface(n.Name),
		}
		for _, i := range spec.Domain.Devices.Interfaces {
			if i.Name == n.Name {
				element["mac"] = i.MacAddress
			}
		}
		elements = append(elements, element)
	}
	text, err := json.Marshal(elements)
	if err != nil {
		return nil, fmt.Errorf("write the networks of %s: %w", vm.Name, err)
	}
	address, err := cloudInitAddress(vm)
	if err != nil {
		return nil, err
	}
	pod := newPod(podPrefix+vm.Name, string(text), podInterface("br0-100"), address)
	pod.Labels = map[string]string{virtv1.AppLabel: "virt-launcher"}
	pod.Spec.NodeSelector = spec.NodeSelector
	return pod, nil
}

// podInterface returns the name KubeVirt gives the interface of a network in the pod.
func podInterface(network string) string {
	sum := sha256.Sum256([]byte(network))
	return "pod" + hex.EncodeToString(sum[:])[:11]
}

// newPod returns a pod on networks that gives an interface an address, if one is named, and sleeps.
func newPod(name, networks, iface, address string) *corev1.Pod {
	command := "exec sleep infinity"
	if address != "" {
		command = fmt.Sprintf("ip addr add %s dev %s && %s", address, iface, command)
	}
	grace := int64(0)
	return &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace:   "default",
			Name:        name,
			Annotations: map[string]string{networksKey: networks},
		},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: &grace,
			Containers: []corev1.Container{{
				Name: "compute", Image: cluster.Workload, Command: []string{"/bin/sh", "-c", command},
				// For the address.
				SecurityContext: &corev1.SecurityContext{Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"NET_ADMIN"}}},
			}},
		},
	}
}

// createPod creates a pod and waits until it runs.
func (t *teller) createPod(ctx context.Context, pod *corev1.Pod) error {
	if err := t.createOnly(ctx, pod); err != nil {
		return err
	}
	_, err := t.Kubectl(ctx, "wait", "pod", pod.Name, "--for=condition=Ready", "--timeout", maxWait.String())
	if err != nil {
		return errors.Join(err, t.show(ctx, "describe", "pod", pod.Name))
	}
	return nil
}

func (t *teller) createOnly(ctx context.Context, pod *corev1.Pod) error {
	text, err := yaml.Marshal(pod)
	if err != nil {
		return fmt.Errorf("write pod %s: %w", pod.Name, err)
	}
	fmt.Fprintf(t.out, "$ kubectl create -f %s.yaml\n", pod.Name)
	out, err := t.KubectlInput(ctx, string(text), "create", "-f", "-")
	if err != nil {
		return err
	}
	fmt.Fprint(t.out, "   "+out)
	return nil
}

// cloudInitAddress returns the address that cloud-init would give the guest's second NIC.
func cloudInitAddress(vm *virtv1.VirtualMachine) (string, error) {
	for _, volume := range vm.Spec.Template.Spec.Volumes {
		if volume.CloudInitNoCloud == nil {
			continue
		}
		var data struct {
			Ethernets map[string]struct {
				Addresses []string `json:"addresses"`
			} `json:"ethernets"`
		}
		if err := yaml.Unmarshal([]byte(volume.CloudInitNoCloud.NetworkData), &data); err != nil {
			return "", fmt.Errorf("read networkData of %s: %w", vm.Name, err)
		}
		for _, nic := range data.Ethernets {
			for _, address := range nic.Addresses {
				return address, nil
			}
		}
	}
	return "", fmt.Errorf("the cloud-init data of %s have no address", vm.Name)
}

func (t *teller) ping(ctx context.Context) error {
	out, err := t.read(ctx, "exec", podPrefix+"vma", "--", "ping", "10.200.0.2", "-c", "3")
	if err != nil {
		return err
	}
	if err := contains(out, []string{"3 packets transmitted, 3 packets received, 0% packet loss"}); err != nil {
		return err
	}
	mac, err := t.macOf(ctx, "vma", "br0-100")
	if err != nil {
		return err
	}
	var tagged, others int
	for _, f := range t.Segment.Frames(func(f node.Frame) bool { return f.Source().String() == mac }) {
		if id, ok := f.VLAN(); ok && id == vlan {
			tagged++
		} else {
			others++
		}
	}
	fmt.Fprintf(t.out, "   frames of %s between the nodes: %d tagged with VLAN %d, %d others\n", mac, tagged, vlan, others)
	if tagged < 3 || others > 0 {
		return errors.New("the frames are not on the VLAN")
	}
	return nil
}

func (t *teller) isolate(ctx context.Context) error {
	config, err := t.Kubectl(ctx, "get", "net-attach-def", network, "-o=jsonpath={.spec.config}")
	if err != nil {
		return err
	}
	nad, err := json.Marshal(map[string]any{
		"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
		"metadata": map[string]string{"namespace": "default", "name": otherVLAN},
		"spec":     map[string]string{"config": strings.Replace(config, fmt.Sprintf(`"vlan": %d`, vlan), `"vlan": 200`, 1)},
	})
	if err != nil {
		return fmt.Errorf("write network %s: %w", otherVLAN, err)
	}
	fmt.Fprintf(t.out, "$ kubectl create -f %s.yaml   # as %s, without annotation, on VLAN 200\n", otherVLAN, network)
	if _, err := t.KubectlInput(ctx, string(nad), "create", "-f", "-"); err != nil {
		return err
	}
	pod := newPod("stranger", otherVLAN, "net1", "10.200.0.3/24")
	pod.Spec.NodeSelector = map[string]string{corev1.LabelHostname: "node02"}
	if err := t.createPod(ctx, pod); err != nil {
		return err
	}
	for _, address := range []string{"10.200.0.1", "10.200.0.2"} {
		out, err := t.read(ctx, "exec", "stranger", "--", "ping", address, "-c", "2", "-w", "3")
		if err == nil {
			return fmt.Errorf("it reaches %s", address)
		}
		if err := contains(out, []string{"100% packet loss"}); err != nil {
			return err
		}
	}
	return nil
}

// stayAway gives one node a bridge that the other has not: a pod that must run on the other is not bound to it, where
// it could not be attached.
func (t *teller) stayAway(ctx context.Context) error {
	const policy = `{"apiVersion": "nmstate.io/v1", "kind": "NodeNetworkConfigurationPolicy", "metadata": {"name": "br9"},
		"spec": {"nodeSelector": {"kubernetes.io/hostname": "node01"},
			"desiredState": {"interfaces": [{"name": "br9", "type": "linux-bridge", "state": "up"}]}}}`
	const nad = `{"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition", "metadata": {"name": "br9"},
		"spec": {"config": "{\"cniVersion\": \"0.3.1\", \"name\": \"br9\", \"type\": \"bridge\", \"bridge\": \"br9\"}"}}`
	const resource = "bridge.network.kubevirt.io/br9"
	fmt.Fprintln(t.out, "$ kubectl create -f br9.yaml   # a policy for node01 alone, and a network of its bridge")
	if _, err := t.KubectlInput(ctx, policy, "create", "-f", "-"); err != nil {
		return err
	}
	capacity := "-o=jsonpath={.status.allocatable." + strings.ReplaceAll(resource, ".", `\.`) + "}"
	if err := t.eventually(ctx, "1k", "get", "node", "node01", capacity); err != nil {
		return err
	}
	if _, err := t.KubectlInput(ctx, nad, "create", "-f", "-"); err != nil {
		return err
	}
	pod := newPod("homeless", "br9", "", "")
	pod.Spec.NodeSelector = map[string]string{corev1.LabelHostname: "node02"}
	if err := t.createOnly(ctx, pod); err != nil {
		return err
	}
	condition := `jsonpath={.status.conditions[?(@.type=="PodScheduled")].message}`
	if _, err := t.Kubectl(
		ctx, "wait", "pod", pod.Name, "--for=condition=PodScheduled=false", "--timeout", maxWait.String(),
	); err != nil {
		return err
	}
	return t.expect(ctx, []string{"Insufficient " + resource}, "get", "pod", pod.Name, "-o="+condition)
}
