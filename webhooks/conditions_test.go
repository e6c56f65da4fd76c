// SPDX-License-Identifier: Apache-2.0

package webhooks

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/cel/environment"
	"sigs.k8s.io/yaml"

	"github.com/bridgehead-dev/bridgehead/macpool"
)

// kubevirtAccount is that of KubeVirt's controller, in the namespace where it is installed.
const kubevirtAccount = "system:serviceaccount:some-kubevirt:kubevirt-controller"

// conditionsOf returns the match conditions in the manifests of the webhook at a path, as the API server reads them,
// but for the one that keeps templates from being called.
func conditionsOf(t *testing.T, path string) map[string]cel.ConditionEvaluator {
	t.Helper()
	compiler := cel.NewConditionCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	found := map[string]cel.ConditionEvaluator{}
	for _, w := range manifestWebhooks(t)[path] {
		for _, c := range w.MatchConditions {
			if c.Name == "never" {
				continue
			}
			condition := matchconditions.MatchCondition(c)
			found[c.Name] = compiler.CompileCondition(
				[]cel.ExpressionAccessor{
					&condition,
				},
				cel.OptionalVariableDeclarations{HasAuthorizer: true},
				environment.StoredExpressions,
			)
			assert.Empty(t, found[c.Name].CompilationErrors(), "%s: %s", path, c.Expression)
		}
	}
	return found
}

func TestTheAPIServerUnderstandsEveryCondition(t *testing.T) {
	for path := range manifestWebhooks(t) {
		conditionsOf(t, path)
	}
}

func TestWhichPodsAreLookedAt(t *testing.T) {
	const networks = "{name: p, annotations: {k8s.v1.cni.cncf.io/networks: l2}}"
	const mirror = "{name: p, annotations: {k8s.v1.cni.cncf.io/networks: l2, kubernetes.io/config.mirror: x}}"
	for name, c := range map[string]struct {
		pod          string
		looks, again bool // before and after what other webhooks change
	}{
		"one that names networks and asks for nothing": {"{metadata: " + networks + ", spec: {containers: [{name: a}]}}", true, true},
		"one that asks for what every pod asks for": {"{metadata: " + networks +
			", spec: {containers: [{name: a, resources: {limits: {cpu: 1}, requests: {memory: 1Mi}}}]}}", true, true},
		"one that asks for a bridge": {"{metadata: " + networks +
			", spec: {containers: [{name: a}, {name: b, resources: {limits: {bridge.network.kubevirt.io/br0: 1}}}]}}", true, false},
		"one that asks for some device": {"{metadata: " + networks +
			", spec: {containers: [{name: a, resources: {limits: {nvidia.com/gpu: 1}}}]}}", true, true},
		"one that asks for fewer bridges than it names networks": {"{metadata: {name: p, annotations: {k8s.v1.cni.cncf.io/networks: 'l2, far/l3@net5'}}" +
			", spec: {containers: [{name: a, resources: {limits: {bridge.network.kubevirt.io/br0: 1}}}]}}", true, true},
		"one that asks for fewer than it names in JSON": {`{metadata: {name: p, annotations: {k8s.v1.cni.cncf.io/networks: '[{"name":"l2"},{"Name" : "l3"}]'}}` +
			", spec: {containers: [{name: a, resources: {limits: {bridge.network.kubevirt.io/br0: 1}}}]}}", true, true},
		"one that asks for fewer as it has another default network": {"{metadata: {name: p, annotations: {k8s.v1.cni.cncf.io/networks: l2, v1.multus-cni.io/default-network: l3}}" +
			", spec: {containers: [{name: a, resources: {limits: {bridge.network.kubevirt.io/br0: 1}}}]}}", true, true},
		"one that asks for as many": {"{metadata: {name: p, annotations: {k8s.v1.cni.cncf.io/networks: 'l2,l2,l3'}}" +
			", spec: {containers: [{name: a, resources: {limits: {bridge.network.kubevirt.io/br0: 2}}}, {name: b, resources: {limits: {cpu: 1, bridge.network.kubevirt.io/br1: 1}}}]}}", true, false},
		"one that asks for as many as it names in JSON": {`{metadata: {name: p, annotations: {k8s.v1.cni.cncf.io/networks: '[ {"name": "l2", "namespace": "far", "mac": "02:00:00:00:00:01"}, {"name": "l3", "interface": "net5"} ]'}}` +
			", spec: {containers: [{name: a, resources: {limits: {bridge.network.kubevirt.io/br0: 1, bridge.network.kubevirt.io/br1: 1}}}]}}", true, false},
		"one that asks for many more": {"{metadata: " + networks +
			", spec: {containers: [{name: a, resources: {limits: {bridge.network.kubevirt.io/br0: 2k}}}]}}", true, false},
		"one with an empty default network":    {"{metadata: {name: p, annotations: {v1.multus-cni.io/default-network: ''}}, spec: {containers: [{name: a}]}}", true, true},
		"one that names no networks":           {"{metadata: {name: p}, spec: {containers: [{name: a}]}}", false, false},
		"one on the network of its node":       {"{metadata: " + networks + ", spec: {hostNetwork: true, containers: [{name: a}]}}", true, false},
		"one with another network for default": {"{metadata: {name: p, annotations: {v1.multus-cni.io/default-network: l2}}, spec: {containers: [{name: a}]}}", true, true},
		"the mirror of one that a kubelet has": {"{metadata: " + mirror + ", spec: {containers: [{name: a}]}}", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := &corev1.Pod{}
			require.NoError(t, yaml.UnmarshalStrict([]byte(c.pod), p))
			pods, kind := schema.GroupVersionResource{Version: "v1", Resource: "pods"}, corev1.SchemeGroupVersion.WithKind("Pod")
			for path, want := range map[string]bool{
				"/mutate-pods": c.looks, "/mutate-pods/macs": c.looks, "/validate-pods": c.again, "/validate-pods/macs": c.again,
			} {
				assert.Equal(t, want, looksAt(t, path, "alice", p, nil, kind, pods), path)
			}
		})
	}
}

