// SPDX-License-Identifier: Apache-2.0

package arming

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/bridgehead-dev/bridgehead/certs"
)

// caSecret returns a Secret with a CA that can sign.
func caSecret(t *testing.T) *corev1.Secret { return secretOf(t, "bridgehead-ca") }

// secretOf returns a Secret with a CA of a name.
func secretOf(t *testing.T, name string) *corev1.Secret {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: certs.SecretName},
		Data: map[string][]byte{
			corev1.TLSCertKey:       pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
			corev1.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		},
	}
}

// endpoint returns a slice of the Service with one endpoint, of which nothing is told if ready is nil.
func endpoint(service string, ready *bool) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: service, Labels: map[string]string{discoveryv1.LabelServiceName: service},
		},
		Endpoints: []discoveryv1.Endpoint{{Conditions: discoveryv1.EndpointConditions{Ready: ready}}},
	}
}

// configuration returns one whose only webhook our Service answers, with the object selector that a template has.
func configuration(t *testing.T, kind, name string) *unstructured.Unstructured {
	t.Helper()
	return parse(t, fmt.Sprintf(`
apiVersion: admissionregistration.k8s.io/v1
kind: %s
metadata: {name: %s}
webhooks:
- name: a
  clientConfig: {service: {namespace: ns, name: s, path: /a}}
  objectSelector: {matchExpressions: [{key: bridgehead.dev/never, operator: Exists}, {key: bridgehead.dev/never, operator: DoesNotExist}]}
`, kind, name))
}

// A stage is a keeper and the API server that it writes to.
type stage struct {
	*Keeper
	t *testing.T
}

func newStage(t *testing.T, funcs interceptor.Funcs, objects ...client.Object) stage {
	t.Helper()
	server := fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithObjects(objects...).WithInterceptorFuncs(funcs)
	return stage{t: t, Keeper: &Keeper{
		Client: server.Build(), Namespace: "ns", Service: "s", Trust: func(...[]byte) {},
		Paths: []string{"/a"}, Log: logr.Discard(),
	}}
}

// names returns the names of all configurations, sorted, those that change objects first.
func (s stage) names() []string {
	s.t.Helper()
	var names []string
	for _, kind := range []string{Mutating, Validating} {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(admissionregistrationv1.SchemeGroupVersion.WithKind(kind + "List"))
		require.NoError(s.t, s.Client.List(s.t.Context(), list))
		var of []string
		for _, c := range list.Items {
			of = append(of, c.GetName())
		}
		slices.Sort(of)
		names = append(names, of...)
	}
	return names
}

func templates(t *testing.T) []client.Object {
	return []client.Object{
		configuration(t, Mutating, "zz-bridgehead-template"), configuration(t, Validating, "bridgehead-template"),
	}
}

func TestWebhooksAreInForceOnceSomebodyAnswers(t *testing.T) {
	idle := []string{"zz-bridgehead-template", "bridgehead-template"}
	inForce := []string{"zz-bridgehead", "zz-bridgehead-template", "bridgehead", "bridgehead-template"}
	for name, tc := range map[string]struct {
		objects []client.Object
		again   time.Duration
		want    []string
	}{
		"nobody answers":                 {objects: []client.Object{caSecret(t)}, again: wait, want: idle},
		"an endpoint is not ready":       {objects: []client.Object{caSecret(t), endpoint("s", new(false))}, again: wait, want: idle},
		"another Service has an answer":  {objects: []client.Object{caSecret(t), endpoint("x", new(true))}, again: wait, want: idle},
		"there is no CA":                 {objects: []client.Object{endpoint("s", new(true))}, again: wait, want: idle},
		"an endpoint is ready":           {objects: []client.Object{caSecret(t), endpoint("s", new(true))}, want: inForce},
		"nothing is told of an endpoint": {objects: []client.Object{caSecret(t), endpoint("s", nil)}, want: inForce},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, interceptor.Funcs{}, slices.Concat(templates(t), tc.objects)...)
			result, err := s.Reconcile(t.Context(), reconcile.Request{})
			require.NoError(t, err)
			assert.Equal(t, reconcile.Result{RequeueAfter: tc.again}, result)
			assert.Equal(t, tc.want, s.names())
		})
	}
}

