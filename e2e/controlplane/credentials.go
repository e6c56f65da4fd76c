// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// tokenSeconds is how long the token of a service account is good: longer than any test.
const tokenSeconds = 24 * 60 * 60

// ServiceAccountConfig returns the access of a service account, which must exist: what runs with it may do
// exactly what the RBAC rules of its manifests allow. The token is good for a day.
func (c *ControlPlane) ServiceAccountConfig(ctx context.Context, namespace, name string) (*rest.Config, error) {
	return c.tokenConfig(ctx, namespace, name, nil)
}

// ServiceAccountConfigOn returns the access of a service account on a node, which must exist: the token names the node,
// as the tokens that kubelet mounts into pods do, so that admission policies can tell nodes apart.
func (c *ControlPlane) ServiceAccountConfigOn(
	ctx context.Context, namespace, name string, node *corev1.Node,
) (*rest.Config, error) {
	return c.tokenConfig(ctx, namespace, name,
		&authenticationv1.BoundObjectReference{Kind: "Node", APIVersion: "v1", Name: node.Name, UID: node.UID})
}

func (c *ControlPlane) tokenConfig(
	ctx context.Context, namespace, name string, bound *authenticationv1.BoundObjectReference,
) (*rest.Config, error) {
	seconds := int64(tokenSeconds)
	request := &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds, BoundObjectRef: bound},
	}
	answer, err := c.clients.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, request, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("request a token of service account %s/%s: %w", namespace, name, err)
	}
	cfg := rest.AnonymousClientConfig(c.Config)
	cfg.BearerToken = answer.Status.Token
	cfg.QPS, cfg.Burst = 0, 0 // a program sets its own limits
	return cfg, nil
}

// UserConfig returns the access of a user with groups, by a certificate as kubelets and other programs outside of pods
// have: user system:node:<name> of group system:nodes is the kubelet of a node.
func (c *ControlPlane) UserConfig(user string, groups ...string) (*rest.Config, error) {
	pair, err := c.authority.issue(pkix.Name{CommonName: user, Organization: groups}, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return nil, fmt.Errorf("issue a certificate to %s: %w", user, err)
	}
	cfg := rest.AnonymousClientConfig(c.Config)
	cfg.CertData, cfg.KeyData = pair.cert, pair.key
	return cfg, nil
}

// CA returns the certificate, in PEM, of the authority that signs the API server's certificate and those of its
// clients.
func (c *ControlPlane) CA() []byte { return c.authority.cert }

// WriteKubeconfig writes an access as a kubeconfig file that depends on no other file; cfg must hold its
// certificates and its token themselves, as those of this package do. A guest of qemu's user network
// reaches the API server if cfg.Host names 10.0.2.2 instead of 127.0.0.1.
func WriteKubeconfig(path string, cfg *rest.Config) error {
	text, err := Kubeconfig(cfg)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	return nil
}

// Kubeconfig is what WriteKubeconfig writes.
func Kubeconfig(cfg *rest.Config) (string, error) {
	const name = "bridgehead"
	out := clientcmdapi.NewConfig()
	out.Clusters[name] = &clientcmdapi.Cluster{
		Server: cfg.Host, CertificateAuthorityData: cfg.CAData, TLSServerName: cfg.ServerName,
	}
	out.AuthInfos[name] = &clientcmdapi.AuthInfo{
		ClientCertificateData: cfg.CertData,
		ClientKeyData:         cfg.KeyData,
		Token:                 cfg.BearerToken,
	}
	out.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	out.CurrentContext = name
	text, err := clientcmd.Write(*out)
	if err != nil {
		return "", fmt.Errorf("write kubeconfig: %w", err)
	}
	return string(text), nil
}

