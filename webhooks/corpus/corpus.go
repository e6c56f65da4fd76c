// SPDX-License-Identifier: Apache-2.0

// Package corpus reads the reviews of webhooks/testdata: one file a case, with the review, the state of the ledger
// before it, and the answer that is wanted. The same cases are put to the webhook in memory, by a fuzzer, and through a
// real API server.
package corpus

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/bridgehead-dev/bridgehead/api/bridgehead/v1alpha1"
)

// Any in Want.Patch stands for whatever address the pool lends.
const Any = "any"

// Stranger is a user who may not change the VMs of others.
const Stranger = "stranger"

// A Case is one review.
type Case struct {
	// Why says what is at stake, where the name of the file does not.
	Why string `json:"why,omitempty"`
	// Raw, if not empty, says why the API server cannot be made to send this review. It is then posted to a replica.
	Raw string `json:"raw,omitempty"`
	// Unit, if not empty, says why a running replica cannot be brought to this.
	Unit string `json:"unit,omitempty"`

	Operation admissionv1.Operation `json:"operation"`
	// User asks for it: Stranger, or empty for one who may do everything.
	User   string `json:"user,omitempty"`
	DryRun bool   `json:"dryRun,omitempty"`
	// Pool serves the namespace; nil is one with room enough.
	Pool *Pool `json:"pool,omitempty"`
	// Ledger has the addresses that are held before.
	Ledger []Held `json:"ledger,omitempty"`
	// StoreFails makes every read and write of the ledger fail.
	StoreFails bool `json:"storeFails,omitempty"`
	// Fill adds so many interfaces on Multus networks to the object.
	Fill      int             `json:"fill,omitempty"`
	Object    json.RawMessage `json:"object,omitempty"`
	OldObject json.RawMessage `json:"oldObject,omitempty"`
	Want      Want            `json:"want"`

	// Home is the namespace of the object, Other is another one.
	Home  string `json:"-"`
	Other string `json:"-"`
}

// A Pool is what the case has in place of the usual pool.
type Pool struct {
	// None says that no pool serves the namespace.
	None        bool                 `json:"none,omitempty"`
	Ranges      []v1alpha1.MACRange  `json:"ranges,omitempty"`
	Enforcement v1alpha1.Enforcement `json:"enforcement,omitempty"`
}

// Held is an address that a VM holds before the review.
type Held struct {
	MAC string `json:"mac"`
	// Holder is <namespace>/<name>; a name that ends in * was created by generateName.
	Holder    string `json:"holder"`
	Interface string `json:"interface"`
	// Gone is JustNow or LongAgo if the holder does not exist any more.
	Gone string `json:"gone,omitempty"`
}

// Values of Held.Gone.
const (
	JustNow = "justNow"
	LongAgo = "longAgo"
)

// A Want is the answer to a review.
type Want struct {
	Allowed bool `json:"allowed"`
	// Code is that of a refusal.
	Code int32 `json:"code,omitempty"`
	// Message has fragments of the refusal, Fields the fields that are to blame, in order.
	Message []string `json:"message,omitempty"`
	Fields  []string `json:"fields,omitempty"`
	// Patch has the value of every field that is patched, by JSON pointer.
	Patch map[string]string `json:"patch,omitempty"`
	// Warnings has a fragment of every warning, Notes of every note in the log.
	Warnings []string `json:"warnings,omitempty"`
	Notes    []string `json:"notes,omitempty"`
	// Holds has the holders afterwards of addresses whose holders are others than before. Addresses of the patch are
	// held by the object and not listed.
	Holds map[string][]string `json:"holds,omitempty"`
	// Server is what the API server says in our place.
	Server *Server `json:"server,omitempty"`
}

// Server is an answer of the API server that is not ours.
type Server struct {
	Why     string   `json:"why"`
	Allowed bool     `json:"allowed,omitempty"`
	Code    int32    `json:"code,omitempty"`
	Message []string `json:"message,omitempty"`
}

// Dir is the folder of the cases, below the root of the repository.
const Dir = "webhooks/testdata/reviews"

// Read reads the cases in a folder, by the names of their files. The texts (home), (other) and (pool) in them stand for
// the namespaces and the pool of the case, which are made from its number.
func Read(dir string) (map[string]Case, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("find reviews in %s: none, %w", dir, err)
	}
	cases := map[string]Case{}
	for i, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read review: %w", err)
		}
		c := Case{Home: fmt.Sprintf("case-%d", i), Other: fmt.Sprintf("case-%d-other", i)}
		filled := strings.NewReplacer("(home)", c.Home, "(other)", c.Other, "(pool)", c.PoolName()).Replace(string(text))
		if err := yaml.UnmarshalStrict([]byte(filled), &c); err != nil {
			return nil, fmt.Errorf("read review %s: %w", file, err)
		}
		if c.Fill > 0 {
			if c.Object, err = fill(c.Object, c.Fill); err != nil {
				return nil, fmt.Errorf("read review %s: %w", file, err)
			}
		}
		cases[strings.TrimSuffix(filepath.Base(file), ".yaml")] = c
	}
	return cases, nil
}

// PoolName returns the name of the pool of the case, if it has its own.
func (c Case) PoolName() string { return "pool-of-" + c.Home }

// Name returns the name of the object; it ends in * if it is created by generateName.
func (c Case) Name() string {
	var object struct {
		Metadata struct{ Name, GenerateName string }
	}
	if err := json.Unmarshal(c.Object, &object); err != nil || object.Metadata.Name != "" ||
		object.Metadata.GenerateName == "" {
		return object.Metadata.Name // odd objects are part of the corpus
	}
	return object.Metadata.GenerateName + "*"
}

// Review returns the AdmissionReview as the API server would send it.
func (c Case) Review(uid string) ([]byte, error) {
	request := &admissionv1.AdmissionRequest{
		UID:       types.UID(uid),
		Kind:      metav1.GroupVersionKind{Group: "kubevirt.io", Version: "v1", Kind: "VirtualMachine"},
		Resource:  metav1.GroupVersionResource{Group: "kubevirt.io", Version: "v1", Resource: "virtualmachines"},
		Namespace: c.Home,
		Operation: c.Operation,
		UserInfo:  authenticationv1.UserInfo{Username: c.User},
		DryRun:    &c.DryRun,
		Object:    runtime.RawExtension{Raw: c.Object},
		OldObject: runtime.RawExtension{Raw: c.OldObject},
	}
	if name := c.Name(); !strings.HasSuffix(name, "*") {
		request.Name = name
	}
	review := admissionv1.AdmissionReview{Request: request}
	review.SetGroupVersionKind(admissionv1.SchemeGroupVersion.WithKind("AdmissionReview"))
	return json.Marshal(review)
}

// fill adds n interfaces and their networks to a VM.
func fill(object json.RawMessage, n int) (json.RawMessage, error) {
	var vm map[string]any
	if err := json.Unmarshal(object, &vm); err != nil {
		return nil, err
	}
	var interfaces, networks []any
	for i := range n {
		name := fmt.Sprintf("net%d", i)
		interfaces = append(interfaces, map[string]any{"name": name, "bridge": map[string]any{}})
		networks = append(networks, map[string]any{"name": name, "multus": map[string]any{"networkName": "l2"}})
	}
	vm["spec"] = map[string]any{"running": false, "template": map[string]any{"spec": map[string]any{
		"domain":   map[string]any{"devices": map[string]any{"interfaces": interfaces}},
		"networks": networks,
	}}}
	return json.Marshal(vm)
}