func TestAConfigurationByAnEarlierNameGoesOnceTheNewOneIsInForce(t *testing.T) {
	earlier := []client.Object{
		configuration(t, Mutating, "bridgehead"), configuration(t, Mutating, "bridgehead-template"),
	}
	s := newStage(t, interceptor.Funcs{}, slices.Concat(templates(t), earlier, []client.Object{
		caSecret(t), endpoint("s", new(true)),
	})...)
	_, err := s.Reconcile(t.Context(), reconcile.Request{})
	require.NoError(t, err)
	assert.Subset(t, s.names(), []string{"bridgehead", "zz-bridgehead"}, "never none: VMs would be admitted unseen")
	assert.Len(t, s.names(), 6)
	_, err = s.Reconcile(t.Context(), reconcile.Request{})
	require.NoError(t, err)
	assert.Equal(t, []string{"zz-bridgehead", "zz-bridgehead-template", "bridgehead", "bridgehead-template"}, s.names())
}

func TestAReplicaThatIsSecondHasNotFailed(t *testing.T) {
	refuse := func(err error) interceptor.Funcs {
		create := func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error { return err }
		return interceptor.Funcs{Create: create}
	}
	what := schema.GroupResource{Resource: "mutatingwebhookconfigurations"}
	for name, tc := range map[string]struct {
		err    error
		failed bool
	}{
		"another one made it":          {err: apierrors.NewAlreadyExists(what, "zz-bridgehead")},
		"another one changed it":       {err: apierrors.NewConflict(what, "zz-bridgehead", nil)},
		"the API server refuses it":    {err: apierrors.NewForbidden(what, "zz-bridgehead", nil), failed: true},
		"the API server is overloaded": {err: apierrors.NewTooManyRequestsError("later"), failed: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, refuse(tc.err), slices.Concat(templates(t), []client.Object{
				caSecret(t), endpoint("s", new(true)),
			})...)
			_, err := s.Reconcile(t.Context(), reconcile.Request{})
			if !tc.failed {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, tc.err)
			require.ErrorContains(t, err, "create MutatingWebhookConfiguration zz-bridgehead: ")
		})
	}
}

// inForce returns what is made of the template of a kind, with a bundle.
func inForce(t *testing.T, kind string, bundle []byte) *unstructured.Unstructured {
	t.Helper()
	c := configuration(t, kind, NameOf(kind))
	setBundle(webhooksOf(c)[0], bundle)
	return c
}

// bundleInForce returns the bundle of the only webhook of the validating configuration.
func (s stage) bundleInForce() string {
	s.t.Helper()
	c, err := s.read(s.t.Context(), Validating, NameOf(Validating))
	require.NoError(s.t, err)
	return string(Bundles(c)[0])
}

// Replicas still serve what the CA before signed, whatever its name is.
func TestACAByAnotherNameIsTrustedForAWhileAfterTheSecretWasWritten(t *testing.T) {
	before := string(secretOf(t, "somebody else").Data[corev1.TLSCertKey])
	for name, tc := range map[string]struct {
		ago   time.Duration
		stays bool
	}{
		"the Secret was written just now":    {ago: time.Minute, stays: true},
		"the Secret was written a while ago": {ago: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			secret := caSecret(t)
			secret.CreationTimestamp = metav1.NewTime(time.Now().Add(-tc.ago))
			s := newStage(t, interceptor.Funcs{}, append(templates(t), secret, inForce(t, Validating, []byte(before)))...)
			for range 2 {
				_, err := s.Reconcile(t.Context(), reconcile.Request{})
				require.NoError(t, err)
				assert.Contains(t, s.bundleInForce(), string(secret.Data[corev1.TLSCertKey]))
				assert.Equal(t, tc.stays, strings.Contains(s.bundleInForce(), before))
			}
		})
	}
}

// While a configuration cannot be read, the API server goes on trusting what it did: a replica that forgot of it would
// serve what the next CA has signed, which nobody trusts yet.
func TestATrustThatCannotBeReadIsNotForgotten(t *testing.T) {
	for _, kind := range []string{Mutating, Validating} {
		for _, name := range []string{NameOf(kind), NameOf(kind) + TemplateSuffix} {
			t.Run(kind+" "+name, func(t *testing.T) {
				unreadable, overloaded := false, apierrors.NewTooManyRequestsError("later")
				get := func(
					ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption,
				) error {
					if unreadable && key.Name == name && o.GetObjectKind().GroupVersionKind().Kind == kind {
						return overloaded
					}
					return c.Get(ctx, key, o, opts...)
				}
				s := newStage(t, interceptor.Funcs{Get: get}, append(
					templates(t), caSecret(t), inForce(t, Mutating, []byte("CA")), inForce(t, Validating, []byte("CA")),
				)...)
				var told [][][]byte
				s.Trust = func(bundles ...[]byte) { told = append(told, bundles) }
				_, err := s.Reconcile(t.Context(), reconcile.Request{})
				require.NoError(t, err)
				require.Len(t, told, 1)
				require.Len(t, told[0], 2, "a bundle of each")
				unreadable = true
				_, err = s.Reconcile(t.Context(), reconcile.Request{})
				require.ErrorIs(t, err, overloaded)
				for _, bundles := range told {
					assert.Len(t, bundles, 2)
				}
			})
		}
	}
}