// issueCredentials makes the keys and certificates of the API server and the access of the administrator.
func (c *ControlPlane) issueCredentials(address string) error {
	dir := c.run.path("pki")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder of keys: %w", err)
	}
	ca, err := newAuthority()
	if err != nil {
		return err
	}
	admin, err := ca.issue(
		pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}}, x509.ExtKeyUsageClientAuth,
	)
	if err != nil {
		return err
	}
	if err := ca.writeServerKeys(dir); err != nil {
		return err
	}
	c.authority = ca
	c.Config = &rest.Config{
		Host:            "https://" + address,
		TLSClientConfig: rest.TLSClientConfig{CAData: ca.cert, CertData: admin.cert, KeyData: admin.key},
		QPS:             -1,
	}
	if c.clients, err = kubernetes.NewForConfig(c.Config); err != nil {
		return fmt.Errorf("make clients: %w", err)
	}
	c.Kubeconfig = c.run.path("kubeconfig")
	return WriteKubeconfig(c.Kubeconfig, c.Config)
}

// writeServerKeys writes what the API server is given: its certificate, the one by which kubelets know it, and the key
// that signs the tokens of service accounts.
func (ca *keyPair) writeServerKeys(dir string) error {
	server, err := ca.issue(pkix.Name{CommonName: "kube-apiserver"}, x509.ExtKeyUsageServerAuth)
	if err != nil {
		return err
	}
	kubelets, err := ca.issue(
		pkix.Name{CommonName: "kube-apiserver-kubelet-client", Organization: []string{"system:masters"}},
		x509.ExtKeyUsageClientAuth,
	)
	if err != nil {
		return err
	}
	accounts, err := newAuthority()
	if err != nil {
		return err
	}
	err = errors.Join(
		os.WriteFile(filepath.Join(dir, "ca.crt"), ca.cert, 0o600),
		os.WriteFile(filepath.Join(dir, "server.crt"), server.cert, 0o600),
		os.WriteFile(filepath.Join(dir, "server.key"), server.key, 0o600),
		os.WriteFile(filepath.Join(dir, "kubelet-client.crt"), kubelets.cert, 0o600),
		os.WriteFile(filepath.Join(dir, "kubelet-client.key"), kubelets.key, 0o600),
		os.WriteFile(filepath.Join(dir, "serviceaccount.key"), accounts.key, 0o600),
	)
	if err != nil {
		return fmt.Errorf("write keys: %w", err)
	}
	return nil
}

// A keyPair is a certificate and its key, each parsed and as PEM.
type keyPair struct {
	x509    *x509.Certificate
	private *ecdsa.PrivateKey
	cert    []byte
	key     []byte
}

// newAuthority makes a certificate authority.
func newAuthority() (*keyPair, error) {
	template := newTemplate(pkix.Name{CommonName: "bridgehead-test-ca"})
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	return sign(template, nil)
}

// issue makes a certificate for one purpose, valid for every name by which a test reaches the API server:
// 10.0.2.2 is this machine for a guest of qemu's user network, 10.96.0.1 the first Service address.
func (ca *keyPair) issue(subject pkix.Name, usage x509.ExtKeyUsage) (*keyPair, error) {
	template := newTemplate(subject)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{usage}
	template.DNSNames = []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 0, 2, 2), net.IPv4(10, 96, 0, 1)}
	return sign(template, ca)
}

// newTemplate returns a certificate that is valid from an hour ago for a year.
func newTemplate(subject pkix.Name) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      subject,
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(1, 0, 0),
	}
}

// sign makes a key and has ca sign its certificate; with no ca it signs itself.
func sign(template *x509.Certificate, ca *keyPair) (*keyPair, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate a key: %w", err)
	}
	if ca == nil {
		ca = &keyPair{x509: template, private: private}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.x509, private.Public(), ca.private)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", template.Subject, err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", template.Subject, err)
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("encode a key: %w", err)
	}
	return &keyPair{
		x509:    parsed,
		private: private,
		cert:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:     pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}),
	}, nil
}

// anyCertificate is for asking a program that signs its own certificate whether it is healthy.
func anyCertificate() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true}
}
