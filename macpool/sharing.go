// SPDX-License-Identifier: Apache-2.0

package macpool

import (
	"errors"
	"strings"
)

const (
	// ShareAnnotation on a VM lets it have the addresses of the VM it names as <namespace>/<name>.
	ShareAnnotation = "bridgehead.dev/share-mac"
	// Receiver is the run strategy of a VM that waits for a live migration from elsewhere (KubeVirt).
	Receiver = "WaitAsReceiver"
)

// Sharing says with whom a newcomer may share the address it asks for. The zero Sharing shares with nobody.
type Sharing struct {
	// Anyone allows it with every holder: the receiver of a live migration has the address of its source, which may
	// live in another cluster and have any name.
	Anyone bool
	// With allows it with this one object.
	With Object
}

// ReadSharing returns with whom a VM shares its addresses, from its run strategy and its annotations. It fails if
// ShareAnnotation names no VM; the Sharing is what the rest says then.
func ReadSharing(runStrategy string, annotations map[string]string) (Sharing, error) {
	share := Sharing{Anyone: runStrategy == Receiver}
	with, ok := annotations[ShareAnnotation]
	if !ok {
		return share, nil
	}
	namespace, name, ok := strings.Cut(with, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return share, errors.New("want the VM to share addresses with as <namespace>/<name>")
	}
	share.With = Object{Kind: KindVM, Namespace: namespace, Name: name}
	return share, nil
}

// allows returns the hold that keeps a newcomer from joining these; nil if none does. Two may share an address, and a
// third may not.
func (s Sharing) allows(holds []Hold) *Hold {
	for i, h := range holds {
		shares := s.Anyone || s.With != (Object{}) && h.Object == s.With
		if !shares || i > 0 {
			return &holds[i]
		}
	}
	return nil
}