func TestWhichChangesOfPodsAreLookedAt(t *testing.T) {
	const networks, standard = "k8s.v1.cni.cncf.io/networks: ", "v1.multus-cni.io/default-network: "
	annotated := func(annotations string) string { return "metadata: {name: p, annotations: {" + annotations + "}}" }
	const spec = "spec: {containers: [{name: a, resources: {limits: {bridge.network.kubevirt.io/br0: 1}}}]}"
	for name, c := range map[string]struct {
		old, pod, spec string
		looks          bool
	}{
		"networks":                         {annotated(networks + "l2"), annotated(networks + "l3"), spec, true},
		"the first networks":               {"metadata: {name: p}", annotated(networks + "l2"), spec, true},
		"the default network":              {annotated(networks + "l2"), annotated(networks + "l2, " + standard + "l2"), spec, true},
		"how it was attached":              {annotated(networks + "l2"), annotated(networks + "l2, k8s.v1.cni.cncf.io/network-status: x"), spec, false},
		"labels":                           {"metadata: {name: p}", "metadata: {name: p, labels: {a: b}}", spec, false},
		"networks, on the one of its node": {annotated(networks + "l2"), annotated(networks + "l3"), "spec: {hostNetwork: true, containers: []}", false},
	} {
		t.Run(name, func(t *testing.T) {
			p, old := &corev1.Pod{}, &corev1.Pod{}
			require.NoError(t, yaml.UnmarshalStrict([]byte("{"+c.pod+", "+c.spec+"}"), p))
			require.NoError(t, yaml.UnmarshalStrict([]byte("{"+c.old+", "+c.spec+"}"), old))
			pods, kind := schema.GroupVersionResource{Version: "v1", Resource: "pods"}, corev1.SchemeGroupVersion.WithKind("Pod")
			assert.Equal(t, c.looks, looksAt(t, "/validate-pods/macs", "alice", p, old, kind, pods))
		})
	}
}

