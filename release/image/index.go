// SPDX-License-Identifier: Apache-2.0

package image

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Index returns one index of the images, in their order, with the labels of the image as annotations.
func Index(o Options, images []Built) v1.ImageIndex {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, b := range images {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: b.Image, Descriptor: v1.Descriptor{Platform: &b.Platform},
		})
	}
	annotated, ok := mutate.Annotations(index, labels(o)).(v1.ImageIndex)
	if !ok {
		panic("an index with annotations is an index: contract of mutate.Annotations")
	}
	return annotated
}

// WriteLayout writes an index as a folder of the OCI image layout, and returns its digest. What is in the folder goes.
func WriteLayout(dir string, index v1.ImageIndex) (v1.Hash, error) {
	if err := os.RemoveAll(dir); err != nil {
		return v1.Hash{}, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return v1.Hash{}, err
	}
	to, err := layout.Write(dir, empty.Index)
	if err != nil {
		return v1.Hash{}, fmt.Errorf("write image layout: %w", err)
	}
	if err := to.AppendIndex(index); err != nil {
		return v1.Hash{}, fmt.Errorf("write image layout: %w", err)
	}
	return index.Digest()
}

// WriteTarball writes one image under a name as an archive that docker load, kind load image-archive and
// ctr images import take.
func WriteTarball(path, reference string, image v1.Image) error {
	tag, err := name.NewTag(reference)
	if err != nil {
		return fmt.Errorf("name of the image: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return tarball.WriteToFile(path, tag, image)
}

// Push sends an index to the registry that the reference names, with the credentials of the user's container tools, and
// returns the reference by digest.
func Push(ctx context.Context, reference string, index v1.ImageIndex) (string, error) {
	to, err := name.ParseReference(reference)
	if err != nil {
		return "", fmt.Errorf("name of the image: %w", err)
	}
	err = remote.WriteIndex(to, index, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if err != nil {
		return "", fmt.Errorf("push %s: %w", reference, err)
	}
	digest, err := index.Digest()
	if err != nil {
		return "", err
	}
	return to.Context().Name() + "@" + digest.String(), nil
}
