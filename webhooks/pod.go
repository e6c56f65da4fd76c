package webhooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bridgehead-dev/bridgehead/macpool"
	"github.com/bridgehead-dev/bridgehead/nad"
)

const (
	// launcherLabel has the value launcher on the pods that VMs run in (KubeVirt).
	launcherLabel, launcher = "kubevirt.io", "virt-launcher"
	// mostHints bounds how many namespaces are named where a NAD is looked for in the wrong one.
	mostHints = 3
	// hintTimeout bounds how long it may take to find out what a user may be told.
	hintTimeout = time.Second
)

// A NetworkFinder finds NADs; *nad.Cache is one.
type NetworkFinder interface {
	// Find is a NAD, or a *nad.MissingError. Any other error means that it is not known whether it exists.
	Find(ctx context.Context, ref nad.Ref) (nad.Definition, error)
}

// Pod reviews pods that name networks as they are created: it has their containers ask for what the networks need of a
// node, and, if there is a Ledger, gives their interfaces addresses.
type Pod struct {
	Networks NetworkFinder
	// MultusNamespace is where default networks are that are named without a namespace.
	MultusNamespace string
	// MayRead says whether a user may read NADs of a namespace. It is asked before the namespace is named to the user;
	// nil names none.
	MayRead func(ctx context.Context, user authenticationv1.UserInfo, namespace string) (bool, error)

	// Ledger lends addresses; nil leaves addresses alone.
	Ledger AddressBook
	// PoolFor is the pool that serves a namespace; *macpool.NoPoolError if there is none.
	PoolFor func(namespace string) (macpool.PoolRule, error)
	Now     func() time.Time
}

// An attachment is one network that a pod asks for.
type attachment struct {
	nad.Selection
	// path is where the pod names it.
	path *field.Path
	// network is the NAD.
	network nad.Definition
}

// Review implements Reviewer.
func (w Pod) Review(ctx context.Context, request *admissionv1.AdmissionRequest) (Verdict, error) {
	if request.Operation != admissionv1.Create {
		return Verdict{}, nil // networks and resources of a pod are settled when it is created
	}
	p, problems := readPod(request.Object.Raw)
	if len(problems) > 0 {
		return Verdict{Denied: problems}, nil
	}
	networks, attachments, problems := w.attachments(p, request.Namespace)
	if len(problems) > 0 {
		return Verdict{Denied: problems}, nil
	}
	missing, err := w.find(ctx, request, attachments)
	if err != nil || len(missing) > 0 {
		return Verdict{Denied: missing}, err
	}
	wanted, problems := wants(attachments)
	selector, conflicts := selectors(p, attachments)
	if problems = append(problems, conflicts...); len(problems) > 0 {
		return Verdict{Denied: problems}, nil
	}
	var verdict Verdict
	topUp(p, wanted, &verdict.Patch)
	selectNodes(p, selector, &verdict.Patch)
	if w.Ledger == nil || p.launched() || p.Metadata.Annotations[nad.StatusAnnotation] != "" {
		return verdict, nil // the address of a launched pod is its VM's
	}
	return w.address(ctx, request, p, networks, verdict)
}

// attachments reads the annotations of a pod. The additional networks are returned as they are written, too.
func (w Pod) attachments(p *pod, namespace string) (nad.Networks, []attachment, field.ErrorList) {
	path := annotationPath(nad.NetworksAnnotation)
	networks, problems := nad.ParseNetworks(p.Metadata.Annotations[nad.NetworksAnnotation], namespace, path)
	attachments := attached(networks, path)
	path = annotationPath(nad.DefaultNetworkAnnotation)
	standard, wrong := nad.ParseNetworks(p.Metadata.Annotations[nad.DefaultNetworkAnnotation], w.MultusNamespace, path)
	if n := len(standard.Selections); n > 1 {
		wrong = append(wrong, field.TooMany(path, n, 1))
	}
	return networks, append(attachments, attached(standard, path)...), append(problems, wrong...)
}

func attached(networks nad.Networks, path *field.Path) []attachment {
	var list []attachment
	for i, s := range networks.Selections {
		list = append(list, attachment{Selection: s, path: path.Index(i)})
	}
	return list
}

// find looks the networks up. Those that do not exist are problems of the pod.
func (w Pod) find(ctx context.Context, request *admissionv1.AdmissionRequest, attachments []attachment) (field.ErrorList, error) {
	var problems field.ErrorList
	for i := range attachments {
		a := &attachments[i]
		var err error
		a.network, err = w.Networks.Find(ctx, a.Ref)
		var missing *nad.MissingError
		if errors.As(err, &missing) {
			problems = append(problems, field.Invalid(a.path, a.Ref.String(), missing.Error()+w.elsewhere(ctx, request, missing)))
		} else if err != nil {
			return nil, err
		}
	}
	return problems, nil
}

