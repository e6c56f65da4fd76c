// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/bridgehead-dev/bridgehead/webhooks"
)

// closeTimeout bounds how long a replica waits for its last writes.
const closeTimeout = 20 * time.Second

// server serves the webhooks, and keeps the right to lend addresses while it does. It ends in order: requests, then
// writes, then the Lease.
func (r *replica) server() everywhere {
	return func(ctx context.Context) error {
		mux := http.NewServeMux()
		for _, route := range webhooks.Routes(r.sources) {
			mux.Handle(route.Path, webhooks.Handler{
				Log: r.log.WithName(route.Name), Reviewer: route.Reviewer, Observe: r.counts.observe(route.Path),
			})
		}
		mux.Handle(
			"/", webhooks.Handler{Log: r.log.WithName("unserved"), Reviewer: unserved{}, Observe: r.counts.observe("unserved")},
		)
		server := webhooks.NewServer(mux, r.drain)
		listener, err := tls.Listen("tcp", r.options.WebhookAddress, &tls.Config{
			GetCertificate: r.source.GetCertificate,
			MinVersion:     tls.VersionTLS13,
			NextProtos:     []string{"http/1.1"}, // the API server's webhook client speaks nothing else
		})
		if err != nil {
			return fmt.Errorf("listen for webhooks: %w", err)
		}
		renewing, stopRenewing := context.WithCancel(context.WithoutCancel(ctx))
		renewed := make(chan struct{})
		var rewound error
		go func() { defer close(renewed); rewound = r.lease.Run(renewing) }()
		go wait.UntilWithContext(ctx, func(context.Context) { r.ledger.ReturnIdle() }, 10*time.Second)
		failed := make(chan error, 1)
		go func() { failed <- server.Serve(listener) }()
		select {
		case err = <-failed:
		case <-renewed:
		case <-ctx.Done():
		}
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		shutdown := errors.Join(server.Shutdown(closing), r.ledger.Close(closing))
		stopRenewing()
		<-renewed
		return errors.Join(err, rewound, shutdown, r.lease.End(closing))
	}
}

// paths returns those that webhooks are served at.
func (r *replica) paths() []string {
	var paths []string
	for _, route := range webhooks.Routes(r.sources) {
		paths = append(paths, route.Path)
	}
	return paths
}

// unserved reviews what is sent where this release has no webhook. During an upgrade, or on the way back, replicas of
// two releases answer side by side, and a webhook that one of them does not have must not fail requests.
type unserved struct{}

// Review implements webhooks.Reviewer: it admits the object unchanged.
func (unserved) Review(context.Context, *admissionv1.AdmissionRequest) (webhooks.Verdict, error) {
	return webhooks.Verdict{
		Warnings: []string{"bridgehead: the release that answered does not have this webhook; the object is as you sent it"},
	}, nil
}
