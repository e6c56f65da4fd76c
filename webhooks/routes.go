// SPDX-License-Identifier: Apache-2.0

package webhooks

import "time"

// A Route is the path of one webhook, and who reviews what the API server sends there.
type Route struct {
	Path string
	// Name is what the log calls it.
	Name     string
	Reviewer Reviewer
}

// Sources are where reviewers learn what they judge by.
type Sources struct {
	Lending Lending
	// NADs has the networks of the cluster, Bridges what it offers, Cluster what else there is to look at, and Access
	// what users may do.
	NADs    *NADWatch
	Bridges *Bridges
	Cluster Cluster
	Access  Access
	// ResourceKeys are the annotations of NADs that name resources.
	ResourceKeys []string
}

// Routes lists every webhook there is. The paths are those of the manifests.
func Routes(s Sources) []Route {
	pods := PodReviewer{
		Networks:        s.NADs.Cache,
		MultusNamespace: s.Cluster.MultusNamespace,
		MayRead:         s.Access.MayReadNADs,
		MayLaunch:       s.Access.MayLaunch,
		Offered:         s.Bridges.Offered,
	}
	addressed := pods // the API server decides by the namespace which of the two a pod goes to
	addressed.Lending = &s.Lending
	// Who is asked first may not know yet that a bridge is offered: pods that it let in are not to blame for it.
	settled, settledAddressed := pods, addressed
	settled.Offered, settledAddressed.Offered = s.Bridges.Settled, s.Bridges.Settled
	fills := NADDefaulter{ResourceKeys: s.ResourceKeys, Offered: s.Bridges.Offered}
	nads := NADReviewer{
		ResourceKeys: s.ResourceKeys,
		Offered:      s.Bridges.Offered,
		Advertising:  s.Cluster.Advertising,
		Unserved:     s.Cluster.Unserved,
		Users:        s.Cluster.Users,
	}
	vms := VMReviewer{Lending: s.Lending, MayShare: s.Access.MayShare, TakesMAC: s.NADs.TakesMAC}
	templates := TemplateReviewer{PoolFor: s.Lending.PoolFor, TakesMAC: s.NADs.TakesMAC}
	instances := InstanceReviewer{Lending: s.Lending, TakesMAC: s.NADs.TakesMAC}
	policies := PolicyReviewer{Source: s.Cluster, Networks: s.NADs.OnBridge, Now: time.Now}
	return []Route{
		{"/mutate-virtualmachines", "vm", vms},
		{"/validate-virtualmachines", "vm", VMChecker{Reviewer: vms}},
		{"/mutate-pods", "pod", pods},
		{"/mutate-pods/macs", "pod", addressed},
		{"/validate-pods", "pod", PodChecker{Reviewer: settled}},
		{"/validate-pods/macs", "pod", PodChecker{Reviewer: settledAddressed, TakesMAC: s.NADs.TakesMAC}},
		{"/validate-virtualmachine-templates", "template", templates},
		{"/validate-virtualmachineinstances", "instance", instances},
		{"/mutate-network-attachment-definitions", "nad", fills},
		{"/validate-network-attachment-definitions", "nad", nads},
		{"/mutate-nodenetworkconfigurationpolicies", "policy", PolicyPlanner{Source: s.Cluster, Now: time.Now}},
		{"/validate-nodenetworkconfigurationpolicies", "policy", policies},
	}
}