// elsewhere completes the message about a network that does not exist: it names namespaces that have one of that name,
// if the user may read them. A controller that creates pods for others is told nothing, since they read what it is told.
func (w Pod) elsewhere(ctx context.Context, request *admissionv1.AdmissionRequest, missing *nad.MissingError) string {
	if w.MayRead == nil || !speaksForItself(request.UserInfo.Username, request.Namespace) {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, hintTimeout)
	defer cancel()
	var known []string
	for _, namespace := range missing.Namespaces[:min(len(missing.Namespaces), mostHints)] {
		if may, err := w.MayRead(ctx, request.UserInfo, namespace); err == nil && may {
			known = append(known, namespace)
		}
	}
	if len(known) == 0 {
		return ""
	}
	return fmt.Sprintf("; there is one in %s: write the namespace too, as in %s/%s, or \"namespace\": %q in JSON",
		strings.Join(known, ", "), known[0], missing.Name, known[0])
}

// speaksForItself says whether a user is a person, or a service account of the namespace itself.
func speaksForItself(user, namespace string) bool {
	if account, ok := strings.CutPrefix(user, "system:serviceaccount:"); ok {
		return strings.HasPrefix(account, namespace+":")
	}
	return !strings.HasPrefix(user, "system:")
}

// address has the ledger give every additional network of a pod an address and writes them into the annotation.
func (w Pod) address(ctx context.Context, request *admissionv1.AdmissionRequest, p *pod, networks nad.Networks, verdict Verdict) (Verdict, error) {
	asking, problems := podInterfaces(networks.Selections)
	if len(problems) > 0 || len(asking) == 0 {
		verdict.Denied = problems
		return verdict, nil
	}
	holder := macpool.Object{Kind: macpool.KindPod, Namespace: request.Namespace, Name: cmp.Or(request.Name, p.Metadata.Name)}
	if holder.Name == "" {
		if p.Metadata.GenerateName == "" {
			return Verdict{Denied: field.ErrorList{field.Required(field.NewPath("metadata", "name"), "name the pod, or give metadata.generateName")}}, nil
		}
		holder.GenerateName, holder.Claim = p.Metadata.GenerateName, claim(p.Metadata.Annotations, w.Now(), &verdict.Patch)
	}
	rule, err := poolFor(w.PoolFor, request.Namespace, asking)
	if err != nil {
		return podRefusal(err)
	}
	r := macpool.Request{Holder: holder, Pool: rule.Pool}
	for _, n := range asking {
		r.Asks = append(r.Asks, macpool.Ask{Interface: n.name, MAC: n.mac})
	}
	answer := w.Ledger.Assign
	if request.DryRun != nil && *request.DryRun {
		answer = w.Ledger.Preview
	}
	grant, err := answer(ctx, r)
	if err != nil {
		return podRefusal(err)
	}
	given := map[int]string{}
	for i, n := range asking {
		if n.text == "" {
			given[n.index] = grant.MACs[i].String()
		}
	}
	verdict.note(grant.Collisions, asking, rule.Enforcement)
	if len(given) == 0 {
		return verdict, nil
	}
	written, err := networks.WithMACs(given)
	if err != nil {
		return Verdict{}, err
	}
	verdict.Patch.Set(pointer("metadata", "annotations", nad.NetworksAnnotation), written)
	return verdict, nil
}

// podInterfaces are the interfaces of a pod that live on an Ethernet address, with the names they will have.
func podInterfaces(selections []nad.Selection) ([]nic, field.ErrorList) {
	var nics []nic
	var problems field.ErrorList
	seen := map[macpool.MAC]int{}
	for i, s := range selections {
		if s.Infiniband {
			continue
		}
		n := nic{index: i, name: cmp.Or(s.Interface, fmt.Sprintf("net%d", i+1)), text: s.MAC}
		path := annotationPath(nad.NetworksAnnotation).Index(i).Child("mac")
		if n.text != "" {
			m, err := macpool.ParseInterfaceMAC(n.text)
			if err != nil {
				problems = append(problems, field.Invalid(path, n.text, err.Error()))
				continue
			}
			if other, twice := seen[m]; twice {
				problems = append(problems, field.Invalid(path, n.text, fmt.Sprintf(
					"attachment %d has the same address: give one of them another, or leave it out to be given one", other)))
			}
			n.mac, seen[m] = m, i
		}
		nics = append(nics, n)
	}
	return nics, problems
}

// podRefusal is refusal for the annotation of a pod.
func podRefusal(err error) (Verdict, error) {
	verdict, err := refusal(err, nil)
	for _, problem := range verdict.Denied {
		problem.Field = annotationPath(nad.NetworksAnnotation).String()
	}
	return verdict, err
}

func annotationPath(key string) *field.Path {
	return field.NewPath("metadata", "annotations").Key(key)
}

// sortedKeys are the keys of a map, in order.
func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