// Somebody deletes what is in force, or empties it, and makes it anew by kubectl, Helm or a GitOps controller. Replicas
// may still serve what a CA before signed, and a webhook that a release adds is called at once as well.
func TestTheCABeforeIsTrustedByWhatIsMadeAnew(t *testing.T) {
	before := secretOf(t, certs.SecretName).Data[corev1.TLSCertKey]
	spoil := func(bundle string) func(*testing.T, stage, *unstructured.Unstructured) {
		return func(t *testing.T, s stage, c *unstructured.Unstructured) {
			setBundle(webhooksOf(c)[0], []byte(bundle))
			require.NoError(t, s.Client.Update(t.Context(), c))
		}
	}
	for _, keeping := range []certs.Keeping{certs.BuiltIn, certs.CertManager} {
		for name, tc := range map[string]struct {
			kinds []string
			do    func(*testing.T, stage, *unstructured.Unstructured)
			fresh bool // a replica that has just begun looks at it
		}{
			"both were deleted":          {kinds: kinds(), do: remove},
			"both were emptied":          {kinds: kinds(), do: spoil("")},
			"both were overwritten":      {kinds: kinds(), do: spoil("rubbish")},
			"validating was deleted":     {kinds: []string{Validating}, do: remove, fresh: true},
			"mutating was deleted":       {kinds: []string{Mutating}, do: remove, fresh: true},
			"mutating was overwritten":   {kinds: []string{Mutating}, do: spoil("rubbish"), fresh: true},
			"a webhook came, or changed": {kinds: []string{Validating}, do: rename},
		} {
			t.Run(string(keeping)+", "+name, func(t *testing.T) {
				current := caSecret(t)
				s := newStage(t, interceptor.Funcs{}, append(
					templates(t), current, endpoint("s", new(true)), inForce(t, Mutating, before), inForce(t, Validating, before),
				)...)
				s.Keeping = keeping
				if !tc.fresh {
					_, err := s.Reconcile(t.Context(), reconcile.Request{})
					require.NoError(t, err)
				}
				for _, kind := range tc.kinds {
					c, err := s.read(t.Context(), kind, NameOf(kind))
					require.NoError(t, err)
					tc.do(t, s, c)
				}
				for range 2 {
					_, err := s.Reconcile(t.Context(), reconcile.Request{})
					require.NoError(t, err)
				}
				for _, kind := range tc.kinds {
					c, err := s.read(t.Context(), kind, NameOf(kind))
					require.NoError(t, err)
					require.Len(t, Bundles(c), 1)
					for _, ca := range [][]byte{current.Data[corev1.TLSCertKey], before} {
						assert.Contains(t, string(Bundles(c)[0]), string(ca), kind)
					}
				}
			})
		}
	}
}

func remove(t *testing.T, s stage, c *unstructured.Unstructured) {
	require.NoError(t, s.Client.Delete(t.Context(), c))
}

func rename(t *testing.T, s stage, c *unstructured.Unstructured) {
	webhooksOf(c)[0]["name"] = "of another release"
	require.NoError(t, s.Client.Update(t.Context(), c))
}

func TestWhatIsWrongWithTheCAIsSaid(t *testing.T) {
	for name, tc := range map[string]struct {
		objects []client.Object
		want    string
	}{
		"there is none": {want: "there is no CA yet"},
		"its key is another one's": {
			objects: []client.Object{func() *corev1.Secret {
				secret := caSecret(t)
				secret.Data[corev1.TLSPrivateKeyKey] = caSecret(t).Data[corev1.TLSPrivateKeyKey]
				return secret
			}()},
			want: "the CA in the Secret bridgehead-ca cannot be used: tls: private key does not match public key",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, interceptor.Funcs{}, append(templates(t), tc.objects...)...)
			result, err := s.Reconcile(t.Context(), reconcile.Request{})
			require.NoError(t, err)
			assert.Equal(t, wait, result.RequeueAfter)
			assert.Contains(t, s.said, tc.want)
		})
	}
}