func TestWhichInstancesAreLookedAt(t *testing.T) {
	const nics = "spec: {domain: {devices: {interfaces: [{name: a}, {name: b, macAddress: '02:00:00:00:00:01'}]}}}"
	const kubevirt = kubevirtAccount
	const ofVM = "{metadata: {name: i, ownerReferences: [{kind: VirtualMachine, controller: true}]}, " + nics + "}"
	for name, c := range map[string]struct {
		instance, user string
		looks          bool
	}{
		"one without a VM":     {"{metadata: {name: i}, " + nics + "}", kubevirt, true},
		"one of a replica set": {"{metadata: {name: i, ownerReferences: [{kind: VirtualMachineInstanceReplicaSet, controller: true}]}, " + nics + "}", kubevirt, true},
		"one of a VM":          {ofVM, kubevirt, false},
		"one that an account of a tenant, called as KubeVirt's, says is": {
			ofVM, "system:serviceaccount:tenant:kubevirt-controller", true,
		},
		"one that a user says is of a VM":        {ofVM, "alice", true},
		"one that another account says is":       {ofVM, "system:serviceaccount:a:not-kubevirt-controller", true},
		"one that an account named longer says":  {ofVM, "system:serviceaccount:a:kubevirt-controller-2", true},
		"one that a user named so says is":       {ofVM, "oidc:" + kubevirt, true},
		"one that goes with a VM":                {"{metadata: {name: i, ownerReferences: [{kind: VirtualMachine}]}, " + nics + "}", kubevirt, true},
		"one of a user that brings no address":   {"{metadata: {name: i}, spec: {domain: {devices: {interfaces: [{name: a}, {name: b, macAddress: ''}]}}}}", "alice", false},
		"one of a user that has no interface":    {"{metadata: {name: i}, spec: {domain: {devices: {}}}}", "alice", false},
		"one of a user that says nothing at all": {"{metadata: {name: i}}", "alice", false},
		"one that names networks for its pod":    {"{metadata: {name: i, annotations: {k8s.v1.cni.cncf.io/networks: l2}}}", "alice", true},
		"one that names a default network for it": {
			"{metadata: {name: i, annotations: {v1.multus-cni.io/default-network: l2}}, spec: {}}", "alice", true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			i := &unstructured.Unstructured{}
			require.NoError(t, yaml.Unmarshal([]byte(c.instance), &i.Object))
			kind := schema.GroupVersionKind{Group: "kubevirt.io", Version: "v1", Kind: macpool.KindVMI}
			instances := kind.GroupVersion().WithResource("virtualmachineinstances")
			assert.Equal(t, c.looks, looksAt(t, "/validate-virtualmachineinstances", c.user, i, nil, kind, instances))
		})
	}
}

func TestWhichChangesOfInstancesAreLookedAt(t *testing.T) {
	const status = "status: {phase: Running}, spec: {domain: {devices: {interfaces: [{name: a, macAddress: '02:00:00:00:00:01'}]}}}"
	const owned = "name: i, ownerReferences: [{kind: VirtualMachine, controller: true}]"
	annotated := func(key string) string {
		return "{metadata: {" + owned + ", annotations: {" + key + ": l2}}, " + status + "}"
	}
	for name, c := range map[string]struct {
		old, instance, user string
		looks               bool
	}{
		"what it reports":                       {"{metadata: {" + owned + "}}", "{metadata: {" + owned + "}, " + status + "}", "alice", false},
		"other annotations":                     {annotated("a"), annotated("b"), "alice", false},
		"networks of its pod":                   {annotated("a"), annotated("k8s.v1.cni.cncf.io/networks"), "alice", true},
		"the default network of its pod":        {annotated("a"), annotated("v1.multus-cni.io/default-network"), "alice", true},
		"networks of its pod that stay":         {annotated("k8s.v1.cni.cncf.io/networks"), annotated("k8s.v1.cni.cncf.io/networks"), "alice", false},
		"networks of its pod, by KubeVirt":      {annotated("a"), annotated("k8s.v1.cni.cncf.io/networks"), kubevirtAccount, false},
		"the first annotations, with addresses": {"{metadata: {name: i}}", annotated("k8s.v1.cni.cncf.io/networks"), "alice", true},
	} {
		t.Run(name, func(t *testing.T) {
			i, old := &unstructured.Unstructured{}, &unstructured.Unstructured{}
			require.NoError(t, yaml.Unmarshal([]byte(c.instance), &i.Object))
			require.NoError(t, yaml.Unmarshal([]byte(c.old), &old.Object))
			kind := schema.GroupVersionKind{Group: "kubevirt.io", Version: "v1", Kind: macpool.KindVMI}
			instances := kind.GroupVersion().WithResource("virtualmachineinstances")
			assert.Equal(t, c.looks, looksAt(t, "/validate-virtualmachineinstances", c.user, i, old, kind, instances))
		})
	}
}

