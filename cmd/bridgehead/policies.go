package main

import (
	"net/http"
	"time"

	"github.com/bridgehead-dev/bridgehead/webhooks"
)

// handlePolicies serves the webhooks for policies.
func (r *replica) handlePolicies(mux *http.ServeMux) {
	cluster := webhooks.PolicyCluster{Reader: r.networks.cluster.Reader}
	log := r.log.WithName("policy")
	mux.Handle("/validate-nodenetworkconfigurationpolicies", webhooks.Handler{Log: log, Reviewer: webhooks.Policy{
		Look: cluster.Look, Networks: r.networks.onBridge, Now: time.Now,
	}, Observe: r.counts.observe("/validate-nodenetworkconfigurationpolicies")})
	mux.Handle("/mutate-nodenetworkconfigurationpolicies", webhooks.Handler{Log: log, Reviewer: webhooks.PolicyPlan{
		Look: cluster.Look, Now: time.Now,
	}, Observe: r.counts.observe("/mutate-nodenetworkconfigurationpolicies")})
}

// onBridge are the networks that attach to a bridge, by namespace and name.
func (n *networks) onBridge(bridge string) []string {
	var refs []string
	for _, d := range n.cache.OnBridge(bridge) {
		refs = append(refs, d.Ref.String())
	}
	return refs
}
