// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"crypto/tls"
	"net/http"
	"strings"
)

// APIServer returns the probe of the API server at a URL such as https://10.96.0.1:443. Each question opens a
// new connection: one from before the change may outlive it although no new one can be made. Any answer is an
// answer, be it that we are not allowed to ask.
func APIServer(url string, config *tls.Config) Probe {
	return apiServer{url: strings.TrimSuffix(url, "/"), tls: config}
}

type apiServer struct {
	url string
	tls *tls.Config
}

func (a apiServer) String() string { return "API server " + a.url }

// Ask asks whether the server lives.
func (a apiServer) Ask(ctx context.Context) error {
	transport := &http.Transport{TLSClientConfig: a.tls, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url+"/livez", nil)
	if err != nil {
		return err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return reason(ctx, err)
	}
	return response.Body.Close()
}
