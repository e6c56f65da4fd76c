// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/bridgehead-dev/bridgehead/netstate"
)

// nameServerOf answers each question with what replies makes of it, at an address of the loopback, and returns its
// port.
func nameServerOf(t *testing.T, replies ...func(*dnsmessage.Message)) string {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan struct{})
	t.Cleanup(func() { assert.NoError(t, conn.Close()); <-ended })
	go func() {
		defer close(ended)
		buffer := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			var question dnsmessage.Message
			if !assert.NoError(t, question.Unpack(buffer[:n])) {
				return
			}
			for _, change := range replies {
				reply := question
				change(&reply)
				text, err := reply.Pack()
				assert.NoError(t, err)
				_, err = conn.WriteTo(text, from)
				assert.NoError(t, err)
			}
		}
	}()
	return strconv.Itoa(conn.LocalAddr().(*net.UDPAddr).Port)
}

// using returns a node with name servers.
func using(servers ...string) node {
	return node{state: netstate.State{DNS: netstate.DNS{Running: &netstate.DNSConfig{Server: servers}}}}
}

func TestAnyAnswerOfANameServerIsAnAnswer(t *testing.T) {
	refuses := func(m *dnsmessage.Message) { m.Response, m.RCode = true, dnsmessage.RCodeRefused }
	toAnother := func(m *dnsmessage.Message) { m.Response, m.ID = true, m.ID+1 }
	echo := func(*dnsmessage.Message) {}
	for name, tc := range map[string]struct {
		replies []func(*dnsmessage.Message)
		silent  bool
	}{
		"it refuses":                           {replies: []func(*dnsmessage.Message){refuses}},
		"it refuses after answers to others":   {replies: []func(*dnsmessage.Message){toAnother, echo, refuses}},
		"it says nothing":                      {silent: true},
		"it answers another question":          {replies: []func(*dnsmessage.Message){toAnother}, silent: true},
		"what was asked is asked in its place": {replies: []func(*dnsmessage.Message){echo}, silent: true},
	} {
		t.Run(name, func(t *testing.T) {
			question := dns{node: using("127.0.0.1"), port: nameServerOf(t, tc.replies...)}
			if !tc.silent {
				require.NoError(t, question.Ask(t.Context()))
				return
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second/5)
			defer cancel()
			require.EqualError(t, question.Ask(ctx), "127.0.0.1: no answer in time")
		})
	}
}

func TestOneNameServerThatAnswersIsEnough(t *testing.T) {
	port := nameServerOf(t, func(m *dnsmessage.Message) { m.Response = true })
	require.NoError(t, dns{node: using("no address", "127.0.0.1"), port: port}.Ask(t.Context()))
	require.ErrorIs(t, dns{node: using(), port: port}.Ask(t.Context()), ErrNobody)
}

func TestAPIServersAreAskedByNewConnections(t *testing.T) {
	var made atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/livez", r.URL.Path)
		w.WriteHeader(http.StatusForbidden)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			made.Add(1)
		}
	}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	trusted := x509.NewCertPool()
	trusted.AddCert(s.Certificate())
	config := &tls.Config{RootCAs: trusted, ServerName: "example.com", MinVersion: tls.VersionTLS12}
	server := APIServer(s.URL+"/", config)
	require.NoError(t, server.Ask(t.Context()), "that we may not ask is an answer")
	require.NoError(t, server.Ask(t.Context()))
	assert.EqualValues(t, 2, made.Load())

	require.Error(t, APIServer(s.URL, &tls.Config{ServerName: "example.com", MinVersion: tls.VersionTLS12}).Ask(t.Context()),
		"somebody else answers")
	s.Close()
	require.Error(t, server.Ask(t.Context()))
}