func TestWhichUpdatesOfVMsAreLookedAt(t *testing.T) {
	const nics = "spec: {domain: {devices: {interfaces: [{name: a}]}}, networks: [{name: a, pod: {}}]}"
	of := func(template string) string { return "{metadata: {name: vm}, spec: {template: {" + template + "}}}" }
	annotated := func(annotations string) string { return of("metadata: {annotations: {" + annotations + "}}, " + nics) }
	const networks, standard = "k8s.v1.cni.cncf.io/networks: ", "v1.multus-cni.io/default-network: "
	for name, c := range map[string]struct {
		old, vm string
		looks   bool
	}{
		"nothing of the template":         {of(nics), "{metadata: {name: vm, labels: {a: b}}, spec: {running: true, template: {" + nics + "}}}", false},
		"other annotations":               {annotated("a: b"), annotated("a: c"), false},
		"networks of its pod that stay":   {annotated(networks + "l2, " + standard + "l3"), annotated(networks + "l2, " + standard + "l3, a: b"), false},
		"networks of its pod":             {annotated(networks + "l2"), annotated(networks + "l3"), true},
		"the first networks of its pod":   {of(nics), annotated(networks + "l2"), true},
		"no networks of its pod any more": {annotated(networks + "l2"), annotated(""), true},
		"the default network of its pod":  {annotated(standard + "l2"), annotated(standard + "l3"), true},
		"an interface":                    {of(nics), of("spec: {domain: {devices: {interfaces: [{name: b}]}}, networks: [{name: a, pod: {}}]}"), true},
		"a network":                       {of(nics), of("spec: {domain: {devices: {interfaces: [{name: a}]}}, networks: [{name: a, multus: {}}]}"), true},
		"metadata that say nothing":       {of(nics), of("metadata: null, " + nics), false},
		"annotations that say nothing":    {of("metadata: {}, " + nics), of("metadata: {annotations: null}, " + nics), false},
		"a template that has nothing":     {of(""), "{metadata: {name: vm}, spec: {template: null}}", false},
		"nothing at all":                  {"{metadata: {name: vm}}", "{metadata: {name: vm}, spec: null}", false},
	} {
		t.Run(name, func(t *testing.T) {
			vm, old := &unstructured.Unstructured{}, &unstructured.Unstructured{}
			require.NoError(t, yaml.Unmarshal([]byte(c.vm), &vm.Object))
			require.NoError(t, yaml.Unmarshal([]byte(c.old), &old.Object))
			kind := schema.GroupVersionKind{Group: "kubevirt.io", Version: "v1", Kind: macpool.KindVM}
			vms := kind.GroupVersion().WithResource("virtualmachines")
			for _, path := range []string{"/mutate-virtualmachines", "/validate-virtualmachines"} {
				assert.Equal(t, c.looks, looksAt(t, path, "alice", vm, old, kind, vms), path)
			}
		})
	}
}

// authorize lets KubeVirt's controller do with instances in all namespaces what everybody may in his own.
func authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	instances := a.GetAPIGroup() == "kubevirt.io" && a.GetResource() == "virtualmachineinstances"
	everywhere := a.GetUser().GetName() == kubevirtAccount
	if instances && a.GetVerb() == "create" && (everywhere || a.GetNamespace() != "") {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// looksAt reports whether the API server calls the webhook at a path as a user creates an object, or updates an old
// one.
func looksAt(
	t *testing.T, path, name string, o, old runtime.Object, kind schema.GroupVersionKind,
	resource schema.GroupVersionResource,
) bool {
	t.Helper()
	by, operation := &user.DefaultInfo{Name: name}, admission.Create
	if old != nil {
		operation = admission.Update
	}
	attributes := admission.NewAttributesRecord(o, old, kind, home, "o", resource, "", operation, nil, false, by)
	versioned := &admission.VersionedAttributes{
		Attributes: attributes, VersionedObject: admission.NewLazyObject(o), VersionedKind: kind,
		VersionedOldObject: admission.NewLazyObject(old),
	}
	looks := true
	for condition, evaluator := range conditionsOf(t, path) {
		results, _, err := evaluator.ForInput(
			t.Context(),
			versioned,
			cel.CreateAdmissionRequest(attributes, metav1.GroupVersionResource(resource), metav1.GroupVersionKind(kind)),
			cel.OptionalVariableBindings{Authorizer: authorizer.AuthorizerFunc(authorize)},
			nil,
			1<<20,
		)
		require.NoError(t, err)
		require.NoError(t, results[0].Error, condition)
		looks = looks && results[0].EvalResult.Value() == true
	}
	return looks
}
